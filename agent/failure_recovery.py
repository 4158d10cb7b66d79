"""What keeps a caller from silence: fillers while a reply is late, an apology when none comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from livekit.agents import (
    AgentSession,
    APIError,
    SpeechCreatedEvent,
    UserTranscriptionTimeoutEvent,
    llm,
    tts,
)
from livekit.agents.voice import SpeechHandle

from agent.audio.output import AudioOutput
from agent.ending import Ending
from agent.failures import FailureWatch
from agent.limits import played
from agent.reply_filler import WORTH_WORDS_S, ReplyFiller
from agent.speaker import Speaker
from agent.spoken import Spoken, speak
from agent.stock_phrases import stock_phrases
from control_plane.domain.brief import CallBrief
from control_plane.domain.events import EndedBy, EndReason
from control_plane.domain.providers import RealtimeModel
from process.logs import get_logger

log = get_logger(__name__)

AGAIN_LIMIT_S = 20.0
ASKED_AT_MOST = 2
"""In a row; a recogniser that hears nothing after that has failed."""
PREPARED_AT_MOST, PREPARE_AGAIN_S = 3, 1.0


class FailureRecovery:
    """Watches one call and steps in.

    Args:
        on_said: called with each filler and apology that is said.
        holds: whether the agent says nothing of its own now.
        voice: speaks the sentences, while the phone rings; null: there is none to be had.

    `prepared` is set once all sentences have been spoken, for nobody to hear yet.
    """

    def __init__(
        self,
        brief: CallBrief,
        session: AgentSession[Any],
        speaker: Speaker,
        output: AudioOutput,
        *,
        ending: Ending,
        on_said: Callable[[str], None],
        voice: tts.TTS[Any] | None,
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        self._brief = brief
        self._session = session
        self._speaker = speaker
        self._output = output
        self._on_said = on_said
        self._ending = ending
        self._voice = voice
        self._holds = holds
        self._words = stock_phrases(brief.assistant.language)
        model = session.llm
        self._filler = ReplyFiller(
            session,
            output,
            on_said=on_said,
            on_given_up=self._no_reply_came,
            holds=holds,
            untold=isinstance(model, llm.RealtimeModel) and model.capabilities.turn_detection,
        )
        self.prepared = asyncio.Event()
        self._is_live = False
        self._apology: Spoken | None = None
        self._unheard = 0
        self._again: SpeechHandle | None = None  # what is being said a second time
        self._tasks: list[asyncio.Task[None]] = []
        self._apologising = False
        FailureWatch(session, on_fatal=self.fail, on_voice_lost=self._on_voice_lost)
        if isinstance(session.tts, tts.FallbackAdapter):
            session.tts.on("tts_availability_changed", self._on_voice_changed)
        self._wordless = 0
        session.on("speech_created", self._on_speech)
        session.on("user_transcription_timeout", self._on_unheard)
        session.on("user_input_transcribed", lambda _: self._understood())

    def prepare(self) -> None:
        """Begin to have the sentences spoken; without them, silence is all there is."""
        if self._voice is not None:
            self._begin(self._speak(self._voice), "own sentences")

    async def _speak(self, voice: tts.TTS[Any]) -> None:
        """Have them spoken, the apology first: it is what a call cannot do without."""
        for _ in range(PREPARED_AT_MOST):
            try:
                self._apology = await speak(self._words.apology, self._brief, voice)
                fillers = [await speak(text, self._brief, voice) for text in self._words.fillers]
            except APIError as exc:
                log.warning("own sentences could not be spoken", why=type(exc).__name__)
                await asyncio.sleep(PREPARE_AGAIN_S)
            else:
                self._filler.be_ready(*fillers)
                self.prepared.set()
                return

    async def run(self) -> None:
        """Watch until cancelled; call it once the person is there."""
        self._is_live = True
        await self._filler.run()

    async def aclose(self) -> None:
        """Stop what was begun."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def fail(self, detail: str) -> None:
        """Apologise and end the call: `detail` says which provider failed and how."""
        if not self._apologising and not self._ending.done:
            self._apologising = True
            self._begin(self._apologise(detail), "apology")

    async def _apologise(self, detail: str) -> None:
        """Say the apology past the session: what failed may have closed it."""
        self._filler.be_ready()  # no filler comes after it
        with suppress(RuntimeError):
            self._speaker.interrupt()
        if self._apology is not None and self._is_live:
            length_s = self._output.farewell(self._apology.frames)
            self._on_said(self._apology.text)
            await asyncio.sleep(length_s)
        self._ending.end(EndedBy.SYSTEM, EndReason.PROVIDER_FAILED, detail)

    def _no_reply_came(self) -> None:
        self.fail("no reply came in time")

    def _on_speech(self, event: SpeechCreatedEvent) -> None:
        if isinstance(self._brief.assistant.llm_model, RealtimeModel):
            event.speech_handle.add_done_callback(self._on_speech_done)

    def _on_speech_done(self, speech: SpeechHandle) -> None:
        """Ask a realtime model again, once, when no word came of its reply: it tells no error."""
        if speech.chat_items:
            self._wordless = 0
        elif not speech.interrupted and self._is_live and not self._apologising:
            self._wordless += 1
            if self._wordless > 1:
                self.fail(f"the realtime model ({self._model_provider}) gave no answer")
            else:
                self._session.generate_reply()

    @property
    def _model_provider(self) -> str:
        return getattr(self._brief.assistant.llm_model, "provider", "embedded")

    def _on_voice_lost(self, detail: str) -> None:
        """Have half a sentence said again, once: by then the voice may be back."""
        speech = self._broken_off()
        if speech is None:
            self.fail(detail)
        else:
            self._begin(self._say_again(speech, detail), "said again")

    def _on_voice_changed(self, event: tts.AvailabilityChangedEvent) -> None:
        # The adapter lets a sentence be that broke off half said; only the next has its fallback.
        speech = self._broken_off() if not event.available else None
        if speech is not None:
            self._begin(self._say_again(speech, "the voice broke off"), "said again")

    def _broken_off(self) -> SpeechHandle | None:
        """Return what is being said and was begun to be heard, unless that is said again."""
        speech = self._session.current_speech
        if self._session.agent_state != "speaking" or speech is self._again:
            return None
        return speech

    async def _say_again(self, speech: SpeechHandle, detail: str) -> None:
        await played(speech, AGAIN_LIMIT_S)
        if speech.interrupted:
            return
        # Not the speech's own, which keeps what was heard of it.
        text = self._output.transcript.text
        if not text:
            self.fail(detail)
            return
        self._again = self._speaker.say(text)

    def _on_unheard(self, event: UserTranscriptionTimeoutEvent) -> None:
        over = self._apologising or self._ending.done or self._holds()
        if event.speech_duration < WORTH_WORDS_S or over:
            return
        self._unheard += 1
        if self._unheard > ASKED_AT_MOST:
            self.fail("the recogniser gave no words of what was said")
        else:
            self._speaker.say(self._words.unheard)

    def _understood(self) -> None:
        self._unheard = 0

    def _begin(self, work: Any, name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))
