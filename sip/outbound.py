"""Placing a call: a SIP participant in a room, waited for until it is answered."""

from __future__ import annotations

from datetime import timedelta

from livekit import api
from livekit.api.sip_service import SipService
from livekit.protocol.sip import CreateSIPParticipantRequest

from sip import deadline, holding
from sip.failures import DIAL_ERRORS, failure_of
from sip.ports import Answered, DialFailure, DialRequest, TooLate

MARGIN_S = 15
"""The SIP service's own limit lies this far behind ours: it only catches what we miss."""


class LiveKitDialer:
    """Dials through LiveKit's SIP API."""

    def __init__(self, service: SipService):
        self._service = service

    async def dial(self, request: DialRequest) -> Answered | DialFailure | TooLate:
        """Return once the call is answered or has failed; never raises what the network does."""
        try:
            info: api.SIPParticipantInfo = await self._service.create_sip_participant(
                to_protobuf(request)
            )
        except DIAL_ERRORS as exc:
            if isinstance(exc, api.ServerError) and deadline.TOO_LATE in exc.message:
                return TooLate()
            return failure_of(exc)
        return Answered(info.sip_call_id)


def to_protobuf(request: DialRequest) -> CreateSIPParticipantRequest:
    """Return the SIP API's request; the duration is counted from the dial there."""
    message = CreateSIPParticipantRequest(
        sip_trunk_id=request.sip_trunk_id,
        sip_call_to=request.to_number,
        sip_number=request.from_number,
        room_name=request.room_name,
        participant_identity=request.participant_identity,
        participant_attributes={
            **deadline.attributes(request.dial_before),
            **holding.attributes(request.held),
        },
        wait_until_answered=True,
    )
    message.ringing_timeout.FromTimedelta(timedelta(seconds=request.ringing_timeout_s))
    whole = request.ringing_timeout_s + request.max_call_duration_s + MARGIN_S
    message.max_call_duration.FromTimedelta(timedelta(seconds=min(whole, 86_400)))
    return message
