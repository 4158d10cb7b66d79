"""The moments that the bench reads from packets: right to a frame, or discarded with the reason."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bench import wire
from bench.relay import AGENT, ANSWER, CALLER, RECORD, passed_on
from bench.voiced import FRAME, FRAME_S, RATE, TONE_HZ, Phrase, Stream
from bench.wire import Discarded

pytestmark = pytest.mark.unit

START = 1_000.0
LENGTH_S = 6.0
Sound = npt.NDArray[np.int16]


def silence(seconds: float = LENGTH_S) -> Sound:
    return np.zeros(int(seconds * RATE), np.int16)


def tone(seconds: float, *, hz: float = TONE_HZ, level: int = 9_000) -> Sound:
    instants = np.arange(int(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hz * instants)).astype(np.int16)


def speech(seconds: float = 0.8, seed: int = 1) -> Sound:
    """Return noise with a pause of 60 ms in it: as little like a tone as speech is."""
    said = np.random.default_rng(seed).normal(0, 4_000, int(seconds * RATE)).astype(np.int16)
    said[len(said) // 2 : len(said) // 2 + RATE * 6 // 100] = 0
    return said


def put(sound: Sound, at_s: float, into: Sound) -> None:
    first = round(at_s * RATE)
    into[first : first + len(sound)] = sound


def stream(sound: Sound, start: float = START) -> Stream:
    """Return sound as frames, each on the wire when its last sample has been spoken."""
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    times = np.array([start + (n + 1) * FRAME_S for n in range(len(frames))])
    return Stream(times, frames)


def asked(at_s: float = 1.0, said: Sound | None = None) -> tuple[wire.Marks, Phrase]:
    """Return a caller who says a phrase at `at_s`, and that phrase."""
    words = speech() if said is None else said
    line = silence()
    put(words, at_s, line)
    phrase = Phrase(START + at_s - 0.01, START + at_s + len(words) / RATE, words)
    return wire.caller_marks(stream(line), [phrase]), phrase


def answering(*tones: tuple[float, float]) -> wire.Marks:
    """Return an agent whose tones begin and end at these seconds."""
    line = silence()
    for begins, ends in tones:
        put(tone(ends - begins), begins, line)
    return wire.agent_marks(stream(line))


def reply_ms(caller: wire.Marks, agent: wire.Marks, phrase: Phrase) -> float:
    return wire.reply_ms(caller, agent, phrase.began, phrase.ended, START + 5.5)


@pytest.mark.parametrize("at_s", [1.0, 1.007, 1.013])
@pytest.mark.parametrize("answer_s", [2.2, 2.511, 3.0])
def test_a_reply_is_measured_to_a_frame(at_s: float, answer_s: float) -> None:
    caller, phrase = asked(at_s)

    measured = reply_ms(caller, answering((answer_s, answer_s + 0.4)), phrase)

    assert measured == pytest.approx((answer_s - at_s - 0.8) * 1000 + 10, abs=20)


def test_a_stop_is_measured_to_a_frame() -> None:
    caller, phrase = asked(2.0)

    measured = wire.stop_ms(caller, answering((0.5, 2.4), (4.0, 4.5)), phrase.began, START + 5.5)

    assert measured == pytest.approx(400, abs=21)


def test_a_short_dip_is_not_the_end_of_the_agent() -> None:
    caller, phrase = asked(2.0)

    measured = wire.stop_ms(caller, answering((0.5, 2.1), (2.2, 2.6)), phrase.began, START + 5.5)

    assert measured == pytest.approx(600, abs=21)


def test_an_agent_that_never_stops_is_discarded() -> None:
    caller, phrase = asked(2.0)

    with pytest.raises(Discarded, match="never stopped"):
        wire.stop_ms(caller, answering((0.5, 5.9)), phrase.began, START + 5.5)


def test_an_agent_that_was_silent_cannot_be_stopped() -> None:
    caller, phrase = asked(2.0)

    with pytest.raises(Discarded, match="silent before"):
        wire.stop_ms(caller, answering((0.5, 1.5), (2.9, 3.5)), phrase.began, START + 5.5)


def test_noise_on_the_line_is_no_reply() -> None:
    caller, phrase = asked()
    hiss = np.random.default_rng(2).normal(0, 40, int(LENGTH_S * RATE)).astype(np.int16)

    with pytest.raises(Discarded, match="no reply"):
        reply_ms(caller, wire.agent_marks(stream(hiss)), phrase)


def test_a_reply_is_found_in_noise() -> None:
    caller, phrase = asked()
    line = np.random.default_rng(2).normal(0, 40, int(LENGTH_S * RATE)).astype(np.int16)
    put(tone(0.4), 2.3, line)

    assert reply_ms(caller, wire.agent_marks(stream(line)), phrase) == pytest.approx(510, abs=20)


def test_a_loud_noise_before_the_tone_makes_the_detectors_disagree() -> None:
    caller, phrase = asked()
    line = silence()
    put(speech(0.2), 2.2, line)
    put(tone(0.4), 2.4, line)

    with pytest.raises(Discarded, match="disagree about the reply's start"):
        reply_ms(caller, wire.agent_marks(stream(line)), phrase)


def test_a_tone_of_another_pitch_is_not_the_agent() -> None:
    caller, phrase = asked()
    line = silence()
    put(tone(0.4, hz=1_000), 2.3, line)

    with pytest.raises(Discarded, match="disagree"):
        reply_ms(caller, wire.agent_marks(stream(line)), phrase)


def test_a_phrase_that_is_not_what_was_played_is_discarded() -> None:
    caller, phrase = asked()
    other = Phrase(phrase.began, phrase.ended, speech(seed=9))
    line = silence()
    put(phrase.samples, 1.0, line)

    with pytest.raises(Discarded, match="disagree about the phrase's end"):
        reply_ms(wire.caller_marks(stream(line), [other]), answering((2.2, 2.6)), phrase)
    assert reply_ms(caller, answering((2.2, 2.6)), phrase) > 0


def test_an_agent_that_speaks_at_the_phrases_end_is_discarded() -> None:
    caller, phrase = asked()

    with pytest.raises(Discarded, match="at the end of the phrase"):
        reply_ms(caller, answering((1.4, 1.75), (2.2, 2.6)), phrase)


def test_a_reply_to_an_interruption_counts_from_the_interruptions_end() -> None:
    caller, phrase = asked()

    assert reply_ms(caller, answering((0.2, 1.4), (2.2, 2.6)), phrase) == pytest.approx(410, abs=20)


@pytest.mark.parametrize(("reply_s", "cut"), [(2.2, True), (3.6, False)])
def test_a_reply_in_a_pause_is_a_cut_off(reply_s: float, cut: bool) -> None:
    first, second = speech(0.8), speech(0.8, seed=3)
    line = silence()
    put(first, 1.0, line)
    put(second, 2.5, line)
    phrases = [
        Phrase(START + 0.99, START + 1.8, first),
        Phrase(START + 2.49, START + 3.3, second),
    ]
    caller = wire.caller_marks(stream(line), phrases)
    agent = answering((reply_s, reply_s + 0.3))

    assert wire.cut_off(caller, agent, (START + 0.99, START + 1.8), START + 3.3) is cut


def test_a_gap_inside_what_the_agent_says_is_measured() -> None:
    assert wire.longest_gap_ms(answering((1.0, 2.0)), START, START + LENGTH_S) < 1
    with_gap = answering((1.0, 2.0), (2.1, 3.0))
    assert wire.longest_gap_ms(with_gap, START, START + LENGTH_S) == pytest.approx(100)


def test_packets_that_come_late_are_a_gap() -> None:
    line = silence()
    put(tone(2.0), 1.0, line)
    heard = stream(line)
    late = Stream(heard.at + np.where(heard.at > START + 2.0, 0.08, 0.0), heard.frames)

    assert wire.longest_gap_ms(wire.agent_marks(late), START, START + LENGTH_S) == pytest.approx(80)


def test_the_greeting_counts_from_the_answer() -> None:
    assert wire.start_ms(answering((1.0, 2.0)), START + 0.6) == pytest.approx(420, abs=21)
    with pytest.raises(Discarded, match="no greeting"):
        wire.start_ms(answering(), START)


def packet(number: int, payload: bytes, kind: int = 0) -> bytes:
    return struct.pack(">BBHII", 0x80, kind, number & 0xFFFF, 0, 7) + payload


def test_the_log_is_read_with_its_losses(tmp_path: Path) -> None:
    log = tmp_path / "packets.bin"
    quiet = packet(65_535, b"\xff" * FRAME)
    with log.open("wb") as file:
        for at, what, data in (
            (1.0, ANSWER, b""),
            (1.02, CALLER, quiet),
            (1.03, AGENT, packet(65_535, b"\x80" * FRAME)),
            (1.09, AGENT, packet(2, b"\xd5" * FRAME, kind=8)),
            (1.10, AGENT, packet(3, b"key!", kind=101)),
            (1.11, ANSWER, b""),
        ):
            file.write(RECORD.pack(at, what, len(data)) + data)

    capture = wire.read(log)

    assert capture.answered == 1.0
    assert capture.caller.at.tolist() == [1.02]
    assert capture.agent.at.tolist() == [1.03, 1.09]
    assert (capture.caller.lost, capture.agent.lost) == (0, 2)
    assert np.abs(capture.caller.frames).max() == 0
    assert np.abs(capture.agent.frames).max(axis=1).tolist() == [32_124, 8]


def test_the_relay_puts_its_own_media_port_into_a_message() -> None:
    body = b"v=0\r\nm=audio 9999 RTP/AVP 0 8\r\na=rtcp:10000 IN IP4 127.0.0.1\r\na=sendrecv\r\n"
    head = b"INVITE sip:a@b SIP/2.0\r\nContent-Length: " + str(len(body)).encode()
    new = b"v=0\r\nm=audio 15001 RTP/AVP 0 8\r\na=sendrecv\r\n"

    message, port = passed_on(head + b"\r\n\r\n" + body, 15_001)

    assert port == 9_999
    assert message == head[: head.rindex(b" ")] + f" {len(new)}".encode() + b"\r\n\r\n" + new
    assert passed_on(b"BYE sip:a@b SIP/2.0\r\n\r\n", 15_001) == (
        b"BYE sip:a@b SIP/2.0\r\n\r\n",
        None,
    )
