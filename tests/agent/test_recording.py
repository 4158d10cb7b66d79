"""The recording holds the caller left and the agent right, where they were heard."""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import av
import numpy as np
import numpy.typing as npt
import pytest

from agent.audio.frames import SAID_RATE
from agent.audio.input import HEARD_RATE
from agent.audio.ogg import ENCODING, RATE, BackgroundEncoder, Channel
from agent.audio.recording import Finished, StereoRecorder, Upload
from agent.internal_api import Unreachable
from control_plane.domain.events import EventBatch, EventReceipt
from control_plane.domain.recording import RecordingKind

pytestmark = pytest.mark.unit


class Spool:
    """A control plane that keeps a recording, and may fail some posts first."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.files = {kind: bytearray() for kind in RecordingKind}

    @property
    def data(self) -> bytearray:
        return self.files[RecordingKind.STEREO]

    async def post_events(self, session_id: str, batch: EventBatch) -> EventReceipt:
        raise AssertionError("no events here")

    async def post_recording(
        self, session_id: str, kind: RecordingKind, offset: int, page: bytes
    ) -> int:
        if self.failures:
            self.failures -= 1
            raise Unreachable("down")
        assert offset == len(self.files[kind])
        self.files[kind] += page
        return len(self.files[kind])


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def _tone(rate: int, seconds: float, hz: float) -> npt.NDArray[np.int16]:
    at = np.arange(int(rate * seconds)) / rate
    return np.asarray(8_000 * np.sin(2 * np.pi * hz * at), dtype=np.int16)


def _decode(data: bytes) -> npt.NDArray[np.float32]:
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate(frames, axis=1)


def _level(samples: npt.NDArray[np.float32], start_s: float, end_s: float) -> float:
    part = samples[int(start_s * 48_000) : int(end_s * 48_000)]
    return float(np.sqrt(np.mean(part**2)))


async def _record(spool: Spool, *, cut_at: float | None = None) -> bytes:
    """Return the stereo file of two seconds: the caller in the first, the agent in the second."""
    finished = await _finished(spool, cut_at=cut_at)
    assert finished.duration_ms == 2_000
    assert finished.size_bytes == len(spool.data)
    assert finished.sha256 == hashlib.sha256(spool.data).hexdigest()
    assert finished.mix_sha256 is None
    assert not spool.files[RecordingKind.MIX]
    return bytes(spool.data)


async def _finished(
    spool: Spool, *, cut_at: float | None = None, full_mix: bool = False
) -> Finished:
    clock = Clock()
    recorder = StereoRecorder(spool, "session", full_mix=full_mix, clock=clock)
    recorder.start()
    tone = _tone(HEARD_RATE, 1.0, 440)
    for start in range(0, len(tone), 320):
        clock.now += 0.02
        recorder.heard(tone[start : start + 320].tobytes())
    spoken = _tone(SAID_RATE, 1.0, 880)
    for index, start in enumerate(range(0, len(spoken), 480)):
        recorder.said(spoken[start : start + 480].tobytes(), 1_001.0 + index * 0.02)
    if cut_at is not None:
        recorder.cut(cut_at)
    clock.now = 1_002.0
    finished = await recorder.finish(limit_s=5.0)
    assert finished is not None
    return finished


async def test_caller_left_agent_right() -> None:
    left, right = _decode(await _record(Spool()))
    assert _level(left, 0.1, 0.9) > 0.1 > 10 * _level(left, 1.1, 1.9)
    assert _level(right, 1.1, 1.9) > 0.1 > 10 * _level(right, 0.1, 0.9)


async def test_what_was_cut_was_not_heard() -> None:
    _, right = _decode(await _record(Spool(), cut_at=1_001.5))
    assert _level(right, 1.1, 1.4) > 0.1 > 10 * _level(right, 1.6, 1.9)


async def test_the_full_mix_holds_both_on_one_channel_beside_the_stereo_file() -> None:
    spool = Spool(failures=1)
    finished = await _finished(spool, full_mix=True)
    mix = spool.files[RecordingKind.MIX]
    assert finished.mix_sha256 == hashlib.sha256(mix).hexdigest()
    assert finished.sha256 == hashlib.sha256(spool.data).hexdigest()
    (both,) = _decode(bytes(mix))
    left, right = _decode(bytes(spool.data))
    assert _level(both, 0.1, 0.9) == pytest.approx(_level(left, 0.1, 0.9), rel=0.1)
    assert _level(both, 1.1, 1.9) == pytest.approx(_level(right, 1.1, 1.9), rel=0.1)


async def test_the_full_mix_lacks_what_was_cut() -> None:
    spool = Spool()
    await _finished(spool, full_mix=True, cut_at=1_001.5)
    (both,) = _decode(bytes(spool.files[RecordingKind.MIX]))
    assert _level(both, 1.1, 1.4) > 0.1 > 10 * _level(both, 1.6, 1.9)


async def test_a_passing_failure_loses_nothing() -> None:
    failing = await _record(Spool(failures=1))
    assert _decode(failing).shape == _decode(await _record(Spool())).shape


async def test_a_recording_that_was_not_begun_is_none() -> None:
    spool = Spool()
    assert await StereoRecorder(spool, "session").finish(limit_s=1.0) is None
    assert not spool.data


@contextmanager
def busy_encoder() -> Iterator[threading.Event]:
    """Keep the encoding thread from its work until the event is set, or the block ends."""
    free, busy = threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        free.wait(10)

    ENCODING.submit(hold)
    busy.wait(10)
    try:
        yield free
    finally:
        free.set()


async def test_a_busy_encoder_holds_up_no_call_and_everything_comes() -> None:
    spool = Spool()
    with busy_encoder() as free:
        finishing = asyncio.create_task(_finished(spool, full_mix=True))
        for _ in range(20):  # this loop goes on: that is what a call needs
            await asyncio.sleep(0)
        assert not finishing.done()
        assert not spool.data
        free.set()
        finished = await finishing
    assert finished.sha256 == hashlib.sha256(spool.data).hexdigest()
    left, right = _decode(bytes(spool.data))
    assert _level(left, 0.1, 0.9) > 0.1 > 10 * _level(left, 1.1, 1.9)
    assert _level(right, 1.1, 1.9) > 0.1 > 10 * _level(right, 0.1, 0.9)


async def test_a_recording_that_is_not_encoded_in_time_is_given_up() -> None:
    spool = Spool()
    clock = Clock()
    recorder = StereoRecorder(spool, "session", clock=clock)
    recorder.start()
    clock.now += 2.0
    with busy_encoder():
        assert await recorder.finish(limit_s=0.05) is None


async def test_what_is_cancelled_while_it_is_encoded_is_not_lost() -> None:
    spool = Spool()
    upload = Upload(BackgroundEncoder(), spool, "session", RecordingKind.STEREO)
    first, second = (_tone(RATE, 1.0, hz) for hz in (440, 880))
    with busy_encoder() as free:
        upload.encode(first, first)
        sending = asyncio.create_task(upload.send())
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        upload.encode(second, second)
        upload.finish()
        free.set()
        await upload.send_all()
    left, _ = _decode(bytes(spool.data))
    assert len(left) == pytest.approx(2 * 48_000, abs=2_000)
    for start, hz in ((0.2, 440), (1.2, 880)):
        part = left[int(start * 48_000) : int((start + 0.5) * 48_000)]
        loudest = int(np.argmax(np.abs(np.fft.rfft(part)))) * 2
        assert loudest == pytest.approx(hz, abs=10)


def test_jitter_does_not_tear_a_channel() -> None:
    channel = Channel()
    ones = np.ones(320, dtype=np.int16)
    for index, jitter in enumerate((0, 200, -150, 90)):
        channel.place(ones, index * 320 + jitter)
    assert channel.read(4 * 320).tolist() == [1] * (4 * 320)


def test_a_gap_longer_than_jitter_stays_a_gap() -> None:
    channel = Channel()
    ones = np.ones(10, dtype=np.int16)
    channel.place(ones, 0)
    channel.place(ones, RATE)
    taken = channel.read(RATE + 10)
    assert taken[:10].sum() == 10
    assert taken[10:RATE].sum() == 0
    assert taken[RATE:].sum() == 10


def test_what_comes_too_late_is_dropped_not_misplaced() -> None:
    channel = Channel()
    channel.read(100)
    channel.place(np.arange(1, 21, dtype=np.int16), 90)
    assert channel.read(110).tolist() == list(range(11, 21))
