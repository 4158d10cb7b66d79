"""Who hears whom while a human is asked: set by subscriptions, whoever comes and whenever.

A SIP service's participant publishes its track while the telephone still rings, and everybody in
the room is subscribed to it by default. So the two are set apart then, long before there is sound,
and again whenever something changes: a subscription that livekit-server makes by itself can come
after ours was taken away. Who answers at once is sooner than that: their call is dialled held, and
its sound passes once the two are apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

from livekit import rtc

from process.logs import get_logger
from sip.ports import SipTrouble
from sip.subscriptions import Subscriptions

log = get_logger(__name__)

SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
AGAIN_S = 0.25
"""After which each change is looked at once more."""
SET_WITHIN_S = 2.0
FADED_S = 0.1
"""So long a decoder may conceal that it gets nothing any more."""
_CHANGES: tuple[
    Literal["participant_connected", "track_published", "participant_attributes_changed"], ...
] = ("participant_connected", "track_published", "participant_attributes_changed")


class Gates:
    """Those between a person and the human who is called into their room.

    The person hears `line` of the agent's tracks, the human `aside`; both give a track's id.
    """

    def __init__(
        self,
        room: rtc.Room,
        person: str,
        subscriptions: Subscriptions,
        *,
        line: Callable[[], str],
        aside: Callable[[], str],
    ) -> None:
        self._room = room
        self._person = person
        self._subscriptions = subscriptions
        self._line, self._aside = line, aside
        self._changed = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    @property
    def human(self) -> rtc.RemoteParticipant | None:
        """Who was called into the room last, once they are there."""
        humans = self._humans
        return humans[-1] if humans else None

    def is_human(self, participant: rtc.RemoteParticipant) -> bool:
        """Return whether this is who was called into the room."""
        return participant.identity != self._person and participant.kind == SIP

    @property
    def _humans(self) -> list[rtc.RemoteParticipant]:
        """One who was hung up may be there a moment longer."""
        return [p for p in self._room.remote_participants.values() if self.is_human(p)]

    def begin(self) -> None:
        """Keep the two apart from now on."""
        for event in _CHANGES:
            self._room.on(event, self.check)
        self._keeping = asyncio.create_task(self._enforce(), name="gates")

    def check(self, *_: object) -> None:
        """See that they still are, now."""
        self._changed.set()

    async def set_apart(self) -> None:
        """Return once they are, and the human, who was held until then, is heard by the agent.

        Raises:
            SipTrouble: LiveKit does not do it.
        """
        await self._until_set(self._apart)
        await asyncio.sleep(FADED_S)
        if (human := self.human) is not None:
            await self._subscriptions.release(human.identity)

    async def open(self) -> None:
        """Have them hear each other.

        Raises:
            SipTrouble: LiveKit does not do it.
        """
        await self.aclose()
        await self._until_set(self._together)

    async def aclose(self) -> None:
        """Change nothing any more."""
        for event in _CHANGES:
            self._room.off(event, self.check)
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None

    async def _enforce(self) -> None:
        limit_s: float | None = AGAIN_S
        while True:
            try:
                await self._apart()
            except SipTrouble as exc:
                log.warning("a subscription was not set", why=exc)
                limit_s = AGAIN_S
            with suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await self._changed.wait()
            limit_s = AGAIN_S if self._changed.is_set() else None
            self._changed.clear()

    async def _until_set(self, setting: Callable[[], Awaitable[None]]) -> None:
        trouble = SipTrouble("LiveKit does not answer")
        with suppress(TimeoutError):
            async with asyncio.timeout(SET_WITHIN_S):
                while True:
                    try:
                        await setting()
                    except SipTrouble as exc:
                        trouble = exc
                        await asyncio.sleep(AGAIN_S)
                    else:
                        return
        raise trouble

    async def _apart(self) -> None:
        humans = self._humans
        theirs = [sid for human in humans for sid in human.track_publications]
        await self._set(self._person, [*theirs, self._aside()], hears=False)
        person = self._room.remote_participants.get(self._person)
        for human in humans:
            await self._set(human.identity, [*_tracks(person), self._line()], hears=False)

    async def _together(self) -> None:
        human, person = self.human, self._room.remote_participants.get(self._person)
        if human is None or person is None:
            raise SipTrouble("one of the two has left")
        await self._set(human.identity, _tracks(person), hears=True)
        await self._set(person.identity, _tracks(human), hears=True)

    async def _set(self, identity: str, sids: list[str], *, hears: bool) -> None:
        known = [each for each in sids if each]
        if known:
            await self._subscriptions.set(identity, known, hears=hears)


def _tracks(participant: rtc.RemoteParticipant | None) -> list[str]:
    return list(participant.track_publications) if participant is not None else []
