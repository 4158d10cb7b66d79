"""Passing somebody on: REFER through LiveKit's SIP API, followed to its end."""

from __future__ import annotations

from datetime import timedelta

from livekit import api
from livekit.api.sip_service import SipService
from livekit.protocol import sip as proto

from sip.failures import DIAL_ERRORS
from sip.ports import TransferFailure, TransferFailureKind

_K = TransferFailureKind
_BY_NOTIFY = "call transfer failed"
"""In what the SIP service says of a status that came by NOTIFY, from whom they were passed to."""
_RANG = "while it rang"
"""In what the embedded service says of a limit that passed while a NOTIFY told of ringing."""
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
        self, *, room_name: str, participant_identity: str, to_uri: str, ringing_s: int
    ) -> TransferFailure | None:
        """Return null once somebody has answered, or why nobody did.

        The embedded gateway gives up after ten seconds when it was told of no ringing; LiveKit's
        own service cannot, and waits for `ringing_s` then.
        """
        request = proto.TransferSIPParticipantRequest(
            room_name=room_name,
            participant_identity=participant_identity,
            transfer_to=to_uri,
            play_dialtone=True,
        )
        request.ringing_timeout.FromTimedelta(timedelta(seconds=ringing_s))
        try:
            answer = await self._service.transfer_sip_participant(request)
        except DIAL_ERRORS as exc:
            return failure_of(exc)
        if answer.status == proto.SIPTransferStatus.STS_TRANSFER_FAILED:
            status = answer.sip_status
            return TransferFailure(
                kind=_K.REFUSED, sip_status=int(status.code) or None, sip_reason=status.status
            )
        return None


def failure_of(error: BaseException) -> TransferFailure:
    """Return what an error of a transfer means; one of `DIAL_ERRORS`."""
    if isinstance(error, api.SipCallError) and error.sip_status_code is not None:
        kind = _K.REFUSED if _BY_NOTIFY in error.message else _K.UNSUPPORTED
        return TransferFailure(
            kind=kind, sip_status=error.sip_status_code, sip_reason=error.sip_status or ""
        )
    if isinstance(error, api.ServerError):
        reason = error.message.removeprefix("twirp error unknown: ")
        kind = _BY_CODE.get(error.code, _K.SERVICE)
        if kind is _K.SILENT and _RANG in reason:
            kind = _K.UNANSWERED
        return TransferFailure(kind=kind, sip_reason=reason)
    return TransferFailure(kind=_K.SERVICE, sip_reason=str(error) or type(error).__name__)
