"""The agent's own sentences: fetched in time, said past a session that is gone, said once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    APIConnectionError,
    APIConnectOptions,
    APITimeoutError,
    ErrorEvent,
    SpeechCreatedEvent,
    UserTranscriptionTimeoutEvent,
    tts,
)

from agent.audio.frames import SAID_RATE
from agent.audio.output import AudioOutput
from agent.ending import Ending, Verdict
from agent.failure_recovery import FailureRecovery
from agent.speaker import Speaker
from agent.stock_phrases import stock_phrases
from control_plane.domain.assistant import Language
from control_plane.domain.events import EndedBy, EndReason
from control_plane.domain.providers import RealtimeModel
from tests.factories import call_brief

pytestmark = pytest.mark.unit

WORDS = stock_phrases(Language.EN_US)
SENTENCE = SAID_RATE // 20 * 2


class Voice(tts.TTS[str]):
    """A voice that fails the first few times and then says a twentieth of a second."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=SAID_RATE,
            num_channels=1,
        )
        self.failures = failures
        self.asked: list[str] = []

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        self.asked.append(text)
        once = APIConnectOptions(max_retry=0, timeout=conn_options.timeout)
        return Sentence(tts=self, input_text=text, conn_options=once)


class Sentence(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        voice: Any = self._tts
        if voice.failures:
            voice.failures -= 1
            raise APIConnectionError
        output_emitter.initialize(
            request_id="1", sample_rate=SAID_RATE, num_channels=1, mime_type="audio/pcm"
        )
        output_emitter.push(bytes(SENTENCE))
        output_emitter.flush()


class Speech:
    """Something that is being said."""

    def __init__(self, text: str) -> None:
        self.chat_items = [SimpleNamespace(type="message", text_content=text)] if text else []
        self.interrupted = False
        self._over = asyncio.Event()
        self._callbacks: list[Any] = []

    def done(self) -> bool:
        return self._over.is_set()

    def end(self) -> None:
        self._over.set()
        for callback in self._callbacks:
            callback(self)

    def add_done_callback(self, callback: Any) -> None:
        self._callbacks.append(callback)

    async def wait_for_playout(self) -> None:
        await self._over.wait()


class Session(rtc.EventEmitter[str]):
    """A session that notes what it is told to say."""

    llm = None

    def __init__(self) -> None:
        super().__init__()
        self.tts: Any = None
        self.stt: Any = "stt"
        self.user_state, self.agent_state = "listening", "listening"
        self.current_speech: Speech | None = None
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.is_closed = False

    def say(self, text: str, **_how: Any) -> Speech:
        self.said.put_nowait(text)
        return self.speak(text)

    def speak(self, text: str) -> Speech:
        """Be saying this; it has begun to be heard."""
        self.current_speech, self.agent_state = Speech(text), "speaking"
        return self.current_speech

    def generate_reply(self, *, instructions: str = "", **_how: Any) -> Speech:
        return self.say(instructions)

    def interrupt(self, **_how: Any) -> None:
        if self.is_closed:
            raise RuntimeError("the session is closed")

    def reply(self, text: str) -> None:
        """Have a reply come, and end."""
        speech = Speech(text)
        created = SpeechCreatedEvent.model_construct(speech_handle=speech)
        self.emit("speech_created", created)
        speech.end()

    def lose(self, error: Any) -> None:
        self.emit("error", ErrorEvent(error=error, source=None))


def opened() -> Any:
    """Return a session, as whatever type is asked for."""
    return Session()


class Scene:
    """A call that can be rescued, on a line without a room."""

    def __init__(self, voice: Voice | None, model: RealtimeModel | None) -> None:
        self.session = opened()
        if voice is not None:
            self.session.tts = voice
        self.heard: list[int] = []
        self.line = AudioOutput(lambda data, _at: self.heard.append(len(data)), lambda _at: None)
        self.line.start()
        self.said: list[str] = []
        self.ending = Ending()
        self.recovery = FailureRecovery(
            call_brief(llm_model=model),
            self.session,
            Speaker(self.session),
            self.line,
            ending=self.ending,
            on_said=self.said.append,
            voice=voice,
        )
        self._watching = asyncio.create_task(self.recovery.run())

    async def prepared(self) -> None:
        self.recovery.prepare()
        await asyncio.wait_for(self.recovery.prepared.wait(), 5.0)

    async def verdict(self) -> Verdict:
        return await asyncio.wait_for(self.ending.wait(), 5.0)

    async def aclose(self) -> None:
        self._watching.cancel()
        await self.recovery.aclose()
        await self.line.aclose()


@pytest.fixture
async def scenes() -> AsyncIterator[list[Scene]]:
    made: list[Scene] = []
    yield made
    for scene in made:
        await scene.aclose()


async def scene_with(
    scenes: list[Scene], voice: Voice | None, model: RealtimeModel | None = None
) -> Scene:
    scenes.append(Scene(voice, model))
    await asyncio.sleep(0)  # its watch begins
    return scenes[-1]


def heard_once(scene: Scene) -> bool:
    """Whether a sentence was heard and nothing after it; the voice pads it a little."""
    return SENTENCE <= sum(scene.heard) < 2 * SENTENCE


def voice_lost() -> tts.TTSError:
    label = "livekit.plugins.cartesia.tts.TTS"
    return tts.TTSError(timestamp=0.0, label=label, error=APITimeoutError(), recoverable=False)


def unheard(seconds: float = 2.0) -> UserTranscriptionTimeoutEvent:
    return UserTranscriptionTimeoutEvent(speech_duration=seconds, vad_speech_started_at=0.0)


@pytest.mark.parametrize("is_closed", [False, True])
async def test_the_apology_is_heard_whatever_became_of_the_session(
    scenes: list[Scene], is_closed: bool
) -> None:
    scene = await scene_with(scenes, Voice())
    await scene.prepared()
    scene.session.is_closed = is_closed
    scene.recovery.fail("the model (openai) answered 429")
    scene.recovery.fail("and again")
    verdict = await scene.verdict()
    assert verdict == Verdict(
        EndedBy.SYSTEM, EndReason.PROVIDER_FAILED, "the model (openai) answered 429"
    )
    assert heard_once(scene)
    assert scene.said == [WORDS.apology]


async def test_nothing_follows_the_apology(scenes: list[Scene]) -> None:
    scene = await scene_with(scenes, Voice())
    await scene.prepared()
    scene.recovery.fail("it failed")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    samples = SAID_RATE // 10
    await scene.line.capture_frame(rtc.AudioFrame(bytes(samples * 2), SAID_RATE, 1, samples))
    scene.line.clear_buffer()
    await scene.verdict()
    assert heard_once(scene)


async def test_without_a_voice_the_call_ends_all_the_same(scenes: list[Scene]) -> None:
    scene = await scene_with(scenes, None)
    scene.recovery.fail("it failed")
    assert (await scene.verdict()).detail == "it failed"
    assert scene.heard == []


async def test_a_voice_that_fails_at_first_is_asked_again(scenes: list[Scene]) -> None:
    voice = Voice(failures=1)
    scene = await scene_with(scenes, voice)
    await scene.prepared()
    assert voice.asked == [WORDS.apology, WORDS.apology, *WORDS.fillers]


async def test_half_a_sentence_is_said_again_once(scenes: list[Scene]) -> None:
    scene = await scene_with(scenes, Voice())
    await scene.line.transcript.capture_text("We open at nine.")
    speech = scene.session.speak("We")  # what was heard of it
    scene.session.lose(voice_lost())
    speech.end()
    assert await asyncio.wait_for(scene.session.said.get(), 5.0) == "We open at nine."
    await asyncio.sleep(0)
    scene.session.lose(voice_lost())
    assert (await scene.verdict()).detail == "the voice (cartesia) did not answer in time"


async def test_a_voice_that_said_nothing_is_not_waited_for(scenes: list[Scene]) -> None:
    scene = await scene_with(scenes, Voice())
    scene.session.current_speech = Speech("We open at nine.")
    scene.session.lose(voice_lost())
    assert (await scene.verdict()).reason is EndReason.PROVIDER_FAILED
    assert scene.session.said.empty()


async def test_a_realtime_model_is_asked_again_for_a_reply_without_words(
    scenes: list[Scene],
) -> None:
    scene = await scene_with(scenes, Voice(), RealtimeModel("openai", "gpt-realtime"))
    for text in ("", "We open at nine.", ""):
        scene.session.reply(text)
    assert scene.session.said.qsize() == 2
    assert not scene.ending.done
    scene.session.reply("")
    said = (await scene.verdict()).detail
    assert said == "the realtime model (openai) gave no answer"


async def test_a_recogniser_that_hears_nothing_is_asked_twice_and_then_given_up(
    scenes: list[Scene],
) -> None:
    scene = await scene_with(scenes, Voice())
    for seconds in (2.0, 0.3, 2.0):  # a cough is no question
        scene.session.emit("user_transcription_timeout", unheard(seconds))
    asked = [scene.session.said.get_nowait() for _ in range(scene.session.said.qsize())]
    assert asked == [WORDS.unheard, WORDS.unheard]
    scene.session.emit("user_transcription_timeout", unheard())
    assert (await scene.verdict()).detail == "the recogniser gave no words of what was said"
