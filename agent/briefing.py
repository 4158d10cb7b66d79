"""How an agent learns whom it speaks with: from its dispatch, or by asking who answers a call."""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.agents import JobContext

from agent.internal_api import InternalApi
from control_plane.domain.brief import CallBrief, InboundCall, decode_metadata

CALLER_LIMIT_S = 10.0


class NobodyThere(Exception):
    """The caller left before anybody could answer."""


async def get_brief(context: JobContext, internal_url: str) -> CallBrief:
    """Return the brief of this job; for a call that came in, connects to the room first.

    Raises:
        msgspec.ValidationError: the dispatch is not ours.
        agent.internal_api.Unreachable, Refused: the control plane gave none.
        NobodyThere: the caller hung up.
    """
    metadata = decode_metadata(context.job.metadata)
    api = InternalApi(internal_url, metadata.token)
    try:
        if metadata.attempt_id is not None:
            return await api.fetch_brief()
        await context.connect()
        return await api.claim_inbound(_inbound(context.room, await _caller(context.room)))
    finally:
        await api.aclose()


async def _caller(room: rtc.Room) -> rtc.RemoteParticipant:
    """Return the SIP participant, waiting for it if the agent was faster."""
    found: asyncio.Future[rtc.RemoteParticipant] = asyncio.get_running_loop().create_future()

    def look(person: rtc.RemoteParticipant) -> None:
        if person.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP and not found.done():
            found.set_result(person)

    room.on("participant_connected", look)
    try:
        for person in room.remote_participants.values():
            look(person)
        async with asyncio.timeout(CALLER_LIMIT_S):
            return await found
    except TimeoutError:
        raise NobodyThere from None
    finally:
        room.off("participant_connected", look)


def _inbound(room: rtc.Room, caller: rtc.RemoteParticipant) -> InboundCall:
    facts = caller.attributes
    return InboundCall(
        room_name=room.name,
        participant_identity=caller.identity,
        called_number=facts.get("sip.trunkPhoneNumber", ""),
        calling_number=facts.get("sip.phoneNumber", ""),
        sip_call_id=facts.get("sip.callIDFull", ""),
        sip_trunk_id=facts.get("sip.trunkID", ""),
    )
