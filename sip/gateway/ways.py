"""By which ways one call's sound passes: its room's tracks, and the short way beside them.

The tracks stay published and subscribed all along. While the short way carries the sound, nothing
is put into ours and the agent's is not listened to, so the room takes over at once when it has to:
when the short way breaks, and while anybody else is there. Then all sound passes through the room,
and a subscription that is taken away there counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from livekit import rtc

from process.logs import get_logger
from process.short_way.offers import ATTRIBUTE, Folder, NoFolder, Offer
from sip.gateway.bridge import Bridge
from sip.gateway.media import MediaEngine
from sip.gateway.rooms import Member
from sip.gateway.rtp_port import RtpPort
from sip.gateway.short_way import ShortWay

log = get_logger("sip.gateway.ways")
_LOOK_S = 0.3  # livekit-server tells participants of one who only listens seconds later
LINGER_S = 0.6  # what is still on its way through the room when it is no longer needed


class Ways:
    """One call's; everything here runs in the event loop.

    Args:
        others: whether anybody else than this participant and the phone is in the room; None when
            that cannot be said.
        taken: told who has taken the short way.
        linger_s: for so long (s) the room is heard after it is no longer needed.
    """

    def __init__(
        self,
        media: MediaEngine,
        bridge: Bridge,
        others: Callable[[str], Awaitable[bool | None]],
        taken: Callable[[str], None],
        *,
        linger_s: float = LINGER_S,
    ):
        self._linger_s = linger_s
        self._media = media
        self._bridge = bridge
        self._others = others
        self._taken = taken
        self._tracks: dict[str, tuple[rtc.Track, str]] = {}  # subscribed; and whose each is
        self._short: ShortWay | None = None
        self._agent: str | None = None  # who has taken the short way
        self._by_room = True  # the agent's sound comes through the room, too
        self._looking: asyncio.Task[None] | None = None
        self._someone_moved = asyncio.Event()
        self._is_over = False
        self.port = RtpPort()
        bridge.listen_at(self.port)

    def offer(self, offer: Offer | None) -> None:
        """Let the short way be taken by whoever has the token."""
        if offer is None:
            return
        call = asyncio.get_running_loop().call_soon_threadsafe
        self._short = ShortWay(
            offer,
            lambda agent: call(self._begin, agent),
            lambda: call(self._lost),
            self._bridge.rate,
        )
        self._bridge.offer(self._short)

    def track(self, sid: str, track: rtc.Track, owner: str) -> None:
        """A participant's track is subscribed."""
        self._tracks[sid] = (track, owner)
        if owner != self._agent or self._by_room:
            self._media.hear(self._bridge, sid, track)

    def track_ended(self, sid: str) -> None:
        """It is not any longer."""
        if self._tracks.pop(sid, None) is not None:
            self._media.unhear(self._bridge, sid)

    def recheck(self) -> None:
        """Somebody came or left: see at once who is there."""
        self._someone_moved.set()

    async def close(self) -> None:
        """The call is over; who has just taken the short way finds nobody."""
        self._is_over = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        self.port.close()

    def _begin(self, agent: str) -> None:
        if self._is_over:
            return
        self._agent = agent
        self._looking = asyncio.create_task(self._check(agent), name="others in the room")
        self.port.wants_ear = True
        self._taken(agent)

    async def _check(self, agent: str) -> None:
        """Have the room carry the sound while others are there, and rest while nobody is."""
        told = lingers = False
        while True:
            others = await self._others(agent)
            if others is not None and others != told:
                told = others
                self._report(others)
            if others:
                lingers = True
                self._through_room(agent)
            elif others is False and self._by_room:
                await asyncio.sleep(self._linger_s if lingers else 0.0)
                self._past_room(agent)
            self._someone_moved.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._someone_moved.wait()

    def _report(self, others: bool) -> None:
        if self._short is not None:
            self._short.room_rests = False
            self._short.room_carries(others)

    def _through_room(self, agent: str) -> None:
        if not self._by_room:
            self._by_room = True
            for sid, track in self._of(agent).items():
                self._media.hear(self._bridge, sid, track)

    def _past_room(self, agent: str) -> None:
        self._by_room = False
        for sid in self._of(agent):
            self._media.unhear(self._bridge, sid)
        if self._short is not None:
            self._short.room_rests = True

    def _lost(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._agent is not None:
            self._through_room(self._agent)

    def _of(self, owner: str) -> dict[str, rtc.Track]:
        return {sid: track for sid, (track, whose) in self._tracks.items() if whose == owner}


def offered(folder: Folder | None) -> Offer | None:
    """A call's offer; None when there is no place for it."""
    if folder is None:
        return None
    try:
        return folder.offer()
    except NoFolder as error:
        log.warning("the short way cannot be offered: sound passes through the room", why=error)
        return None


def with_token(member: Member, offer: Offer | None) -> Member:
    """The member with the offer's token, and with nobody else's."""
    shown = {name: value for name, value in member.attributes.items() if name != ATTRIBUTE}
    if offer is not None:
        shown[ATTRIBUTE] = offer.token
    return replace(member, attributes=shown)
