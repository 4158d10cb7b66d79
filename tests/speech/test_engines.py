"""The embedded recogniser and voice, and their LiveKit faces."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from livekit import rtc
from livekit.agents import inference, llm, stt

from control_plane.domain.providers import Stt
from speech.offline import whisper
from speech.offline.extra import EmbeddedSpeechMissing, WeightsChanged, require
from speech.offline.whisper import Whisper, is_repetition
from speech.prewarm import OfflineEngines
from speech.tables import make_llm, make_stt, make_tts

pytestmark = pytest.mark.unit

Floats = npt.NDArray[np.float32]


def said(engines: OfflineEngines, text: str) -> Floats:
    """Return `text` spoken by the embedded voice, at 16 kHz."""
    pcm = np.frombuffer(b"".join(engines.speaker.stream(text)), np.int16).astype(np.float32)
    at = np.arange(int(pcm.size * 2 / 3)) * 1.5
    return (np.interp(at, np.arange(pcm.size), pcm) / 32_768).astype(np.float32)


@pytest.mark.parametrize(
    "text",
    [
        "What are your opening hours?",
        "How much does a cleaning cost?",
        "I would like to cancel my appointment.",
        "Yes.",
    ],
)
def test_the_recogniser_understands_the_voice(engines: OfflineEngines, text: str) -> None:
    assert engines.whisper.transcribe(said(engines, text)).lower().strip(".") == text.lower().strip(
        "."
    )


def test_silence_noise_and_nothing_are_no_words(engines: OfflineEngines) -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 32_000).astype(np.float32)
    for samples in (np.zeros(16_000, np.float32), noise, np.zeros(0, np.float32)):
        assert engines.whisper.transcribe(samples) == ""


def test_a_long_turn_is_heard_to_its_end(engines: OfflineEngines) -> None:
    text = (
        "We are open from Monday to Friday, from nine in the morning to five in the afternoon. "
        "A cleaning costs eighty dollars and takes about forty five minutes. "
        "There is a garage around the corner, and the first hour is free for our patients. "
        "Please call us again if you would like to make an appointment next week."
    )
    samples = said(engines, text)
    assert samples.size / 16_000 > 13
    heard = engines.whisper.transcribe(samples)
    assert heard.startswith("We are open from Monday")
    assert heard.endswith("appointment next week.")


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("I do. I do. I do.", True),
        ("no no no no no no", True),
        ("five five five", False),
        ("What are your opening hours?", False),
        ("", False),
    ],
)
def test_repetition_is_told_from_speech(text: str, repeated: bool) -> None:
    assert is_repetition(text) is repeated


def test_changed_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"not a model")
    monkeypatch.setattr(whisper, "require", lambda _: _FakePackage(tmp_path))
    with pytest.raises(WeightsChanged, match="pinned weights"):
        Whisper.load()


class _FakePackage:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_model_path(self) -> Path:
        return self._folder


def test_a_missing_extra_names_its_cure() -> None:
    with pytest.raises(EmbeddedSpeechMissing, match=r"offhook\[embedded\]"):
        require("no_such_speech_package.engine")


def test_the_voice_is_the_same_every_time(engines: OfflineEngines) -> None:
    first = [*engines.speaker.stream("One sentence. And another.")]
    assert len(first) == 2
    assert first[1] == b"".join(engines.speaker.stream("And another."))


async def test_tts_gives_audio_for_everything(engines: OfflineEngines) -> None:
    voice = make_tts(None, {}, engines=engines)
    for text in ("Good morning. How are you?", "–"):
        async with voice.synthesize(text) as stream:
            samples = [piece.frame.samples_per_channel async for piece in stream]
        assert sum(samples) > 0


async def test_stt_streams_with_a_vad(engines: OfflineEngines) -> None:
    listening = inference.VAD(min_silence_duration=0.3)
    stream = make_stt(Stt(), {}, engines=engines, listening=listening).stream()
    speech = said(engines, "What are your opening hours?")
    gap = np.zeros(16_000, np.float32)
    pcm = (np.concatenate([gap, speech, gap, speech, gap]) * 32_767).astype(np.int16)
    for start in range(0, pcm.size - 320, 320):
        stream.push_frame(rtc.AudioFrame(pcm[start : start + 320].tobytes(), 16_000, 1, 320))
    stream.end_input()
    finals = [
        event.alternatives[0].text
        async for event in stream
        if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT
    ]
    assert finals == ["What are your opening hours?"] * 2
    await stream.aclose()


async def test_stt_takes_any_rate_in_one_piece(engines: OfflineEngines) -> None:
    pcm = b"".join(engines.speaker.stream("How much does a cleaning cost?"))
    frame = rtc.AudioFrame(pcm, 24_000, 1, len(pcm) // 2)
    heard = await make_stt(Stt(), {}, engines=engines).recognize(frame)
    assert heard.alternatives[0].text == "How much does a cleaning cost?"


@llm.function_tool
async def end_call(reason: str) -> None:
    """End the call."""


async def test_llm_answers_and_calls_tools_as_a_model_would(engines: OfflineEngines) -> None:
    model = make_llm(None, {}, engines=engines)
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are Ava. We are open from nine to five.")
    context.add_message(role="user", content="When are you open?")
    answered = await model.chat(chat_ctx=context, tools=[end_call]).collect()
    assert answered.text == "We are open from nine to five."
    assert answered.usage is not None
    context.add_message(role="assistant", content=answered.text)
    context.add_message(role="user", content="Goodbye.")
    ended = await model.chat(chat_ctx=context, tools=[end_call]).collect()
    assert ended.text == ""
    assert [call.name for call in ended.tool_calls] == ["end_call"]
    assert json.loads(ended.tool_calls[0].arguments) == {"reason": "Goodbye."}
    spoken = await model.chat(chat_ctx=context, tools=[end_call], tool_choice="none").collect()
    assert (spoken.text[-8:], spoken.tool_calls) == ("Goodbye.", [])


async def test_llm_takes_a_last_system_message_for_this_reply_only(engines: OfflineEngines) -> None:
    model = make_llm(None, {}, engines=engines)
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are Ava, the assistant of Blue DialPlan.")
    context.add_message(role="system", content="First sentence instruction: Hi, it is Ava here.")
    assert (await model.chat(chat_ctx=context).collect()).text == "Hi, it is Ava here."
