"""What the SIP service's errors mean, as observed of LiveKit SIP."""

from __future__ import annotations

import aiohttp
import pytest
from livekit import api

from sip.failures import failure_of
from sip.outbound import to_protobuf
from sip.ports import DialFailureKind as K
from sip.ports import DialRequest

pytestmark = pytest.mark.unit

PREFIX = "twirp error unknown: "


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("canceled", PREFIX + "sip request timed out", K.RING_TIMEOUT),
        ("canceled", PREFIX + "transaction failed to complete", K.RING_TIMEOUT),
        ("deadline_exceeded", PREFIX + "request timed out", K.RING_TIMEOUT),
        ("not_found", "requested sip trunk does not exist", K.TRUNK_MISSING),
        (
            "failed_precondition",
            PREFIX + "sip server required auth, but no username or password was provided",
            K.AUTHENTICATION,
        ),
        (
            "failed_precondition",
            PREFIX + "max auth retry attempts reached for SIP invite",
            K.AUTHENTICATION,
        ),
        (
            "failed_precondition",
            "transport<TCP> dial err=dial tcp :0->HOST:PORT: connect: connection refused",
            K.UNREACHABLE,
        ),
        ("invalid_argument", 'fail to resolve target for "HOST": no such host', K.UNREACHABLE),
        ("unknown", PREFIX + "the INVITE could not be sent: no local address", K.UNREACHABLE),
        ("failed_precondition", PREFIX + "no audio in sdp", K.MEDIA),
        ("failed_precondition", PREFIX + "common audio codec not found", K.MEDIA),
        ("unavailable", PREFIX + "cpu exhausted", K.SERVICE_UNAVAILABLE),
        ("invalid_argument", "missing room name", K.BAD_REQUEST),
        ("internal", "something else", K.OUTCOME_UNKNOWN),
    ],
)
def test_a_server_error(code: str, message: str, kind: K) -> None:
    failure = failure_of(api.ServerError(code, message, status=500))
    told = message.removeprefix(PREFIX)
    assert (failure.kind, failure.sip_status, failure.sip_reason) == (kind, None, told)


@pytest.mark.parametrize("status", [404, 480, 486, 503, 603])
def test_a_status_of_the_far_end(status: int) -> None:
    error = api.SipCallError(
        "resource_exhausted",
        "INVITE failed",
        status=429,
        metadata={"sip_status_code": str(status), "sip_status": "Why"},
    )
    failure = failure_of(error)
    assert (failure.sip_status, failure.sip_reason, failure.unknown) == (status, "Why", False)


@pytest.mark.parametrize(
    "error", [TimeoutError(), aiohttp.ServerDisconnectedError(), ConnectionResetError()]
)
def test_a_lost_answer_is_unknown(error: Exception) -> None:
    assert failure_of(error).unknown


def test_the_request_is_whole() -> None:
    message = to_protobuf(
        DialRequest(
            sip_trunk_id="ST_1",
            to_number="+12025550123",
            from_number="+12025550199",
            room_name="call-1",
            participant_identity="phone-1",
            ringing_timeout_s=30,
            max_call_duration_s=600,
            dial_before=1_800_000_000.25,
            held=True,
        )
    )
    assert dict(message.participant_attributes) == {
        "offhook.dial_before": "1800000000.250",
        "offhook.held": "true",
    }
    assert message.wait_until_answered
    assert message.ringing_timeout.seconds == 30
    assert message.max_call_duration.seconds == 645
    assert (message.sip_number, message.sip_call_to) == ("+12025550199", "+12025550123")
