"""The embedded engines of a process: loaded once, run once, shared by every call."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

from speech.offline.intents import intent_of
from speech.offline.meaning import Meaning
from speech.offline.voice import Speaker
from speech.offline.whisper import Whisper

_WARM_UP = "Hello. How can I help you today?"


class OfflineEngines(msgspec.Struct, frozen=True, kw_only=True):
    """Recogniser, voice and dialogue meaning, each with the one thread that may run it."""

    whisper: Whisper
    speaker: Speaker
    meaning: Meaning
    decoding: Executor
    speaking: Executor
    thinking: Executor

    def close(self) -> None:
        """Let the threads end; what they are doing is finished first."""
        for executor in (self.decoding, self.speaking, self.thinking):
            executor.shutdown(wait=True, cancel_futures=True)


def load_offline(*, model_folder: Path | None = None) -> OfflineEngines:
    """Return the engines, each having worked once, so that the first turn is as fast as the tenth.

    Takes one to two seconds and about 300 MB; call it before the event loop, or in a thread.

    Args:
        model_folder: a CTranslate2 Whisper model to use instead of the packaged tiny.en.

    Raises:
        EmbeddedSpeechMissing: the extra is not installed.
        WeightsChanged: the packaged weights are not the pinned ones.
    """
    whisper = Whisper.load(model_folder)
    speaker = Speaker.load()
    meaning = Meaning.load()
    pcm = b"".join(speaker.stream(_WARM_UP))
    # Pitch does not matter to a warm-up: 24 kHz samples are decoded as if they were 16 kHz.
    whisper.transcribe(np.divide(np.frombuffer(pcm, np.int16), 32_768, dtype=np.float32))
    intent_of("I would like to know something.", meaning)  # embeds every example of an intent
    return OfflineEngines(
        whisper=whisper,
        speaker=speaker,
        meaning=meaning,
        decoding=ThreadPoolExecutor(1, thread_name_prefix="offline-stt"),
        speaking=ThreadPoolExecutor(1, thread_name_prefix="offline-voice"),
        thinking=ThreadPoolExecutor(1, thread_name_prefix="offline-dialogue"),
    )
