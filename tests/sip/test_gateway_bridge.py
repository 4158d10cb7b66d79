"""A call's sound, frame by frame, with a phone and a room that only keep what they get."""

from __future__ import annotations

import array
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from baresip.audio import AudioInfo
from baresip.errors import AudioNotActive

from sip.gateway.bridge import Bridge
from sip.gateway.rtp import Packet
from sip.gateway.tones import dial_tone, mixed
from tests.contract.sip.near import tone
from tests.contract.sip.voice import level

pytestmark = pytest.mark.unit
CHUNK, FRAME = 160, 320
SILENCE = bytes(CHUNK)
DIAL_TONE = dial_tone(8_000)


class FakePhone:
    """The port CallAudio offers: `incoming` is read, what is written lies in `written`."""

    def __init__(self) -> None:
        self.incoming = b""
        self.written: list[bytes] = []
        self.fill = FRAME
        self.active = True
        self.rate = 8_000

    def read(self, size: int) -> bytes:
        if not self.active:
            raise AudioNotActive("gone")
        out, self.incoming = self.incoming[:size], self.incoming[size:]
        return out

    def write(self, pcm: bytes) -> int:
        self.written.append(pcm)
        return len(pcm)

    def info(self) -> AudioInfo:
        if not self.active:
            raise AudioNotActive("gone")
        return AudioInfo(True, True, self.rate, 1, 20, self.rate, 1, self.fill, 0, 32768, 32768)


class Owner:
    """A stream's handle."""

    disposed = False

    def dispose(self) -> None:
        self.disposed = True


def bridge(rate: int = 8_000) -> tuple[Bridge, FakePhone, list[bytes]]:
    captured: list[bytes] = []
    made = Bridge(None, captured.append, rate)  # type: ignore[arg-type]
    phone = FakePhone()
    made.connect(phone, 0.0)  # type: ignore[arg-type]
    return made, phone, captured


def frame(value: int) -> bytes:
    return array.array("h", [value] * (FRAME // 2)).tobytes()


def test_the_phones_sound_is_cut_into_ten_milliseconds() -> None:
    made, phone, captured = bridge()
    phone.incoming = bytes(range(256))[: CHUNK + 40]
    made.tick(1.0)
    assert [len(c) for c in captured] == [CHUNK]
    phone.incoming = bytes(CHUNK - 40)
    made.tick(1.01)
    assert len(captured) == 2
    assert made.quiet_for(1.51) == (True, 0.5)


def test_silence_and_dial_tone_fill_the_gap() -> None:
    captured: list[bytes] = []
    made = Bridge(None, captured.append, 8_000)  # type: ignore[arg-type]
    made.tick(1.0)
    assert captured == [SILENCE]
    made.room_tone(True)
    made.tick(1.1)
    assert captured[-1] == DIAL_TONE.at(0, CHUNK)
    made.connect(FakePhone(), 1.2)  # type: ignore[arg-type]
    made.tick(1.3)
    assert captured[-1] == SILENCE
    assert made.quiet_for(11.2) == (False, 10.0)


def test_one_track_goes_straight_to_the_phone() -> None:
    made, phone, _ = bridge()
    made.add_track("TR_1", 7, Owner())
    made.heard(7, frame(5))
    made.heard(8, frame(6))  # a stream nobody added
    assert phone.written == [frame(5)]


def test_an_empty_buffer_gets_a_cushion_and_a_full_one_drops() -> None:
    made, phone, _ = bridge()
    made.add_track("TR_1", 7, Owner())
    phone.fill = 0
    made.heard(7, frame(5))
    assert phone.written == [SILENCE, frame(5)]
    phone.fill = 5 * FRAME
    made.heard(7, frame(6))
    assert made.dropped_frames == 1
    assert phone.written[-1] == frame(5)


def test_a_lasting_excess_is_cut_where_nobody_hears_it() -> None:
    made, phone, _ = bridge()
    made.add_track("TR_1", 7, Owner())
    phone.fill = FRAME
    for _ in range(500):
        made.heard(7, frame(5_000)[:CHUNK])
    assert made.dropped_frames == 0
    for _ in range(3):
        made.heard(7, frame(5)[:CHUNK])
    assert made.dropped_frames == 1


def test_a_cushion_that_is_needed_now_and_then_stays() -> None:
    made, phone, _ = bridge()
    made.add_track("TR_1", 7, Owner())
    for _ in range(1_000):
        phone.fill = FRAME if phone.fill == CHUNK else CHUNK
        made.heard(7, frame(5)[:CHUNK])
    assert made.dropped_frames == 0


def test_a_great_excess_is_cut_even_from_music() -> None:
    made, phone, _ = bridge()
    made.add_track("TR_1", 7, Owner())
    phone.fill = 2 * FRAME
    for _ in range(1_000):
        made.heard(7, frame(5_000)[:CHUNK])
    assert made.dropped_frames == 1


def test_two_tracks_are_added_up_and_clipped() -> None:
    made, phone, _ = bridge()
    owners = [Owner(), Owner()]
    made.add_track("TR_1", 7, owners[0])
    made.add_track("TR_2", 8, owners[1])
    made.heard(7, frame(20000))
    assert phone.written == []
    made.heard(8, frame(20000))
    assert phone.written == [frame(32767)]
    assert made.remove_track("TR_2") == 8
    assert owners[1].disposed
    assert made.remove_track("TR_2") is None
    assert mixed([frame(-30000), frame(-30000)]) == frame(-32768)


def test_a_muted_track_does_not_stop_the_other() -> None:
    made, phone, _ = bridge()
    made.add_track("TR_1", 7, Owner())
    made.add_track("TR_2", 8, Owner())
    for _ in range(10):
        made.heard(7, frame(1))
    assert len(phone.written) >= 9


def test_a_tone_or_a_hold_keeps_the_room_from_the_phone() -> None:
    made, phone, _ = bridge()
    made.add_track("TR_1", 7, Owner())
    made.hold(room=True, phone=False)
    made.heard(7, frame(1))
    made.hold(room=False, phone=False)
    made.phone_tone(True)
    made.heard(7, frame(1))
    made.tick(1.0)
    assert phone.written == [DIAL_TONE.at(0, CHUNK)]


def test_a_hold_keeps_the_phone_from_the_room() -> None:
    made, phone, captured = bridge()
    made.hold(room=True, phone=True)
    phone.incoming = frame(5)
    made.tick(1.0)
    assert b"".join(captured) == bytes(FRAME), "silence, for as long as it speaks"
    assert made.quiet_for(1.0) == (True, 0.0), "it is there all the same"
    made.hold(room=False, phone=False)
    phone.incoming = frame(6)
    made.tick(1.02)
    assert b"".join(captured[2:]) == frame(6)


def test_a_phone_without_sound_is_no_error() -> None:
    made, phone, captured = bridge()
    made.add_track("TR_1", 7, Owner())
    phone.active = False
    made.heard(7, frame(1))
    made.tick(1.0)
    assert captured == [SILENCE]


class Ear:
    """Packets as they came."""

    def __init__(self, *payloads: bytes) -> None:
        self.waiting = [Packet(101, n, 800, 7, payload) for n, payload in enumerate(payloads)]

    def packets(self) -> Iterator[Packet]:
        waiting, self.waiting = self.waiting, []
        yield from waiting


class Way:
    """A short way that nobody has taken."""

    carries = replaces_room = waiting = False

    def serve(self, _: float) -> None:
        """Nothing comes."""


def test_keys_are_read_where_packets_are_heard() -> None:
    made, _, _ = bridge()
    pressed: list[str] = []
    made.on_key = pressed.append
    key = bytes([11, 10, 0, 160])
    made.listen_at(SimpleNamespace(ear=Ear(key, key)))  # type: ignore[arg-type]
    made.offer(Way())  # type: ignore[arg-type]
    made.tick(1.0)
    made.tick(1.01)
    assert pressed == ["#"]


@pytest.mark.parametrize(
    ("rate", "first", "then"), [(16_000, 8_000, 16_000), (8_000, 16_000, 8_000)]
)
def test_a_phone_at_another_rate_than_its_call_and_another_later(
    rate: int, first: int, then: int
) -> None:
    made, phone, captured = bridge(rate)
    made.add_track("TR_1", 7, Owner())
    for codec in (first, then):
        phone.rate = codec
        captured.clear()
        phone.written.clear()
        for n in range(50):
            phone.incoming = tone(codec // 100, codec, 700.0, n * codec // 100)
            made.tick(1.0 + n / 100)
            phone.fill = codec // 25
            made.heard(7, tone(rate // 100, rate, 900.0, n * rate // 100))
        assert {len(piece) for piece in captured} == {rate // 50}
        assert level(b"".join(captured), rate, 700.0) == pytest.approx(9_000, rel=0.02)
        assert {len(piece) for piece in phone.written} == {codec // 50}
        assert level(b"".join(phone.written), codec, 900.0) == pytest.approx(9_000, rel=0.02)
        made.tick(5.0)
        assert made.quiet_for(5.0)[1] == pytest.approx(5.0 - 1.49), "silence is not made up"
    assert made.dropped_frames == 0
