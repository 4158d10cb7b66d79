"""The caller's packets on a bad line, by a told clock: what goes on, when, and what is made up."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.gateway import decoding, g711
from sip.gateway.codecs import BY_ENCODING, SERVED, Codec
from sip.gateway.concealment import Concealment
from sip.gateway.decoding import Decoder
from sip.gateway.jitter import JitterBuffer
from sip.gateway.rtp import Packet, parse
from sip.gateway.sdp import STATIC
from speech.offline.voice import SAMPLE_RATE, Speaker
from tests.contract.sip.voice import G722, OPUS, Voice, level

pytestmark = pytest.mark.unit
RATE = 8_000
FRAME = 160
TICK_S = 0.01
LEAD = 10  # frames
SENTENCE = "We are open Monday to Friday from nine to five, and a cleaning costs eighty dollars."
Samples = npt.NDArray[np.int16]


def codec(kind: int) -> Codec | None:
    return BY_ENCODING.get({**STATIC, 96: "opus/48000"}.get(kind, ""))


@dataclass
class Line:
    """A phone at one end, a jitter buffer at the other, and a clock that ticks every 10 ms."""

    now: float = 100.0
    rate: int = RATE
    step: int = FRAME  # of the time stamps
    source: int = 7
    sequence: int = 65_530  # begins again soon
    timestamp: int = 2**32 - 500
    given: list[tuple[float, float, bytes]] = field(default_factory=list)  # when, for when, what
    buffer: JitterBuffer = field(init=False)

    def __post_init__(self) -> None:
        self.buffer = JitterBuffer(self.now, self.rate)

    def packet(self, payload: bytes, kind: int = g711.PCMU) -> Packet:
        made = Packet(kind, self.sequence % 2**16, self.timestamp % 2**32, self.source, payload)
        self.sequence += 1
        self.timestamp += self.step
        return made

    def run(self, arrivals: list[tuple[float, Packet]], seconds: float) -> None:
        """Let packets come, each at an instant from now on, and time pass."""
        start, due = self.now, sorted(arrivals, key=lambda each: each[0])
        while self.now < start + seconds:
            while due and start + due[0][0] <= self.now:
                packet = due.pop(0)[1]
                self.buffer.put(packet, codec(packet.payload_type), self.now)
            for piece in self.buffer.read(self.now):
                self.given.append((self.now, piece.at, piece.pcm))
            self.now += TICK_S

    def send(
        self,
        payloads: list[bytes],
        *,
        jitter: float = 0.0,
        loss: float = 0.0,
        seed: int = 1,
        kind: int = g711.PCMU,
    ) -> list[int]:
        """Send one packet every 20 ms over a line like this; which ones were lost."""
        chance = random.Random(seed)
        arrivals, lost = [], []
        for n, payload in enumerate(payloads):
            packet = self.packet(payload, kind)
            if chance.random() < loss:
                lost.append(n)
            else:
                arrivals.append((n * 0.02 + chance.random() * jitter, packet))
        self.run(arrivals, len(payloads) * 0.02 + 0.3)
        return lost

    @property
    def pcm(self) -> bytes:
        return b"".join(pcm for _, _, pcm in self.given)


def payloads(count: int, seed: int = 3) -> list[bytes]:
    """Noise: no two frames are alike, so that a skipped or doubled one shows."""
    chance = random.Random(seed)
    return [chance.randbytes(FRAME) for _ in range(count)]


def decoded(sent: list[bytes]) -> bytes:
    return b"".join(g711.decode(g711.PCMU, each) or b"" for each in sent)


@pytest.fixture(scope="module")
def speech() -> Samples:
    """A sentence at 8 kHz, as whole frames."""
    said = b"".join(Speaker.load().stream(SENTENCE))
    samples = np.frombuffer(said, np.int16)[:: SAMPLE_RATE // RATE]
    return samples[: len(samples) // FRAME * FRAME]


def encoded(samples: Samples) -> list[bytes]:
    """The nearest code of each sample, in frames, after the beginning of a line: ten of silence."""
    table = np.frombuffer(g711.decode(g711.PCMU, bytes(range(256))) or b"", np.int16)
    order = np.argsort(table)
    found = np.searchsorted(table[order], samples).clip(0, 255)
    codes = order[found].astype(np.uint8).tobytes()
    return LEAD * [b"\xff" * FRAME] + [codes[at : at + FRAME] for at in range(0, len(codes), FRAME)]


def test_g711_is_as_the_recommendation_has_it() -> None:
    known = {0x00: -32124, 0x7F: 0, 0x80: 32124, 0xFF: 0, 0xF0: 120, 0x70: -120}
    for code, value in known.items():
        assert np.frombuffer(g711.decode(g711.PCMU, bytes([code])) or b"", np.int16)[0] == value
    known = {0xD5: 8, 0x55: -8, 0xAA: 32256, 0x2A: -32256, 0xD4: 24}
    for code, value in known.items():
        assert np.frombuffer(g711.decode(g711.PCMA, bytes([code])) or b"", np.int16)[0] == value
    assert g711.decode(101, b"\1") is None


def test_a_quiet_line_is_not_delayed() -> None:
    line, sent = Line(), payloads(200)
    line.send(sent)
    whole = decoded(sent)
    assert whole in line.pcm, "every sample as it was sent"
    start = line.pcm.index(whole)
    at = 0
    for when, _, pcm in line.given:
        if at >= start and at + len(pcm) <= start + len(whole):
            sent_at = 100.0 + (at - start) / 2 / RATE
            assert when - sent_at <= 0.0201
        at += len(pcm)
    assert line.buffer.late == 0


@pytest.mark.parametrize("seed", range(5))
def test_jitter_alone_loses_and_doubles_nothing(speech: Samples, seed: int) -> None:
    line, sent = Line(), encoded(speech)
    line.send(sent, jitter=0.04, seed=seed)
    assert decoded(sent[LEAD:]) in line.pcm
    assert line.buffer.late <= 1, "at most what overtook the very first"


@pytest.mark.parametrize("seed", range(5))
def test_losses_are_concealed_where_they_are(speech: Samples, seed: int) -> None:
    line, sent = Line(), encoded(speech)
    lost = line.send(sent, jitter=0.04, loss=0.02, seed=seed)
    assert lost
    whole = np.frombuffer(decoded(sent), np.int16).astype(float)
    loudest = max(
        set(range(1, len(sent))) - {*lost, *(n + 1 for n in lost)}, key=lambda n: _level(whole, n)
    )
    start = line.pcm.index(decoded([sent[loudest]])) // 2 - loudest * FRAME
    heard = np.frombuffer(line.pcm, np.int16)[start : start + len(whole)].astype(float)
    for n in range(LEAD, len(sent)):
        here = slice(n * FRAME, (n + 1) * FRAME)
        if n in lost:
            continue
        after = 32 if n - 1 in lost else 0  # blended in
        assert (heard[here][after:] == whole[here][after:]).all(), f"frame {n} is in its place"
    holes = [n for n in lost if _level(whole, n) > 300 and _level(whole, n - 1) > 300]
    filled = [_level(heard, n) / _level(whole, n) for n in holes]
    assert all(ratio > 0.1 for ratio in filled), "no hole in the middle of a word"


def _level(samples: npt.NDArray[np.float64], frame: int) -> float:
    return float(np.sqrt(np.mean(samples[frame * FRAME : (frame + 1) * FRAME] ** 2)))


def test_a_longer_way_is_followed_within_three_packets() -> None:
    line, sent = Line(), payloads(200)
    packets = [line.packet(each) for each in sent]
    arrivals = [(n * 0.02 + (0.15 if n >= 100 else 0.0), each) for n, each in enumerate(packets)]
    line.run(arrivals, 4.5)
    assert decoded(sent[:100]) in line.pcm
    assert decoded(sent[110:]) in line.pcm
    assert line.buffer.late <= 8


def test_a_pause_of_the_phone_is_silence_and_no_loss() -> None:
    """A phone that sends nothing while nobody speaks goes on with its sequence and its clock."""
    line, sent = Line(), payloads(20)
    before = [line.packet(each) for each in sent[:10]]
    line.timestamp += RATE  # a second
    after = [line.packet(each) for each in sent[10:]]
    arrivals = [(n * 0.02, each) for n, each in enumerate(before)]
    arrivals += [(1.2 + n * 0.02, each) for n, each in enumerate(after)]
    line.run(arrivals, 2.0)
    ends = line.pcm.index(decoded(sent[:10])) + len(decoded(sent[:10]))
    begins = line.pcm.index(decoded(sent[11:]))
    assert abs((begins - ends) / 2 - (RATE + FRAME)) <= 1, "as long as it was"
    assert all(given - at < 0.1 for given, at, _ in line.given), "filled in while it lasts"


def test_keys_in_between_are_no_loss() -> None:
    line, sent = Line(), payloads(20)
    packets = [line.packet(each) for each in sent[:10]]
    line.timestamp -= FRAME
    packets += [line.packet(b"\1\x0a\0\xa0", kind=101) for _ in range(10)]
    packets += [line.packet(each) for each in sent[10:]]
    line.run([(n * 0.02, each) for n, each in enumerate(packets)], 1.0)
    waits = [given - at for given, at, _ in line.given if given > 100.41]
    assert decoded(sent[10:])[64:] in line.pcm
    assert min(waits) >= 0.0


def test_another_source_goes_on_where_we_are() -> None:
    line, sent = Line(), payloads(100)
    line.send(sent[:50])
    line.source, line.timestamp, line.sequence = 8, 12_345, 1
    line.send(sent[50:])
    assert decoded(sent[:50]) in line.pcm
    assert decoded(sent[51:]) in line.pcm
    assert all(given - at < 0.1 for given, at, _ in line.given)


def test_silence_is_given_before_the_first_packet_and_after_the_last() -> None:
    line = Line()
    line.run([], 1.0)
    assert not any(line.pcm)
    assert 0.9 <= len(line.pcm) / 2 / RATE <= 1.0


def test_thirty_minutes_of_a_clock_that_is_off_add_no_delay() -> None:
    """200 ppm: the phone is 0.36 s ahead in the end."""
    line, code = Line(), bytes([0x20] * FRAME)
    most = 0.0
    for minute in range(30):
        line.given.clear()
        packets = [line.packet(code) for _ in range(3_000)]
        first = minute * 60.0
        arrivals = [
            (max(0.0, (first + n * 0.02) * (1 - 200e-6) + 100.02 - line.now), each)
            for n, each in enumerate(packets)
        ]
        line.run(arrivals, 59.988)
        most = max(most, *(given - at for given, at, _ in line.given))
    assert most < 0.07
    assert line.buffer.late == 0
    assert line.buffer.concealed < RATE


def test_samples_without_stamps_pass_in_order() -> None:
    line = Line()
    sound = decoded(payloads(50))
    for at in range(0, len(sound), 2 * FRAME):
        line.buffer.put_samples(sound[at : at + 2 * FRAME], line.now)
        line.run([], 0.02)
    line.run([], 1.0)
    assert sound in line.pcm
    assert 0.9 < (len(line.pcm) - len(sound)) / 2 / RATE < 1.1


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**16 - 1) | st.integers(0, 5),
            st.integers(0, 2**32 - 1) | st.integers(0, 2_000),
            st.integers(0, 2),
            st.sampled_from([0, 8, 9, 13, 96, 101]),
            st.binary(max_size=400),
            st.sampled_from([0.0, 0.001, 0.02, 0.5, 3.0]),
        ),
        max_size=40,
    )
)
def test_no_packets_whatever_stop_it_or_make_it_grow(
    hostile: list[tuple[int, int, int, int, bytes, float]],
) -> None:
    buffer, now, given_samples = JitterBuffer(0.0, RATE), 0.0, 0
    for sequence, timestamp, source, kind, payload, pause in hostile:
        now += pause
        buffer.put(Packet(kind, sequence, timestamp, source, payload), codec(kind), now)
        given_samples += sum(len(piece.pcm) // 2 for piece in buffer.read(now))
    received = sum(len(each[4]) for each in hostile)
    assert given_samples <= (now + 1.1 * (1 + len(hostile))) * RATE + received


def test_concealment_goes_on_softer_and_blends_in() -> None:
    tone = (8_000 * np.sin(2 * np.pi * 200 * np.arange(960) / RATE)).astype(np.int16)
    concealed = Concealment(RATE)
    concealed.heard(tone[:480].tobytes())
    filled = np.frombuffer(concealed.fill(480), np.int16)
    assert np.abs(filled[:80].astype(float) - tone[480:560]).max() < 500, "the same tone at first"
    assert np.abs(filled[-40:]).max() < 1_500
    assert not any(concealed.fill(160)), "and nothing in the end"
    blended = np.frombuffer(concealed.heard(tone[:160].tobytes()), np.int16)
    assert abs(int(blended[0])) < 1_000
    assert (blended[32:] == tone[32:160]).all()


@given(st.binary(max_size=80))
def test_no_datagram_does_more_than_be_no_packet(datagram: bytes) -> None:
    packet = parse(datagram)
    assert packet is None or len(packet.payload) <= len(datagram) - 12


def test_the_parts_of_a_packet_that_are_no_sound_are_left_out() -> None:
    head = bytes([0x80 | 0x20 | 0x10 | 1, 0x80]) + bytes([0, 5, 0, 0, 0, 9, 0, 0, 0, 7])
    rest = bytes(4) + b"\xbe\xde\0\1" + bytes(4) + b"sound" + b"\0\0\3"
    assert parse(head + rest) == Packet(0, 5, 9, 7, b"sound")


WIDE = pytest.mark.parametrize(
    ("voice", "name", "kind"), [(G722, "g722", 9), (OPUS, "opus", 96)], ids=["g722", "opus"]
)


@WIDE
def test_packets_over_jitter_and_reordering_are_as_if_all_had_come_in_order(
    voice: Voice, name: str, kind: int
) -> None:
    """The decoders go from each packet to the next, so they are decoded in their turn."""
    line, sent = Line(rate=16_000, step=voice.step), voice.says(5_000.0, 100)
    line.send(sent, jitter=0.04, kind=kind)
    whole = Decoder(16_000)
    pcm = b"".join(whole.decode(SERVED[name], payload) for payload in sent)
    assert len(pcm) == len(sent) * 640
    assert pcm[2 * 64 :] in line.pcm, "all after what blends into the silence before"
    assert line.buffer.concealed == len(line.pcm) // 2 - len(sent) * 320
    assert level(pcm[-32_000:], 16_000, 5_000.0) == pytest.approx(9_000, rel=0.05)


@WIDE
def test_losses_leave_it_as_long_as_it_was(voice: Voice, name: str, kind: int) -> None:
    line, sent = Line(rate=16_000, step=voice.step), voice.says(300.0, 100)
    assert line.send(sent, loss=0.05, kind=kind)
    begins, ends = _sounding(line.pcm)
    assert abs((ends - begins) / 2 - len(sent) * 320) < 3 * 320
    assert level(line.pcm[begins:ends], 16_000, 300.0) > 7_000


@pytest.mark.parametrize(
    ("payload", "ticks"),
    [
        (b"", 0),
        (b"\x00", 480),  # SILK, 10 ms
        (b"\x18", 2_880),  # SILK, 60 ms
        (b"\x68", 960),  # hybrid, 20 ms
        (b"\x81", 240),  # CELT, 2 x 2.5 ms
        (b"\xfa", 1_920),  # CELT, 2 x 20 ms
        (b"\xfb\x06", 5_760),  # 6 x 20 ms
        (b"\xfb\x07", 0),
        (b"\xfb", 0),
    ],
)
def test_how_long_an_opus_packet_sounds(payload: bytes, ticks: int) -> None:
    assert decoding.ticks(SERVED["opus"], payload) == ticks


@pytest.mark.parametrize("rate", [8_000, 16_000])
@pytest.mark.parametrize("name", ["pcmu", "pcma", "g722", "opus"])
def test_a_payload_is_as_long_as_was_said_whatever_is_in_it(name: str, rate: int) -> None:
    decoder, chance = Decoder(rate), random.Random(3)
    for size in (160, 1, 7, 80, 333, 160):
        payload = chance.randbytes(size)
        pcm = decoder.decode(SERVED[name], payload)
        assert len(pcm) == 2 * decoder.length(SERVED[name], payload)


def _sounding(pcm: bytes) -> tuple[int, int]:
    """From which byte to which it is not silent."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, np.int16)) > 100)
    return 2 * int(loud[0]), 2 * int(loud[-1])
