"""Whose RTP a call takes: the far end's own, so that a stranger's cannot drown it.

baresip empties its jitter buffer whenever the sender changes, so two senders that take turns leave
nothing to hear. The kernel therefore lets in only what comes from where the far end's SDP says.
Where a phone's sound comes from elsewhere (NAT, media servers), it lets in all but that, so that
two never take turns: what is refused then shows that the SDP was right after all. A phone that was
heard from where its SDP says may go on from another port (a NAT that has forgotten it), but not
from another host.
"""

from __future__ import annotations

import asyncio
import enum
import math
import time
from collections.abc import Callable

from structlog.stdlib import BoundLogger

from sip.gateway.rtp_socket import RtpSocket, SocketGone
from sip.gateway.sdp import Place
from sip.gateway.trace import SipTrace

_ECHO_S = 0.12  # for so long the jitter buffer may give sound from before the filter
_TRIAL_S = 0.22  # a phone whose RTP comes from elsewhere loses this much, and one look
_REFUSED_S = 0.15  # of which packets were refused for so long: enough for the right ones to sound
_MOVED_S = 2.0  # a phone that was heard may be silent for so long before other ports are let in
_BACK_S = 0.06  # the SDP's own place sends for so long: it is tried again
_BACK_MOST_S = 16.0
_GAP_S = 0.1  # a stream has no longer pauses between its packets
_SOON_S, _OFTEN_S, _SELDOM_S = 0.03, 0.05, 0.25
_MOST_FAR_ENDS = 256


class Mode(enum.Enum):
    """Whose packets come in."""

    STRICT = "strict"  # those of the SDP's place alone; whether it is right is not known yet
    LOCKED = "locked"  # the same, and sound from there was heard
    OPEN = "open"  # everybody else's
    MOVED = "moved"  # those of the SDP's host, from any port: sound was heard, and stopped


_HEARD = (Mode.LOCKED, Mode.MOVED)


class _Stream:
    """Since when packets have come without a longer pause."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._began = self._last = -math.inf

    def lasted(self, now: float, count: int) -> float:
        """For how many seconds `count` has kept rising."""
        before, self._count = self._count, count
        paused = now - self._last > _GAP_S
        if before is not None and count != before:
            self._began = now if paused else self._began
            self._last = now
        elif paused:
            return 0.0
        return now - self._began


class Judge:
    """Decides from what is seen of one call whose packets come in; the clock is told."""

    def __init__(self, now: float, *, opened: bool = False):
        self.mode = Mode.OPEN if opened else Mode.STRICT
        self.wait = _SOON_S  # seconds until the next look
        self._since = now
        self._refused = _Stream()
        self._back_s = _BACK_S

    def judge(self, now: float, sound_at: float | None, refused: int) -> Mode:
        """The mode from now on, by when the phone was last heard and how much was refused."""
        stream = self._refused.lasted(now, refused)
        heard_at = self._since if sound_at is None else max(self._since, sound_at)
        silent = now - heard_at
        if self.mode is Mode.STRICT:
            if heard_at - self._since > _ECHO_S:
                self._back_s = _BACK_S
                self._turn(now, Mode.LOCKED)
            elif stream >= _REFUSED_S and now - self._since >= _TRIAL_S:
                self._turn(now, Mode.OPEN)
        elif self.mode is Mode.LOCKED:
            if silent >= _MOVED_S and stream >= _REFUSED_S:
                self._turn(now, Mode.MOVED)
        elif self.mode is Mode.MOVED:
            if silent >= _MOVED_S:  # it was not the phone, or two of them take turns
                self._turn(now, Mode.LOCKED)
        elif stream >= self._back_s:
            self._back_s = min(4 * self._back_s, _BACK_MOST_S)
            self._turn(now, Mode.STRICT)
        if self.mode in _HEARD:
            self.wait = _OFTEN_S if silent >= _GAP_S else _SELDOM_S
        else:
            self.wait = _OFTEN_S if self.mode is Mode.OPEN else _SOON_S
        return self.mode

    def _turn(self, now: float, mode: Mode) -> None:
        self.mode, self._since = mode, now
        self._refused = _Stream()


class FarEnds:
    """Hosts whose sound came from elsewhere than their SDP said: their calls start open."""

    def __init__(self, most: int = _MOST_FAR_ENDS):
        self._most = most
        self._hosts: dict[str, None] = {}

    def __contains__(self, host: str) -> bool:
        return host in self._hosts

    def add(self, host: str) -> None:
        """Keep a host; the oldest goes when there are too many."""
        self._hosts[host] = None
        while len(self._hosts) > self._most:
            del self._hosts[next(iter(self._hosts))]

    def discard(self, host: str) -> None:
        """Forget a host: its SDP was right."""
        self._hosts.pop(host, None)


class Gate:
    """Keeps one call's RTP port for its far end, from `start` to `close`."""

    def __init__(
        self,
        trace: SipTrace,
        call_id: str,
        sound_at: Callable[[], float | None],
        far_ends: FarEnds,
        log: BoundLogger,
        at: Callable[[Place], RtpSocket] = RtpSocket.at,
    ):
        self._at = at
        self._trace = trace
        self._call_id = call_id
        self._sound_at = sound_at
        self._far_ends = far_ends
        self._log = log
        self._ends: tuple[Place, Place] | None = None
        self._socket: RtpSocket | None = None
        self._judge: Judge | None = None
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None
        self._unfollow: Callable[[], None] | None = None
        self.refused = 0

    @property
    def mode(self) -> Mode:
        """Whose packets come in now."""
        return self._judge.mode if self._judge is not None else Mode.OPEN

    def start(self) -> None:
        """Begin to look, and look again whenever a message changes where sound passes."""
        self._unfollow = self._trace.on_ends(self._call_id, self._again)
        self._again()

    def renew(self) -> None:
        """Look for the port's socket anew: another one stands before it by now."""
        self._ends = None
        self._again()

    def close(self) -> None:
        """End looking, and say how many packets of others were refused."""
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None
        if self._timer is not None:
            self._timer.cancel()
        self.check(time.monotonic())
        if self.refused:
            self._log.warning(
                "somebody else sent sound to this call's RTP port; none of it was let in",
                packets=self.refused,
            )

    def check(self, now: float) -> float | None:
        """See to the port once; in how many seconds to look again, None when nothing can change."""
        ends = self._trace.ends(self._call_id)
        if ends is None or ends.ours is None or ends.theirs is None:
            self._log.debug("where the sound comes from is not known: RTP is taken from anywhere")
            return None
        try:
            if (ends.ours, ends.theirs) != self._ends:
                self._begin(now, ends.ours, ends.theirs)
            if self._socket is None or self._judge is None:
                return None
            if ends.is_on_hold:  # a phone that need not send has not moved
                return self._judge.wait
            return self._judged(now, self._socket, self._judge, ends.theirs)
        except SocketGone as error:
            self._socket = None
            self._log.debug("the RTP port cannot be looked at", error=error)
            return None

    def _begin(self, now: float, ours: Place, theirs: Place) -> None:
        """The first SDP, or one with new addresses."""
        self._ends = (ours, theirs)
        self._socket = self._at(ours)
        self._dropped = self._socket.refused()
        self._judge = Judge(now, opened=theirs.host in self._far_ends)
        _apply(self._socket, self._judge.mode, theirs)

    def _judged(self, now: float, opened: RtpSocket, judge: Judge, theirs: Place) -> float:
        dropped = opened.refused()
        if judge.mode in _HEARD:  # else they may be the phone's own, from another place
            self.refused += dropped - self._dropped
        self._dropped = dropped
        before = judge.mode
        mode = judge.judge(now, self._sound_at(), dropped)
        if mode is not before:
            self._turned(mode, theirs)
            _apply(opened, mode, theirs)
        return judge.wait

    def _turned(self, mode: Mode, theirs: Place) -> None:
        """Keep in mind what was learned of the far end."""
        if mode is Mode.LOCKED:
            self._far_ends.discard(theirs.host)
        elif mode is Mode.MOVED:
            self._log.info("the phone is silent while others send: its other ports are taken, too")
        elif mode is Mode.OPEN:
            self._far_ends.add(theirs.host)
            self._log.info(
                "sound does not come from where the SDP says: it is taken from anywhere else"
            )

    def _again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = self.check(time.monotonic())
        if wait is not None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._again)


def _apply(opened: RtpSocket, mode: Mode, theirs: Place) -> None:
    if mode is Mode.OPEN:
        opened.all_but(theirs)
    elif mode is Mode.MOVED:
        opened.from_host(theirs)
    else:
        opened.only(theirs)
