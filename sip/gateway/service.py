"""The service's methods on calls: CreateSIPParticipant and TransferSIPParticipant."""

from __future__ import annotations

from google.protobuf import empty_pb2
from livekit.api.access_token import Claims
from livekit.protocol import sip as proto

from sip.gateway import outbound, validate
from sip.gateway.calls import Parts
from sip.gateway.errors import relayed
from sip.gateway.store import Store
from sip.gateway.transfer import transfer
from sip.gateway.twirp import Method, denied, needs


class CallService:
    """Starts and transfers calls."""

    def __init__(self, parts: Parts, store: Store, own_host: str):
        self._parts = parts
        self._store = store
        self._own_host = own_host

    def methods(self) -> dict[str, Method]:
        """The Twirp methods by name."""
        return {
            "CreateSIPParticipant": Method(
                proto.CreateSIPParticipantRequest, needs("call"), self.create
            ),
            "TransferSIPParticipant": Method(
                proto.TransferSIPParticipantRequest, _may_transfer, self.transfer
            ),
        }

    async def create(self, request: proto.CreateSIPParticipantRequest) -> proto.SIPParticipantInfo:
        """Dial; returns when the INVITE is out, or when the phone has answered if asked to wait."""
        plan = outbound.plan(request, self._store.outbound, self._own_host, self._parts.codecs)
        if self._parts.calls.full:
            raise relayed("unavailable", "no room for another call")
        call = outbound.OutboundCall(self._parts, plan)
        self._parts.calls.start(call, call.run())
        if request.wait_until_answered:
            await call.ready()
        else:
            await call.placed()
        return proto.SIPParticipantInfo(
            participant_id=call.participant_id,
            participant_identity=call.member.identity,
            room_name=call.member.room,
            sip_call_id=call.call_id,
        )

    async def transfer(self, request: proto.TransferSIPParticipantRequest) -> empty_pb2.Empty:
        """Refer the phone elsewhere."""
        await transfer(self._parts.calls, request)
        return empty_pb2.Empty()


def _may_transfer(claims: Claims, request: proto.TransferSIPParticipantRequest) -> None:
    """Whoever may call and is admin of that very room; what is missing is told before."""
    validate.transfer_subject(request)
    needs("call")(claims, request)
    video = claims.video
    if video is None or not video.room_admin or video.room != request.room_name:
        raise denied()
