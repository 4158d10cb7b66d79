"""The embedded voice as a LiveKit TTS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, tts, utils

from speech.offline.voice import SAMPLE_RATE, Speaker

_SILENCE = bytes(2 * SAMPLE_RATE // 50)
"""20 ms: LiveKit takes no audio at all for a failure, and a lone dash has none."""


class OfflineTTS(tts.TTS[str]):
    """Speech from the embedded voice, sentence by sentence; no key, no network."""

    def __init__(self, speaker: Speaker, executor: Executor) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
        )
        self._speaker = speaker
        self._executor = executor

    @property
    def model(self) -> str:
        return "hibari-heart"

    @property
    def provider(self) -> str:
        return "offline"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Return the audio of `text`, a chunk per sentence."""
        return _Sentences(self, text, conn_options, self._speaker, self._executor)


class _Sentences(tts.ChunkedStream):
    def __init__(
        self,
        owner: OfflineTTS,
        text: str,
        conn_options: APIConnectOptions,
        speaker: Speaker,
        executor: Executor,
    ) -> None:
        self._speaker = speaker
        self._executor = executor
        super().__init__(tts=owner, input_text=text, conn_options=conn_options)

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            mime_type="audio/pcm",
        )
        loop = asyncio.get_running_loop()
        chunks = self._speaker.stream(self._input_text)
        heard = False
        while (chunk := await loop.run_in_executor(self._executor, _next, chunks)) is not None:
            output_emitter.push(chunk)
            # The emitter holds audio back in frames; the first sentence must not wait for the next.
            output_emitter.flush()
            heard = True
        if not heard:
            output_emitter.push(_SILENCE)
            output_emitter.flush()


def _next(chunks: Iterator[bytes]) -> bytes | None:
    return next(chunks, None)
