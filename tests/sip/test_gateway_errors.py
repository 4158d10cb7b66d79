"""The table from SIP status to Twirp error, as the golden record has it."""

from __future__ import annotations

import base64

import pytest
from google.rpc import status_pb2
from livekit.protocol import sip as proto

from sip.gateway.errors import dial_failed, leave_reason, transfer_failed

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("status", "code", "http"),
    [
        (302, "not_found", 404),
        (406, "invalid_argument", 400),
        (410, "not_found", 404),
        (484, "invalid_argument", 400),
        (499, "invalid_argument", 400),
        (504, "deadline_exceeded", 408),
        (600, "resource_exhausted", 429),
        (603, "permission_denied", 403),
    ],
)
def test_codes(status: int, code: str, http: int) -> None:
    error = dial_failed(status, "Why")
    assert (error.code, error.http_status) == (code, http)
    assert error.meta["sip_status_code"] == str(status)


def test_an_empty_reason_is_the_status_itself() -> None:
    error = dial_failed(499, "")
    assert error.message.endswith("sip status: 499 (499)")
    assert error.meta["sip_status"] == "499"


@pytest.mark.parametrize(
    ("status", "reason"), [(404, 11), (480, 11), (603, 12), (486, 12), (500, 1)]
)
def test_leave_reasons(status: int, reason: int) -> None:
    assert leave_reason(status) == reason


def test_details_name_the_status() -> None:
    error = transfer_failed(486, "Busy", notified=True)
    outer = status_pb2.Status.FromString(base64.b64decode(error.meta["error_details"]))
    inner = proto.SIPStatus()
    assert outer.details[0].Unpack(inner)
    assert (outer.code, inner.code, inner.status) == (8, 486, "Busy")
    assert "call transfer failed" in error.message
