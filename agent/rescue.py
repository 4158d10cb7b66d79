"""What keeps a caller from silence: fillers while a reply is late, an apology when none comes."""

from __future__ import annotations

import asyncio
from typing import Any

from livekit.agents import AgentSession, APIError, UserTranscriptionTimeoutEvent, tts

from agent.ending import Ending
from agent.failures import FailureWatch
from agent.limits import played
from agent.line import LineOut
from agent.patience import Patience
from agent.reporter import Reporter
from agent.sayings import sayings
from agent.speaker import Speaker
from agent.spoken import Spoken, speak
from control_plane.domain.brief import CallBrief
from control_plane.domain.events import EndedBy, EndReason, ItemSaid, Role
from process.logs import get_logger

log = get_logger(__name__)

APOLOGY_LIMIT_S = 8.0
WORTH_ASKING_S = 0.8
"""Speech shorter than this that had no words was a cough."""
ASKED_AT_MOST = 2
"""In a row; the ears that hear nothing after that have failed."""


class Rescue:
    """Watches one call and steps in.

    Args:
        voice: speaks the sentences, while the phone rings; null: there is none to be had.
    """

    def __init__(
        self,
        brief: CallBrief,
        session: AgentSession[Any],
        speaker: Speaker,
        line: LineOut,
        *,
        reporter: Reporter,
        ending: Ending,
        voice: tts.TTS[Any] | None,
    ) -> None:
        self._brief = brief
        self._speaker = speaker
        self._reporter = reporter
        self._ending = ending
        self._voice = voice
        self._words = sayings(brief.assistant.language)
        self._patience = Patience(
            session, line, on_said=self._report, on_given_up=self._no_reply_came
        )
        self._apology: Spoken | None = None
        self._unheard = 0
        self._preparing: asyncio.Task[None] | None = None
        self._apologising: asyncio.Task[None] | None = None
        FailureWatch(session, self.fail)
        session.on("user_transcription_timeout", self._on_unheard)
        session.on("user_input_transcribed", lambda _: self._understood())

    def prepare(self) -> None:
        """Begin to have the sentences spoken; without them, silence is all there is."""
        if self._voice is not None:
            self._preparing = asyncio.create_task(self._speak(self._voice), name="own sentences")

    async def _speak(self, voice: tts.TTS[Any]) -> None:
        texts = (*self._words.fillers, self._words.apology)
        try:
            *fillers, apology = [await speak(text, self._brief, voice) for text in texts]
        except APIError as exc:
            log.warning("the agent's own sentences could not be spoken", why=type(exc).__name__)
            return
        self._patience.be_ready(*fillers)
        self._apology = apology

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._patience.run()

    async def aclose(self) -> None:
        """Stop what was begun."""
        begun = [task for task in (self._preparing, self._apologising) if task is not None]
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)

    def fail(self, detail: str) -> None:
        """Apologise and end the call: `detail` says which provider failed and how."""
        if self._apologising is None and not self._ending.done:
            self._apologising = asyncio.create_task(self._apologise(detail), name="apology")

    async def _apologise(self, detail: str) -> None:
        if self._apology is not None:
            self._speaker.interrupt()
            handle = self._speaker.play(self._apology, allow_interruptions=False)
            await played(handle, APOLOGY_LIMIT_S)
        self._ending.end(EndedBy.SYSTEM, EndReason.PROVIDER_FAILED, detail)

    def _no_reply_came(self) -> None:
        self.fail("no reply came in time")

    def _on_unheard(self, event: UserTranscriptionTimeoutEvent) -> None:
        if event.speech_duration < WORTH_ASKING_S or self._ending.done:
            return
        self._unheard += 1
        if self._unheard > ASKED_AT_MOST:
            self.fail("the ears gave no words of what was said")
        else:
            self._speaker.say(self._words.unheard)

    def _understood(self) -> None:
        self._unheard = 0

    def _report(self, text: str) -> None:
        self._reporter.report(ItemSaid, role=Role.ASSISTANT, content=text)
