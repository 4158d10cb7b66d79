"""A person who comes by a browser, as a LiveKit client in a process of its own, told what to do.

    python -m tests.system.visitor --url ws://… --token … --heard heard.pcm

Publishes a microphone of 48 kHz and takes lines from standard input: `say FILE` (mono WAV) and
`leave`. What is heard goes to a file of mono samples at 24 kHz, each further track to one with a
number at its end; what happens goes to standard output, as JSON lines with `t` in seconds since the
epoch.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
import wave
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from livekit import rtc

SPOKEN_RATE, HEARD_RATE = 48_000, 24_000
FRAME_MS = 20
QUIET_S = 0.8
LOUD = 0.02
"""Of 1: above this a frame has speech in it."""


def tell(event: str, **facts: Any) -> None:
    """Write one line of what happens."""
    sys.stdout.write(json.dumps({"t": round(time.time(), 3), "event": event, **facts}) + "\n")
    sys.stdout.flush()


class Ear:
    """Keeps what is heard, and tells when speech begins and when it has been over for a while."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._last_loud: float | None = None

    async def listen(self, track: rtc.Track) -> None:
        """Hear a track to its end."""
        stream = rtc.AudioStream(
            track, sample_rate=HEARD_RATE, num_channels=1, frame_size_ms=FRAME_MS
        )
        async for event in stream:
            self._take(bytes(event.frame.data))

    def _take(self, samples: bytes) -> None:
        self._file.write(samples)
        now = time.time()
        level = np.sqrt(np.mean((np.frombuffer(samples, np.int16) / 32_768.0) ** 2))
        if level > LOUD:
            if self._last_loud is None:
                tell("speech begins")
            self._last_loud = now
        elif self._last_loud is not None and now - self._last_loud > QUIET_S:
            tell("speech ended", ended=self._last_loud)
            self._last_loud = None


class Microphone:
    """Says files and is silent in between."""

    def __init__(self) -> None:
        self.source = rtc.AudioSource(SPOKEN_RATE, 1, queue_size_ms=100)
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Speak for ever."""
        frame = SPOKEN_RATE * FRAME_MS // 1000
        silence = np.zeros(frame, np.int16)
        while True:
            if self.lines.empty():
                await self._play(silence)
                continue
            path = self.lines.get_nowait()
            samples = _upsampled(path)
            began = time.time()
            for at in range(0, len(samples) - frame + 1, frame):
                await self._play(samples[at : at + frame])
            tell("said", file=path, began=began)

    async def _play(self, samples: np.ndarray[Any, Any]) -> None:
        await self.source.capture_frame(
            rtc.AudioFrame(samples.tobytes(), SPOKEN_RATE, 1, len(samples))
        )


def _upsampled(path: str) -> np.ndarray[Any, Any]:
    with wave.open(path, "rb") as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    at = np.arange(len(samples) * SPOKEN_RATE // rate) * rate / SPOKEN_RATE
    return np.interp(at, np.arange(len(samples)), samples).astype(np.int16)


async def visit(url: str, token: str, new_file: Callable[[], BinaryIO]) -> None:
    """Be in the room until told to leave, or put out; each track that is heard has a file."""
    room, over, microphone = rtc.Room(), asyncio.Event(), Microphone()
    tasks: list[asyncio.Task[None]] = []
    known: dict[str, Ear] = {}

    def on_track(track: rtc.Track, _: object, who: rtc.RemoteParticipant) -> None:
        if track.kind != rtc.TrackKind.KIND_AUDIO:
            return
        if track.sid not in known:
            known[track.sid] = Ear(new_file())
        tell("track", identity=who.identity)
        tasks.append(asyncio.create_task(known[track.sid].listen(track)))

    def on_disconnected(reason: rtc.DisconnectReason.ValueType) -> None:
        tell("disconnected", reason=rtc.DisconnectReason.Name(reason))
        over.set()

    room.on("track_subscribed", on_track)
    room.on("disconnected", on_disconnected)
    try:
        await room.connect(url, token)
    except rtc.ConnectError as exc:
        tell("refused", why=str(exc))
        return
    tell("connected")
    track = rtc.LocalAudioTrack.create_audio_track("microphone", microphone.source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await room.local_participant.publish_track(track, options)
    tell("published")
    tasks.append(asyncio.create_task(microphone.run()))
    told = asyncio.create_task(_told(microphone))
    await asyncio.wait(
        [told, asyncio.create_task(over.wait())], return_when=asyncio.FIRST_COMPLETED
    )
    await room.disconnect()
    for task in (*tasks, told):
        task.cancel()


async def _told(microphone: Microphone) -> None:
    """Take lines until one says to leave."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        verb, _, value = line.partition(" ")
        if verb == "leave":
            return
        microphone.lines.put_nowait(value)


def main() -> None:
    """Visit as the command line says."""
    parser = argparse.ArgumentParser()
    for name in ("--url", "--token", "--heard"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    names = itertools.chain([options.heard], (f"{options.heard}.{n}" for n in itertools.count(1)))
    with ExitStack() as files:

        def new_file() -> BinaryIO:
            return files.enter_context(Path(next(names)).open("wb", buffering=0))

        asyncio.run(visit(options.url, options.token, new_file))
    tell("over")


if __name__ == "__main__":
    main()
