"""The agent by the short way: what is said and heard, interrupted, handed to the room and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice.io import PlaybackFinishedEvent

from agent.audio.frames import SAID_RATE, frame_of
from agent.audio.input import FRAME_MS, HANDOVER_S, HEARD_RATE, AudioInput
from agent.audio.mixing import Loop
from agent.audio.output import AudioOutput
from agent.audio.short_way import ShortWay
from agent.audio.source import AHEAD_MS, REFILL_MS, AudioSource
from control_plane.domain.events import SoundWay
from process.resampling import Resampler
from process.short_way.carrier import Broken, Carrier
from process.short_way.messages import Clear, Hello, Message, Room, Sound
from process.short_way.offers import ATTRIBUTE, Folder, Offer

pytestmark = pytest.mark.unit
RATE = 8_000
SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP


class FakeWay:
    """The port of the source: keeps what it is handed."""

    rate = RATE

    def __init__(self) -> None:
        self.said: list[tuple[float, int]] = []  # when it plays, bytes
        self.handed_at: list[float] = []
        self.clears = 0
        self.changed = asyncio.Event()

    def say(self, samples: bytes, at: float) -> None:
        self.said.append((at, len(samples)))
        self.handed_at.append(time.time())
        self.changed.set()

    def clear(self) -> None:
        self.clears += 1

    @property
    def seconds(self) -> float:
        return sum(size for _, size in self.said) / 2 / RATE

    async def until(self, test: Callable[[], bool]) -> None:
        async with asyncio.timeout(5.0):
            while not test():
                self.changed.clear()
                await self.changed.wait()


class Mouth:
    """A line whose sound takes the short way."""

    def __init__(self) -> None:
        self.way = FakeWay()
        self.cuts: list[float] = []
        self.line = AudioOutput(lambda _data, _at: None, self.cuts.append)
        self.interrupted: list[bool] = []
        self.finished = asyncio.Event()
        self.line.on("playback_finished", self._on_finished)
        self.line.start()
        self.line.source.set_short_way(self.way)

    def _on_finished(self, event: PlaybackFinishedEvent) -> None:
        self.interrupted.append(event.interrupted)
        self.finished.set()

    async def speak(self, seconds: float) -> None:
        samples = int(seconds * SAID_RATE)
        await self.line.capture_frame(rtc.AudioFrame(bytes(samples * 2), SAID_RATE, 1, samples))


@pytest.fixture
async def mouth() -> AsyncIterator[Mouth]:
    made = Mouth()
    yield made
    await made.line.aclose()


def wave(hertz: float, rate: int, seconds: float = 0.5) -> bytes:
    at = np.arange(int(rate * seconds)) / rate
    return (8_000 * np.sin(2 * np.pi * hertz * at)).astype(np.int16).tobytes()


def level(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, np.int16)[400:-400].astype(float)
    return float(np.sqrt(np.mean(samples**2)))


@pytest.mark.parametrize(("rate", "to"), [(24_000, 8_000), (24_000, 16_000), (8_000, 16_000)])
def test_resampling_keeps_what_both_carry_and_nothing_else(rate: int, to: int) -> None:
    heard = Resampler(rate, to).of(wave(1_000, rate))
    assert len(heard) / 2 == to / 2, "half a second"
    assert level(heard) == pytest.approx(8_000 / np.sqrt(2), rel=0.02)
    assert level(Resampler(rate, to).of(wave(3_300, rate))) > 4_000
    if to < rate:
        assert level(Resampler(rate, to).of(wave(to * 0.6, rate))) < 60, "no alias"


def test_resampling_in_pieces_is_as_in_one() -> None:
    whole, pieces = Resampler(24_000, 16_000), Resampler(24_000, 16_000)
    sound = wave(700, 24_000)
    cut = b"".join(pieces.of(sound[at : at + 962]) for at in range(0, len(sound), 962))
    assert cut == whole.of(sound)
    same = Resampler(16_000, 16_000)
    assert same.of(sound) is sound


async def test_speech_is_handed_over_so_far_ahead_and_topped_up_seldom(mouth: Mouth) -> None:
    began = time.time()
    await mouth.speak(1.0)
    mouth.line.flush()
    await mouth.way.until(lambda: len(mouth.way.said) >= 15)
    ahead = mouth.way.said[0][0] + mouth.way.seconds - time.time()
    assert ahead <= AHEAD_MS / 1000
    handed = len(mouth.way.said)
    await mouth.way.until(lambda: len(mouth.way.said) > handed)
    held = mouth.way.said[0][0] + handed * 0.02 - time.time()
    assert held <= REFILL_MS / 1000, "not before"
    await mouth.way.until(lambda: mouth.way.seconds >= 0.999)
    assert time.time() - began < 1.0
    handed_at = np.array(mouth.way.handed_at)
    bursts = 1 + int(np.count_nonzero(np.diff(handed_at) > 0.01))
    assert bursts <= 12, "a wake-up for each would be 50"
    starts = [at for at, _ in mouth.way.said]
    assert np.allclose(np.diff(starts), 0.02, atol=1e-3), "one after the other"


async def test_nothing_is_handed_over_for_silence(mouth: Mouth) -> None:
    await mouth.speak(0.1)
    mouth.line.flush()
    await asyncio.sleep(0.5)
    assert mouth.way.seconds == pytest.approx(0.1)


async def test_a_segment_ends_though_its_end_is_told_late(mouth: Mouth) -> None:
    """As when a voice says that it has finished after its last sound was handed over."""
    await mouth.speak(0.1)
    await mouth.way.until(lambda: mouth.way.seconds >= 0.099)
    await asyncio.sleep(0.15)
    mouth.line.flush()
    async with asyncio.timeout(1.0):
        await mouth.finished.wait()
    assert mouth.interrupted == [False]


async def test_an_interruption_is_one_message_and_what_follows_is_heard_at_once(
    mouth: Mouth,
) -> None:
    await mouth.speak(2.0)
    mouth.line.flush()
    await mouth.way.until(lambda: len(mouth.way.said) >= 15)
    mouth.line.clear_buffer()
    assert mouth.way.clears == 1
    handed = len(mouth.way.said)
    cleared = time.time()
    await mouth.speak(0.1)
    mouth.line.flush()
    await mouth.way.until(lambda: len(mouth.way.said) > handed)
    assert abs(mouth.way.said[handed][0] - cleared) < 0.05, "no fade is said before it"
    assert len(mouth.cuts) == 1


async def test_a_pause_comes_again_where_it_was_broken_off(mouth: Mouth) -> None:
    await mouth.speak(1.0)
    mouth.line.flush()
    await mouth.way.until(lambda: len(mouth.way.said) >= 15)
    mouth.line.pause()
    assert mouth.way.clears == 1
    handed = mouth.way.seconds
    await asyncio.sleep(0.4)
    assert mouth.way.seconds == handed
    mouth.line.resume()
    await mouth.way.until(lambda: mouth.way.seconds > handed + 0.5)


async def test_a_background_goes_on_through_an_interruption(mouth: Mouth) -> None:
    mouth.line.play(Loop(np.full(2_400, 300, np.int16), 1.0, under_words=True))
    await mouth.way.until(lambda: len(mouth.way.said) >= 10)
    await mouth.speak(1.0)
    await mouth.way.until(lambda: mouth.way.clears >= 1)
    mouth.line.clear_buffer()
    handed = len(mouth.way.said)
    await mouth.way.until(lambda: len(mouth.way.said) >= handed + 10)


async def test_what_is_said_through_the_room_waits_for_what_the_gateway_plays() -> None:
    source, way = AudioSource(), FakeWay()
    source.set_short_way(way)
    now = time.time()
    for _ in range(10):
        await source.play(frame_of(bytes(960)), now)
    assert source.is_silent_by_itself
    source.use_room()
    assert not source.is_silent_by_itself
    await source.play(frame_of(bytes(960)), time.time())
    assert time.time() - now >= 0.19
    assert len(way.said) == 10
    source.use_short_way()
    again = time.time()
    await source.play(frame_of(bytes(960)), again)
    assert len(way.said) == 11
    assert way.said[-1][0] - again > 0.1, "after what is on its way through the room"
    await source.aclose()


class Ear:
    """A line in, and what was heard of it."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, float | None]] = []
        self.line = AudioInput(lambda samples, until=None: self.heard.append((samples, until)))
        self.line.set_short_way(FakeWay())


def test_what_is_heard_comes_in_whole_frames_with_its_time() -> None:
    ear, sound = Ear(), wave(500, RATE)
    size = 240  # bytes: 15 ms
    for n in range(20):
        ear.line.heard_shortly(sound[n * size : (n + 1) * size], 1_000 + n * 0.015)
    assert {len(samples) for samples, _ in ear.heard} == {HEARD_RATE * FRAME_MS // 1000 * 2}
    assert len(ear.heard) == 15
    untils = [until for _, until in ear.heard]
    assert untils == pytest.approx([1_000 + 0.02 * (n + 1) for n in range(15)])
    joined = b"".join(samples for samples, _ in ear.heard)
    assert level(joined) == pytest.approx(8_000 / np.sqrt(2), rel=0.02)


async def test_the_room_takes_over_at_once_and_gives_back_after_a_moment() -> None:
    ear = Ear()
    assert ear.line.sooner_by() > 0
    ear.line.use_room()
    assert ear.line.sooner_by() == 0
    ear.line.heard_shortly(bytes(320), 1.0)
    assert ear.heard == []
    ear.line.use_short_way()
    ear.line.heard_shortly(bytes(320), 2.0)
    assert ear.heard == [], "the room is still heard out"
    await asyncio.sleep(HANDOVER_S + 0.05)
    ear.line.heard_shortly(bytes(320), 2.02)
    assert [until for _, until in ear.heard] == pytest.approx([2.02, 2.04]), "nothing is lost"
    ear.line.use_short_way()
    ear.line.close()


class Sides:
    """Both sides of the port, and what they were told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.heard: list[tuple[bytes, float]] = []
        self.ways: list[tuple[SoundWay, str]] = []
        self.changed = asyncio.Event()

    def set_short_way(self, way: Any) -> None:
        self.told.append(f"take {way.rate}")
        self.changed.set()

    def use_room(self) -> None:
        self.told.append("room")
        self.changed.set()

    def use_short_way(self) -> None:
        self.told.append("short")
        self.changed.set()

    def heard_shortly(self, samples: bytes, at: float) -> None:
        self.heard.append((samples, at))
        self.changed.set()

    def routed(self, way: SoundWay, why: str) -> None:
        self.ways.append((way, why))

    async def until(self, test: Callable[[], bool]) -> None:
        async with asyncio.timeout(5.0):
            while not test():
                self.changed.clear()
                await self.changed.wait()


class Gateway:
    """A gateway's offer, and a room in which its participant shows it."""

    def __init__(self, data: Path) -> None:
        self.folder = Folder(data)
        self.folder.prepare()
        self.offer: Offer = self.folder.offer()
        self.person = SimpleNamespace(kind=SIP, attributes={ATTRIBUTE: self.offer.token})
        self.room: Any = SimpleNamespace(
            remote_participants={"phone": self.person},
            local_participant=SimpleNamespace(identity="agent"),
            on=lambda *_: None,
        )
        self.sides = Sides()
        self.carrier: Carrier | None = None

    def agent(self, *, on: bool = True) -> ShortWay:
        folder = self.folder if on else None
        way = ShortWay(folder, "phone", self.sides, self.sides, self.sides.routed)
        way.follow(self.room)
        return way

    async def taken(self) -> ShortWay:
        way = self.agent()
        found = self.offer.accepted(0.0, RATE)
        assert found is not None
        assert found.identity == "agent"
        self.carrier = found.carrier
        await self.sides.until(lambda: len(self.sides.told) == 2)
        return way

    def told(self) -> list[Message]:
        assert self.carrier is not None
        found: list[Message] = []
        try:
            while (message := self.carrier.receive()) is not None:
                found.append(message)
        except Broken:
            pass
        return found

    def say(self, message: Message) -> None:
        assert self.carrier is not None
        self.carrier.send(message)

    def close(self) -> None:
        self.offer.close()
        if self.carrier is not None:
            self.carrier.close()


@pytest.fixture
def gateway(tmp_path: Path) -> Any:
    made = Gateway(tmp_path)
    yield made
    made.close()


async def test_an_offer_is_taken_and_carries_both_ways(gateway: Gateway) -> None:
    way = await gateway.taken()
    assert gateway.sides.told == [f"take {RATE}"] * 2
    assert gateway.sides.ways == [(SoundWay.SHORT, "")]
    now = time.time()
    way.say(b"\1\2", now)
    way.clear()
    said, cleared = gateway.told()
    assert isinstance(said, Sound)
    assert abs(said.at / 1e6 - time.monotonic()) < 0.5
    assert isinstance(cleared, Clear)
    gateway.say(Sound(said.at, b"\3\4"))
    await gateway.sides.until(lambda: bool(gateway.sides.heard))
    ((samples, at),) = gateway.sides.heard
    assert samples == b"\3\4"
    assert abs(at - now) < 0.01
    way.answered()
    assert len(gateway.sides.ways) == 1
    way.close()


async def test_the_room_carries_while_the_gateway_says_so(gateway: Gateway) -> None:
    way = await gateway.taken()
    gateway.say(Room(True))
    await gateway.sides.until(lambda: len(gateway.sides.told) == 4)
    gateway.say(Room(False))
    await gateway.sides.until(lambda: len(gateway.sides.told) == 6)
    assert gateway.sides.told[2:] == ["room", "room", "short", "short"]
    assert [each for each, _ in gateway.sides.ways] == [
        SoundWay.SHORT, SoundWay.ROOM, SoundWay.SHORT,
    ]  # fmt: skip
    way.close()


@pytest.mark.parametrize("end", ["closed", "greets again", "clears"])
async def test_a_way_that_breaks_gives_the_call_to_the_room(gateway: Gateway, end: str) -> None:
    way = await gateway.taken()
    assert gateway.carrier is not None
    if end == "closed":
        gateway.carrier.close()
    else:
        gateway.say(Hello(rate=RATE) if end == "greets again" else Clear())
    await gateway.sides.until(lambda: len(gateway.sides.told) == 4)
    assert gateway.sides.told[2:] == ["room", "room"]
    assert gateway.sides.ways[1:] == [(SoundWay.ROOM, "the short way broke")]
    way.say(b"\1\1", time.time())
    way.clear()
    way.close()


async def test_a_gateway_that_reads_nothing_is_left_at_the_next_interruption(
    gateway: Gateway,
) -> None:
    way = await gateway.taken()
    for n in range(2_000):
        way.say(bytes(320), float(n))
    assert gateway.sides.told[2:] == [], "nobody waits for it"
    way.clear()
    assert gateway.sides.told[2:] == ["room", "room"]


async def test_a_farewell_is_no_fault(gateway: Gateway) -> None:
    way = await gateway.taken()
    assert gateway.carrier is not None
    gateway.carrier.close(bye=True)
    await gateway.sides.until(lambda: len(gateway.sides.told) == 3)
    assert len(gateway.sides.ways) == 1
    way.close()


@pytest.mark.parametrize("why", ["off", "no token", "a browser", "withdrawn", "another machine"])
async def test_whoever_has_no_offer_uses_the_room(
    gateway: Gateway, why: str, tmp_path: Path
) -> None:
    if why == "no token":
        gateway.person.attributes = {}
    elif why == "a browser":
        gateway.person.kind = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
    elif why == "withdrawn":
        gateway.offer.close()
    elif why == "another machine":
        gateway.folder = Folder(tmp_path / "elsewhere")
    way = gateway.agent(on=why != "off")
    way.answered()
    assert gateway.sides.told == []
    assert gateway.sides.ways == [(SoundWay.ROOM, "")]
    way.close()


async def test_a_gateway_that_does_not_greet_is_given_up(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = gateway.agent()
    await asyncio.sleep(1.1)
    assert gateway.offer.accepted(time.monotonic(), RATE) is None, "nobody is there any more"
    assert not way.rate
    assert gateway.sides.told == []
    way.close()
