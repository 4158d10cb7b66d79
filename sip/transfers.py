"""Passing somebody on: REFER through LiveKit's SIP API, followed to its end."""

from __future__ import annotations

from datetime import timedelta

from livekit import api
from livekit.api.sip_service import SipService
from livekit.protocol import sip as proto

from sip.failures import DIAL_ERRORS
from sip.ports import TransferFailure, TransferFailureKind

RINGING_S = 30
"""So long it may ring where the person is passed to. The embedded gateway gives up after ten
seconds when it was told of no ringing; LiveKit's own service cannot, and waits this long then."""
_K = TransferFailureKind
_NO_REFER = frozenset({405, 420, 501})
_BY_CODE: dict[str, TransferFailureKind] = {
    api.TwirpErrorCode.DEADLINE_EXCEEDED: _K.SILENT,
    api.TwirpErrorCode.CANCELED: _K.SILENT,
    api.TwirpErrorCode.ABORTED: _K.HUNG_UP,
    api.TwirpErrorCode.NOT_FOUND: _K.HUNG_UP,
}


class LiveKitTransferrer:
    """Passes people on through LiveKit's SIP API."""

    def __init__(self, service: SipService):
        self._service = service

    async def transfer(
        self, *, room_name: str, participant_identity: str, to_number: str
    ) -> TransferFailure | None:
        """Return null once somebody has answered, or why nobody did."""
        request = proto.TransferSIPParticipantRequest(
            room_name=room_name,
            participant_identity=participant_identity,
            transfer_to=f"tel:{to_number}",
            play_dialtone=True,
        )
        request.ringing_timeout.FromTimedelta(timedelta(seconds=RINGING_S))
        try:
            answer = await self._service.transfer_sip_participant(request)
        except DIAL_ERRORS as exc:
            return failure_of(exc)
        if answer.status == proto.SIPTransferStatus.STS_TRANSFER_FAILED:
            status = answer.sip_status
            return _refused(int(status.code) or None, status.status)
        return None


def failure_of(error: BaseException) -> TransferFailure:
    """Return what an error of a transfer means; one of `DIAL_ERRORS`."""
    if isinstance(error, api.SipCallError) and error.sip_status_code is not None:
        return _refused(error.sip_status_code, error.sip_status or "")
    if isinstance(error, api.ServerError):
        reason = error.message.removeprefix("twirp error unknown: ")
        return TransferFailure(kind=_BY_CODE.get(error.code, _K.SERVICE), sip_reason=reason)
    return TransferFailure(kind=_K.SERVICE, sip_reason=str(error) or type(error).__name__)


def _refused(status: int | None, reason: str) -> TransferFailure:
    kind = _K.UNSUPPORTED if status in _NO_REFER else _K.REFUSED
    return TransferFailure(kind=kind, sip_status=status, sip_reason=reason)
