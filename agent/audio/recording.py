"""The agent-side recording: stereo Ogg/Opus, caller left, agent right, sent away as it is written.

Both channels sit on the call's own clock: the caller where the audio arrived, the agent where it
was played. A page holds at most half a second, so a dying agent loses about that much. The full
mix, where it is wanted, is a second file of the same samples on one channel.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
from livekit import rtc
from msgspec import Struct

from agent.audio.frames import SAID_RATE
from agent.audio.input import HEARD_RATE
from agent.audio.mixing import Samples, mixed
from agent.audio.ogg import PAGE_S, RATE, BackgroundEncoder, Channel
from agent.internal_api import Refused, SessionApi, Unreachable
from control_plane.domain.recording import RecordingKind
from process.logs import get_logger

log = get_logger(__name__)

LAG_S = 0.4
"""How far behind the present the writer stays: speech in flight may still be cut."""
RETRY_S = 0.5
MIX_BIT_RATE = 24_000


class Finished(Struct, frozen=True):
    """The whole recording, as stored; `mix_sha256` null: no full mix of it was."""

    size_bytes: int
    duration_ms: int
    sha256: str
    mix_sha256: str | None = None


class Upload:
    """One file on its way to the control plane, from the encoder on.

    What is asked of the encoder is taken over in that order by `gather`, whoever asked.
    """

    def __init__(
        self,
        encoder: BackgroundEncoder,
        api: SessionApi,
        session_id: str,
        kind: RecordingKind,
    ) -> None:
        self._encoder = encoder
        self._encoding: deque[Future[bytes]] = deque()
        self._api = api
        self._session_id = session_id
        self._kind = kind
        self._digest = hashlib.sha256()
        self._unsent = bytearray()
        self.sent = 0

    @property
    def unsent(self) -> int:
        """How many bytes wait."""
        return len(self._unsent)

    @property
    def sha256(self) -> str:
        """Of all that was kept so far."""
        return self._digest.hexdigest()

    def encode(self, *channels: Samples) -> None:
        """Take the next samples of each channel."""
        self._encoding.append(self._encoder.encode(*channels))

    def finish(self) -> None:
        """Take no more samples."""
        self._encoding.append(self._encoder.finish())

    async def gather(self) -> None:
        """Wait for the pages of all that was taken; to be cancelled meanwhile loses none."""
        while self._encoding:
            # The future stays where it is until its pages are ours.
            pages = await asyncio.shield(asyncio.wrap_future(self._encoding[0]))
            self._encoding.popleft()
            self._digest.update(pages)
            self._unsent += pages

    async def send(self) -> None:
        """Send what waits; raises `Unreachable` or `Refused`, and then it still waits."""
        await self.gather()
        if not self._unsent:
            return
        page = bytes(self._unsent)
        size = await self._api.post_recording(self._session_id, self._kind, self.sent, page)
        del self._unsent[: size - self.sent]
        self.sent = size

    async def send_all(self) -> None:
        """Send until nothing waits; raises `Refused`."""
        await self.gather()
        while self._unsent:
            try:
                await self.send()
            except Unreachable:
                await asyncio.sleep(RETRY_S)


class StereoRecorder:
    """Records one call and streams it to the control plane.

    `heard` and `said`, `cut` are fed by the line; `start` begins the timeline, `finish` ends it.

    Args:
        full_mix: also write what both heard on one channel.
    """

    def __init__(
        self,
        api: SessionApi,
        session_id: str,
        *,
        full_mix: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._caller, self._agent = Channel(), Channel()
        self._downsample = rtc.AudioResampler(SAID_RATE, RATE, num_channels=1)
        self._upload = Upload(BackgroundEncoder(), api, session_id, RecordingKind.STEREO)
        self._mix_upload = (
            Upload(BackgroundEncoder("mono", MIX_BIT_RATE), api, session_id, RecordingKind.MIX)
            if full_mix
            else None
        )
        self._written = 0  # samples
        self._started_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin: now is the recording's time zero."""
        self._started_at = self._clock()
        self._task = asyncio.create_task(self._run(), name="recording")

    def heard(self, samples: bytes, until: float | None = None) -> None:
        """Take the caller's samples (int16 mono, `HEARD_RATE`), of which the last came at `until`.

        Args:
            until: seconds since the epoch; null: now.
        """
        if self._started_at is None:
            return
        arrived = np.frombuffer(samples, dtype=np.int16)
        end = self._position(self._clock() if until is None else until)
        self._caller.place(arrived, end - len(arrived))

    def said(self, samples: bytes, at: float) -> None:
        """Take the agent's samples (int16 mono, `SAID_RATE`) that play from `at` on."""
        if self._started_at is None:
            return
        frame = rtc.AudioFrame(samples, SAID_RATE, 1, len(samples) // 2)
        for lower in self._downsample.push(frame):
            self._agent.place(np.frombuffer(lower.data, dtype=np.int16), self._position(at))

    def cut(self, at: float) -> None:
        """Forget the agent's samples that would have played after `at`."""
        if self._started_at is not None:
            self._agent.cut(self._position(at))

    async def finish(self, limit_s: float) -> Finished | None:
        """Write what is left and return the stored recording; null if it could not be stored.

        Args:
            limit_s: how long the control plane may take.
        """
        if self._task is None:
            return None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._write(self._position(self._clock()))
        uploads = self._uploads
        for upload in uploads:
            upload.finish()
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.gather(*(upload.send_all() for upload in uploads))
        except (TimeoutError, Refused) as exc:
            unsent = sum(upload.unsent for upload in uploads)
            log.error("the recording could not be stored", why=exc, unsent=unsent)
            return None
        return Finished(
            self._upload.sent,
            self._written * 1000 // RATE,
            self._upload.sha256,
            self._mix_upload.sha256 if self._mix_upload is not None else None,
        )

    @property
    def _uploads(self) -> list[Upload]:
        return [each for each in (self._upload, self._mix_upload) if each is not None]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAGE_S)
            self._write(self._position(self._clock() - LAG_S))
            try:
                for upload in self._uploads:
                    await upload.send()
            except Unreachable as exc:
                log.warning("a page of the recording waits", why=exc)
            except Refused as exc:
                log.error("the recording was refused", why=exc)
                return

    def _write(self, until: int) -> None:
        if until > self._written:
            left, right = self._caller.read(until), self._agent.read(until)
            self._written = until
            self._upload.encode(left, right)
            if self._mix_upload is not None:
                self._mix_upload.encode(mixed(left, right))

    def _position(self, at: float) -> int:
        assert self._started_at is not None
        return max(0, round((at - self._started_at) * RATE))


assert HEARD_RATE == RATE, "the caller's audio is recorded as it is heard"
