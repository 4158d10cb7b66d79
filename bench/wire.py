"""What passed on the wire: when the caller fell silent, when the agent was heard, and how surely.

A frame is one RTP packet, 20 ms of G.711; its time is when the kernel received it (bench/relay.py).
Two detectors (bench/voiced.py) mark the voiced ones. A moment counts when both place it within
`AGREE_S`; a turn without such moments is discarded with the reason, never measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from bench.relay import AGENT, ANSWER, CALLER, RECORD
from bench.voiced import (
    FRAME,
    FRAME_S,
    G711,
    LATE_S,
    Phrase,
    Stream,
    Times,
    Voiced,
    by_energy,
    by_phrases,
    by_tone,
)

AGREE_S = 0.04
PAUSE_S = 0.14  # silence that is an end
_RTP_HEAD = 12

Find = Callable[[Times, Voiced], float | None]


class Discarded(Exception):
    """A turn that is not measured; says why."""


class Capture(Struct, frozen=True):
    """One call; `answered` is when its phone's 200 was on the wire."""

    caller: Stream
    agent: Stream
    answered: float | None


class Marks(Struct, frozen=True):
    """A direction's times, and what either detector takes for voiced."""

    at: Times
    one: Voiced
    two: Voiced

    def agreed(self, what: str, find: Find) -> float | None:
        """Return the moment that `find` finds by the first detector, if the second agrees.

        Raises:
            Discarded: they do not.
        """
        one, two = find(self.at, self.one), find(self.at, self.two)
        if one is None and two is None:
            return None
        if one is None or two is None or abs(one - two) > AGREE_S + 1e-3:
            raise Discarded(f"the detectors disagree about {what}")
        return one

    def silent(self, start: float, end: float) -> bool:
        """Whether both find nothing voiced from `start` to `end`; a lone frame is nothing."""
        among = (self.at > start) & (self.at <= end)
        return not (_lasting(self.one & among) and _lasting(self.two & among))


def read(log: Path) -> Capture:
    """Return what the relay wrote."""
    data, at = log.read_bytes(), 0
    packets: dict[int, list[tuple[float, bytes]]] = {CALLER: [], AGENT: []}
    answered = None
    while at + RECORD.size <= len(data):
        instant, what, size = RECORD.unpack_from(data, at)
        at += RECORD.size
        if what == ANSWER and answered is None:
            answered = instant
        elif what != ANSWER:
            packets[what].append((instant, data[at : at + size]))
        at += size
    return Capture(stream(packets[CALLER]), stream(packets[AGENT]), answered)


def stream(packets: list[tuple[float, bytes]]) -> Stream:
    """Return RTP packets as frames; what is not 20 ms of G.711 is left out."""
    times, frames, numbers = [], [], []
    for at, packet in packets:
        if len(packet) < _RTP_HEAD or packet[0] >> 6 != 2:
            continue
        numbers.append(int.from_bytes(packet[2:4], "big"))
        table = G711.get(packet[1] & 0x7F)
        payload = packet[_RTP_HEAD + 4 * (packet[0] & 0x0F) :]
        if table is not None and len(payload) == FRAME:
            times.append(at)
            frames.append(table[np.frombuffer(payload, np.uint8)])
    decoded = np.array(frames, np.int16).reshape(-1, FRAME)
    return Stream(np.array(times, np.float64), decoded, _lost(numbers))


def caller_marks(heard: Stream, phrases: list[Phrase]) -> Marks:
    """Return what is voiced of a caller who plays `phrases`."""
    return Marks(heard.at, by_energy(heard.frames), by_phrases(heard, phrases))


def agent_marks(heard: Stream) -> Marks:
    """Return what is voiced of an agent whose voice is the stubs' tone."""
    return Marks(heard.at, by_energy(heard.frames), by_tone(heard.frames))


def reply_ms(caller: Marks, agent: Marks, began: float, ended: float, until: float) -> float:
    """Return the ms from the caller's last voiced frame to the agent's first.

    Args:
        began: when the phone began to play the phrase; `ended` when its file was over, and
            `until` when the next one began, in seconds since the epoch.

    Raises:
        Discarded: there is no such pair of moments, or no certain one.
    """
    last = _needed(
        caller.agreed("the phrase's end", _last(began, min(ended + LATE_S, until))), "no phrase"
    )
    if not agent.silent(max(began, last - PAUSE_S), last):
        raise Discarded("the agent spoke at the end of the phrase")
    first = _needed(agent.agreed("the reply's start", _first(last, until)), "no reply")
    return (first - last) * 1000


def start_ms(agent: Marks, answered: float) -> float:
    """Return the ms from the answer to the agent's first voiced frame.

    Raises:
        Discarded: it never spoke, or the detectors disagree.
    """
    first = agent.agreed("the greeting's start", _first(answered, np.inf))
    return (_needed(first, "no greeting") - answered) * 1000


def stop_ms(caller: Marks, agent: Marks, began: float, until: float) -> float:
    """Return the ms from the caller's first voiced frame to the agent's last before a pause.

    Raises:
        Discarded: as above, or the agent was silent before, or never stopped.
    """
    first = _needed(
        caller.agreed("the interruption's start", _first(began - FRAME_S, until)), "no interruption"
    )
    if agent.silent(first - PAUSE_S, first):
        raise Discarded("the agent was silent before the interruption")
    last = _needed(agent.agreed("the agent's end", _stop(first, until)), "the agent never stopped")
    return (last - first) * 1000


def cut_off(caller: Marks, agent: Marks, first: tuple[float, float], until: float) -> bool:
    """Return whether the agent spoke after a sentence's first part, before `until`, its end.

    Args:
        first: when the phone played the first part, from and to.

    Raises:
        Discarded: the detectors disagree.
    """
    paused = _needed(caller.agreed("the pause", _last(first[0], first[1] + LATE_S)), "no phrase")
    if not agent.silent(first[0], paused):
        raise Discarded("the agent spoke during the first part")
    early = agent.agreed("the false start", _first(paused, until))
    return early is not None


def longest_gap_ms(agent: Marks, start: float, end: float) -> float:
    """Return the longest silence inside what the agent says from `start` to `end`, in ms."""
    among = agent.at[agent.one & (agent.at > start) & (agent.at < end)]
    if len(among) < 2:
        return 0.0
    return max(0.0, float(np.diff(among).max()) - FRAME_S) * 1000


def _needed(found: float | None, why: str) -> float:
    if found is None:
        raise Discarded(why)
    return found


def _first(start: float, end: float) -> Find:
    def find(at: Times, voiced: Voiced) -> float | None:
        among = at[voiced & (at > start) & (at <= end)]
        return float(among[0]) if len(among) else None

    return find


def _last(start: float, end: float) -> Find:
    def find(at: Times, voiced: Voiced) -> float | None:
        among = at[voiced & (at > start) & (at <= end)]
        return float(among[-1]) if len(among) else None

    return find


def _stop(start: float, end: float) -> Find:
    """Find the last voiced moment before the first pause."""

    def find(at: Times, voiced: Voiced) -> float | None:
        among = at[voiced & (at > start - PAUSE_S) & (at <= end)]
        pauses = np.flatnonzero(np.diff(among, append=np.inf) > PAUSE_S)
        if not len(among) or end - among[pauses[0]] < PAUSE_S:
            return None
        return float(among[pauses[0]])

    return find


def _lasting(voiced: Voiced) -> bool:
    return bool((voiced[1:] & voiced[:-1]).any())


def _lost(numbers: list[int]) -> int:
    steps: npt.NDArray[np.int64] = np.diff(np.array(numbers)) % 65_536
    return int((steps[steps < 0x8000] - 1).clip(0).sum())
