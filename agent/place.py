"""The agent's place in a call's room, and what becomes of the room when it leaves."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp
import msgspec
from livekit import api
from livekit.agents import JobContext

from agent.ending import Verdict
from control_plane.domain.brief import decode_metadata
from sip import leaving

END_ROOM_LIMIT_S = leaving.BARE_LIMIT_S + leaving.LEAVE_LIMIT_S + 1.0


class Place:
    """Where the agent is until `leave`.

    The room goes with the agent, which hangs up the person's side, unless that talks on with a
    human. That of a browser session stays until the agent knows that the conversation is over:
    another one may be sent there.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._stays = False
        self._others_talk = False
        # What is not ours is left as it is said to be left, at the latest by who made the room.
        with suppress(msgspec.MsgspecError):
            self._stays = decode_metadata(context.job.metadata).room_stays

    def is_anothers(self) -> None:
        """Leave the room as it is: another agent holds the conversation in it."""
        self._others_talk = True

    def conversation_is_over(self) -> None:
        """Let the room go with the agent."""
        self._stays = False

    def left_by(self, verdict: Verdict) -> Verdict:
        """Return `verdict`, by which the agent leaves; the room goes unless others stay in it."""
        self._stays = self._stays and verdict.is_open
        self._others_talk = self._others_talk or verdict.hands_over
        return verdict

    async def leave(self) -> None:
        """Hang up the person's side, leave, and delete the room; or leave alone."""
        context = self._context
        # Gone already, or the server is: the scheduler deletes what is left.
        with suppress(api.ServerError, aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(END_ROOM_LIMIT_S):
                if self._stays or self._others_talk:
                    await context.room.disconnect()
                else:
                    await leaving.end_room(context.api, context.job.room.name, me=context.room)
