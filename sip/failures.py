"""What the SIP service's errors mean, in one table (`reference/livekit-sip-observed.md` 3)."""

from __future__ import annotations

import aiohttp
from livekit import api

from sip.ports import DialFailure, DialFailureKind

_K = DialFailureKind
DIAL_ERRORS: tuple[type[BaseException], ...] = (
    api.ServerError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
)
"""What a request to the SIP service can raise."""

_BY_TEXT: tuple[tuple[str, DialFailureKind], ...] = (
    ("sip request timed out", _K.RING_TIMEOUT),
    ("transaction failed to complete", _K.RING_TIMEOUT),
    ("no username or password was provided", _K.AUTHENTICATION),
    ("max auth retry attempts", _K.AUTHENTICATION),
    ("requested sip trunk does not exist", _K.TRUNK_MISSING),
    ("fail to resolve target", _K.UNREACHABLE),
    ("dial err=", _K.UNREACHABLE),
    ("invite could not be sent", _K.UNREACHABLE),
    ("transport error", _K.UNREACHABLE),
    ("sdp", _K.MEDIA),
    ("codec", _K.MEDIA),
    ("audio", _K.MEDIA),
    ("call already closed", _K.MEDIA),
)
_BY_CODE: dict[str, DialFailureKind] = {
    api.TwirpErrorCode.CANCELED: _K.RING_TIMEOUT,
    api.TwirpErrorCode.DEADLINE_EXCEEDED: _K.RING_TIMEOUT,
    api.TwirpErrorCode.UNAVAILABLE: _K.SERVICE_UNAVAILABLE,
    api.TwirpErrorCode.RESOURCE_EXHAUSTED: _K.SERVICE_UNAVAILABLE,
    api.TwirpErrorCode.INVALID_ARGUMENT: _K.BAD_REQUEST,
    api.TwirpErrorCode.MALFORMED: _K.BAD_REQUEST,
    api.TwirpErrorCode.UNIMPLEMENTED: _K.BAD_REQUEST,
    api.TwirpErrorCode.NOT_FOUND: _K.BAD_REQUEST,
    api.TwirpErrorCode.UNAUTHENTICATED: _K.BAD_REQUEST,
    api.TwirpErrorCode.PERMISSION_DENIED: _K.BAD_REQUEST,
}


def failure_of(error: BaseException) -> DialFailure:
    """Return what an error of a dial means; one of `DIAL_ERRORS`."""
    if isinstance(error, api.SipCallError) and error.sip_status_code is not None:
        status = error.sip_status_code
        kind = _K.AUTHENTICATION if status in {401, 407} else _K.BAD_REQUEST
        return DialFailure(kind=kind, sip_status=status, sip_reason=error.sip_status or "")
    if isinstance(error, api.ServerError):
        reason = error.message.removeprefix("twirp error unknown: ")
        return DialFailure(kind=_kind(error), sip_reason=reason)
    if isinstance(error, aiohttp.ClientConnectorError):
        # Nothing was sent: the service is down, and nobody was called.
        return DialFailure(kind=_K.SERVICE_UNAVAILABLE, sip_reason=str(error))
    return DialFailure(kind=_K.OUTCOME_UNKNOWN, sip_reason=str(error) or type(error).__name__)


def _kind(error: api.ServerError) -> DialFailureKind:
    text = error.message.lower()
    for part, kind in _BY_TEXT:
        if part in text:
            return kind
    return _BY_CODE.get(error.code, _K.OUTCOME_UNKNOWN)
