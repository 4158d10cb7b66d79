"""Humans whom the agent has called into its room: asked for and followed at the control plane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agent.internal_api import HumansApi, Refused, Unreachable
from control_plane.domain.human_leg import (
    LINE_WITHIN,
    HumanAsked,
    HumanResult,
    HumanSaid,
    HumanState,
    HumanView,
)
from control_plane.domain.ids import new_id
from control_plane.domain.transfer_targets import LONGEST_RINGING_S
from process.logs import get_logger

log = get_logger(__name__)
AGAIN_S = 0.3
LIMIT_S = LINE_WITHIN.total_seconds() + LONGEST_RINGING_S + 30.0
"""Beyond what the scheduler may take, and a restart of it: then nothing is coming any more."""
_FINAL = frozenset({HumanState.ANSWERED, HumanState.OVER})


class Humans:
    """Those of one session.

    Args:
        limit_s: for so long a human is waited for.
    """

    def __init__(self, api: HumansApi, session_id: str, *, limit_s: float = LIMIT_S) -> None:
        self._api = api
        self._session_id = session_id
        self._limit_s = limit_s

    async def bring_in(
        self, to_number: str, *, reason: str, because: str, is_asked_first: bool = False
    ) -> HumanView:
        """Have a human called into the room; return what came of it, once that is known.

        A control plane that is out of reach meanwhile is waited for: a human who has answered
        talks to the person already.
        """
        asked = HumanAsked(
            id=new_id(),
            to_phone_number=to_number,
            reason=reason,
            because=because,
            is_asked_first=is_asked_first,
        )
        failed = HumanView(id=asked.id, state=HumanState.OVER, result=HumanResult.FAILED)
        try:
            async with asyncio.timeout(self._limit_s):
                await self._until_done(lambda: self._api.request_human(self._session_id, asked))
                while True:
                    human = await self._until_done(
                        lambda: self._api.follow_human(self._session_id, asked.id)
                    )
                    if human.state in _FINAL:
                        return human
        except (Refused, TimeoutError) as exc:
            log.warning("a human was not called", why=exc if isinstance(exc, Refused) else "limit")
            return failed

    async def note(self, human_id: str, result: HumanResult) -> HumanView:
        """Have it kept what a human said who was asked first; return them as they are then."""
        said = HumanSaid(result=result)
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._until_done(
                    lambda: self._api.note_human(self._session_id, human_id, said)
                )
        except (Refused, TimeoutError) as exc:
            log.warning(
                "what a human said was not kept", why=exc if isinstance(exc, Refused) else "limit"
            )
            return HumanView(id=human_id, state=HumanState.OVER, result=HumanResult.FAILED)

    async def _until_done(self, request: Callable[[], Awaitable[HumanView]]) -> HumanView:
        while True:
            try:
                return await request()
            except Unreachable as exc:
                log.warning("the control plane is out of reach", why=exc)
                await asyncio.sleep(AGAIN_S)
