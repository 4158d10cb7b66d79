"""Twirp errors, and the one table from SIP status to Twirp code (golden record, section 3)."""

from __future__ import annotations

import base64

from google.protobuf import any_pb2
from google.rpc import status_pb2  # type: ignore[import-untyped]
from livekit.protocol import sip as proto
from livekit.rtc import DisconnectReason

HTTP_STATUS = {
    "canceled": 408,
    "unknown": 500,
    "invalid_argument": 400,
    "malformed": 400,
    "deadline_exceeded": 408,
    "not_found": 404,
    "bad_route": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "unauthenticated": 401,
    "resource_exhausted": 429,
    "failed_precondition": 412,
    "aborted": 409,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
}
_GRPC_NUMBER = {
    "canceled": 1,
    "invalid_argument": 3,
    "deadline_exceeded": 4,
    "not_found": 5,
    "permission_denied": 7,
    "resource_exhausted": 8,
    "failed_precondition": 9,
    "aborted": 10,
    "unauthenticated": 16,
}
_CODE_OF_STATUS = {
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    407: "unauthenticated",
    408: "deadline_exceeded",
    410: "not_found",
    429: "resource_exhausted",
    480: "resource_exhausted",
    481: "not_found",
    486: "resource_exhausted",
    487: "aborted",
    504: "deadline_exceeded",
    600: "resource_exhausted",
    603: "permission_denied",
    604: "not_found",
    607: "permission_denied",
    608: "permission_denied",
}
_TEXT_A = frozenset({400, 404, 480, 486, 488})
_UNAVAILABLE = frozenset({404, 408, 410, 480, 484, 604})
_REJECTED = frozenset({401, 403, 407, 486, 487, 600, 603, 607, 608})
RELAYED = "twirp error unknown: "  # what livekit-server puts before a gateway's own errors


class TwirpError(Exception):
    """An error as a Twirp client sees it: `code`, `message`, `meta`."""

    def __init__(self, code: str, message: str, meta: dict[str, str] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.meta = meta or {}

    @property
    def http_status(self) -> int:
        """The HTTP status of this code (Twirp specification v7)."""
        return HTTP_STATUS[self.code]


def invalid(message: str) -> TwirpError:
    """A request that cannot be right."""
    return TwirpError("invalid_argument", message)


def unserved(field: str, why: str = "is not served by this gateway") -> TwirpError:
    """A field that asks for something the gateway cannot do; never ignored silently."""
    return TwirpError("unimplemented", f"{field} {why}")


def relayed(code: str, message: str, meta: dict[str, str] | None = None) -> TwirpError:
    """An error of the call itself, with the prefix livekit-server gives it."""
    return TwirpError(code, RELAYED + message, meta)


def code_of(status: int) -> str:
    """The Twirp code of a SIP final status."""
    if status in _CODE_OF_STATUS:
        return _CODE_OF_STATUS[status]
    if 300 <= status < 400:
        return "not_found"
    if 400 <= status < 500:
        return "invalid_argument"
    return "failed_precondition" if status < 600 else "permission_denied"


def leave_reason(status: int) -> DisconnectReason.ValueType:
    """The participant's disconnect reason after a dial that ended with this SIP status."""
    if status in _UNAVAILABLE:
        return DisconnectReason.USER_UNAVAILABLE
    if status in _REJECTED:
        return DisconnectReason.USER_REJECTED
    return DisconnectReason.CLIENT_INITIATED


def dial_failed(status: int, reason: str) -> TwirpError:
    """The error of a dial that a SIP final response ended."""
    clause = "INVITE failed" if status in _TEXT_A else "unexpected status from INVITE response"
    return _with_status(f"{clause}: sip status", status, reason)


def transfer_failed(status: int, reason: str, *, notified: bool) -> TwirpError:
    """The error of a transfer: `notified` when the REFER was taken and a NOTIFY reported it."""
    clause = "call transfer failed: sip status" if notified else "sip status"
    return _with_status(clause, status, reason)


def _with_status(clause: str, status: int, reason: str) -> TwirpError:
    code = code_of(status)
    text = f"{status}: {reason}" if reason else f"{status} ({status})"
    message = f"{clause}: {text}"
    meta = {
        "sip_status_code": str(status),
        "sip_status": reason or str(status),
        "error_details": _details(code, message, status, reason),
    }
    return relayed(code, message, meta)


def _details(code: str, message: str, status: int, reason: str) -> str:
    """Base64 of google.rpc.Status with one Any of livekit.SIPStatus."""
    inner = proto.SIPStatus(status=reason)
    known = {number for _, number in proto.SIPStatusCode.items()}
    if status in known:
        inner.code = status  # type: ignore[assignment]
    packed = any_pb2.Any()
    packed.Pack(inner)
    outer = status_pb2.Status(code=_GRPC_NUMBER[code], message=message, details=[packed])
    return base64.b64encode(outer.SerializeToString()).decode()
