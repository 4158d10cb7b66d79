"""How an agent learns whom it speaks with: from its dispatch, or by asking who answers a call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from livekit import rtc
from livekit.agents import JobContext

from agent.internal_api import InternalApi, Unreachable
from control_plane.domain.brief import CallBrief, decode_metadata
from process.logs import get_logger

CALLER_LIMIT_S = 10.0
BRIEF_LIMIT_S = 15.0
"""As long as a dispatched agent may take to get ready; a caller is willing to wait longer."""
RETRY_FIRST_S, RETRY_MOST_S = 0.1, 2.0
log = get_logger(__name__)


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
    if metadata.attempt_id is not None:
        return await _request(internal_url, metadata.token, InternalApi.fetch_brief)
    await context.connect()
    await _caller(context.room)
    # LiveKit's word for which room is this job's; the SDK shows it nowhere else.
    return await _request(internal_url, context._info.token, InternalApi.claim_inbound)


async def _request(
    internal_url: str, token: str, ask: Callable[[InternalApi], Awaitable[CallBrief]]
) -> CallBrief:
    api = InternalApi(internal_url, token)
    try:
        return await insist(lambda: ask(api))
    finally:
        await api.aclose()


async def insist(
    ask: Callable[[], Awaitable[CallBrief]], *, limit_s: float = BRIEF_LIMIT_S
) -> CallBrief:
    """Return what `ask` brings, which is asked again while the control plane is out of reach.

    Raises:
        agent.internal_api.Unreachable: still, after `limit_s`.
        agent.internal_api.Refused: it said no.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + limit_s
    delay_s = RETRY_FIRST_S
    while True:
        try:
            return await ask()
        except Unreachable as exc:
            if clock() + delay_s > until:
                raise Unreachable(f"no brief within {limit_s:g} s: {exc}") from exc
            log.warning("the brief cannot be had yet", why=exc)
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, RETRY_MOST_S)


async def _caller(room: rtc.Room) -> None:
    """Return once the phone is in the room, waiting for it if the agent was faster."""
    came = asyncio.Event()

    def check(person: rtc.RemoteParticipant) -> None:
        if person.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP:
            came.set()

    room.on("participant_connected", check)
    try:
        for person in room.remote_participants.values():
            check(person)
        async with asyncio.timeout(CALLER_LIMIT_S):
            await came.wait()
    except TimeoutError:
        raise NobodyThere from None
    finally:
        room.off("participant_connected", check)
