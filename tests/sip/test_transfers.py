"""What the SIP service's answers to a transfer mean."""

from __future__ import annotations

import pytest
from livekit import api

from sip.ports import TransferFailureKind as Kind
from sip.transfers import failure_of

pytestmark = pytest.mark.unit


def refusal(status: int, reason: str) -> api.SipCallError:
    meta = {"sip_status_code": str(status), "sip_status": reason}
    return api.SipCallError("resource_exhausted", reason, status=429, metadata=meta)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (refusal(486, "call transfer failed: sip status: 486: Busy Here"), Kind.REFUSED, 486),
        (refusal(486, "sip status: 486: Busy Here"), Kind.UNSUPPORTED, 486),
        (refusal(403, "sip status: 403: Forbidden"), Kind.UNSUPPORTED, 403),
        (refusal(501, "Not Implemented"), Kind.UNSUPPORTED, 501),
        (refusal(405, "Method Not Allowed"), Kind.UNSUPPORTED, 405),
        (api.ServerError("deadline_exceeded", "request timed out", status=408), Kind.SILENT, None),
        (
            api.ServerError("deadline_exceeded", "request timed out while it rang", status=408),
            Kind.UNANSWERED,
            None,
        ),
        (api.ServerError("canceled", "context deadline", status=408), Kind.SILENT, None),
        (api.ServerError("aborted", "the phone hung up", status=409), Kind.HUNG_UP, None),
        (api.ServerError("not_found", "no participant", status=404), Kind.HUNG_UP, None),
        (api.ServerError("unavailable", "full", status=503), Kind.SERVICE, None),
        (TimeoutError(), Kind.SERVICE, None),
        (ConnectionRefusedError("nobody listens"), Kind.SERVICE, None),
    ],
)
def test_each_answer_has_its_meaning(error: BaseException, kind: Kind, status: int | None) -> None:
    failure = failure_of(error)
    assert (failure.kind, failure.sip_status) == (kind, status)
    assert failure.sip_reason
