"""What the agent does about who answered: nothing, or what a machine needs.

A person is answered as ever. The agent keeps silent while a long greeting is judged; leaves its
message after a voicemail's beep; says who calls when a telephone asks that before it rings; leaves
menus it may not use.
"""

from __future__ import annotations

import asyncio
from typing import Any

from livekit.agents import AgentSession, llm

from agent.answering.answer import Answer
from agent.answering.greetings import GreetingComparison
from agent.answering.hold import Hold, Said, Silence
from agent.answering.listening import AnswerListener
from agent.answering.message import leave
from agent.answering.opinion import SecondOpinion
from agent.audio.input import Heard
from agent.ending import Ending
from agent.opening import Opening
from agent.prompt import Texts
from agent.reporter import Reporter
from agent.speaker import Speaker
from agent.spoken import Spoken
from agent.turn_taking import is_courtesy
from control_plane.domain.brief import CallBrief, Direction
from control_plane.domain.events import (
    AnswerDetected,
    AttemptResult,
    EndedBy,
    EndReason,
    ItemSaid,
    Role,
)

SCREENED_QUIET_S = 2.5
"""Silence after a telephone has asked who calls, and no words of it were recognised."""


class AnswerWatch:
    """Watches an outbound call from its answer on; of other calls it knows that a person called.

    Args:
        texts: what is said; a voicemail without a message is hung up on.
        adviser: asked about a long greeting in which nothing gives anybody away; null: nobody is.
        comparison: says before that whose words such a greeting is like.
    """

    def __init__(
        self,
        brief: CallBrief,
        texts: Texts,
        adviser: llm.LLM[Any] | None,
        comparison: GreetingComparison,
    ) -> None:
        self._spec = brief.assistant
        self._is_on = brief.direction is Direction.OUTBOUND
        self._message = texts.spoken(brief.assistant.voicemail_message)
        self._listener = AnswerListener(brief.assistant.language, self._check)
        self._detector = self._listener.detector
        self._opinion = SecondOpinion(adviser)
        self._comparison = comparison
        self._hold = Hold(brief.assistant.language)
        self._asking: list[asyncio.Task[None]] = []
        self._asked = ""
        self._reported: Answer | None = None
        self._navigates = False
        self._introduced = False

    def tapped(self, onward: Heard) -> Heard:
        """Return what takes the line's sound and passes it on."""
        return self._listener.tapped(onward)

    def answered(
        self,
        session: AgentSession[Any],
        speaker: Speaker,
        reporter: Reporter,
        ending: Ending,
        opening: Opening,
        silence: Silence,
    ) -> None:
        """They have answered: watch this session."""
        self._hold.watch(silence)
        self._session = session
        self._speaker = speaker
        self._reporter = reporter
        self._ending = ending
        self._opening = opening
        if self._is_on:
            self._listener.answered(session)

    # -- what others ask ----------------------------------------------------------

    @property
    def holds(self) -> bool:
        """Whether the agent says nothing of its own now, and owes nobody an answer."""
        is_live = self._listener.is_live and not self._navigates
        return is_live and self._detector.must_wait(self._listener.now_s)

    def is_unanswered(self, asked: int) -> bool:
        """Return whether silence is a voicemail's: a long greeting, and no answer to the agent.

        It is told the message at once; without one it is asked for a sign of life before it is
        hung up on.

        Args:
            asked: how often they were asked whether they are there.
        """
        if not (self._detector.may_be_recording and (self._message or asked)):
            return False
        self._detector.unanswered(self._listener.now_s)
        self._listener.stir()
        return True

    def result(self, *, person_spoke: bool) -> AttemptResult:
        """Return who answered, in the end."""
        if self._detector.answer is not None:
            return self._detector.answer.result
        return AttemptResult.HUMAN if person_spoke else AttemptResult.UNKNOWN

    async def may_reply(self) -> bool:
        """Return whether a turn that has just ended is to be answered; a long greeting waits."""
        if not self._listener.is_live:
            return True
        words, self._listener.untold = self._listener.untold, ""
        said = self._hold.hear(words, is_machine=self._navigates)
        if self._navigates:
            return self._at_menu(said, words)
        if self._detector.is_screened:
            self._be_screened()
            return False
        asks = self._listener.last_words.endswith("?")
        self._detector.turn(self._listener.now_s, asks=asks)
        while self._detector.answer is None and not self._detector.speaks:
            await self._settle()
        self._check()
        self._report()
        answer = self._detector.answer
        return self._navigates or (answer is not None and not answer.is_machine)

    def _at_menu(self, said: Said, words: str) -> bool:
        """Return whether the model is asked: not by announcements, nor by who takes the call."""
        if said is Said.PERSON:
            self._navigates = False
            self._detector.picked_up(words, self._listener.now_s)
            self._report()
            self._greet()
        return said is Said.OTHER

    async def may_begin(self) -> None:
        """Return once the agent may speak first: not into a long greeting, and to no machine."""
        while self.holds:
            if self._detector.answer is None and not self._detector.speaks:
                await self._settle()
            else:
                await self._listener.stirs_within(None)
        self._report()

    async def _settle(self) -> None:
        """Wait for more of a greeting; without it, a person waits for us."""
        self._request_opinion()
        if not await self._listener.stirs_within(self._detector.settles_in(self._listener.now_s)):
            self._detector.silence(self._listener.now_s)

    def _request_opinion(self) -> None:
        """Have the greeting compared, and a model asked, while the silence after it is awaited."""
        words = self._detector.greeting
        if not words or words == self._asked or not self._detector.is_unclear(self._listener.now_s):
            return
        self._asked = words
        self._stop_asking()
        self._asking = [
            asyncio.create_task(self._compare(words), name="likeness"),
            asyncio.create_task(self._advise(words), name="second opinion"),
        ]

    def _stop_asking(self) -> None:
        for each in self._asking:
            each.cancel()

    async def _compare(self, words: str) -> None:
        likeness = await self._comparison.get_likeness(words)
        if words == self._detector.greeting:
            self._detector.compared(likeness)

    async def _advise(self, words: str) -> None:
        result = await self._opinion.of(words)
        if result is not None and words == self._detector.greeting:
            self._detector.advised(result, self._listener.now_s)
            self._listener.stir()

    # -- what is done ---------------------------------------------------------------

    def _check(self) -> None:
        """Leave a menu to the model, ungreeted, before a reply to it can be begun."""
        answer = self._detector.answer
        is_menu = answer is not None and answer.result is AttemptResult.IVR
        if is_menu and self._spec.ivr_navigation_enabled and not self._navigates:
            self._navigates = True
            self._opening.pop()

    async def run(self) -> None:
        """Deal with machines until cancelled."""
        try:
            while True:
                self._report()
                answer = self._detector.answer
                if answer is not None and answer.is_machine and not self._navigates:
                    await self._deal_with(answer)
                await self._listener.stirs_within(None)
        finally:
            self._hold.end()
            self._stop_asking()

    async def _deal_with(self, answer: Answer) -> None:
        if not self._introduced:
            await self._speaker.hush()
        match answer.result:
            case AttemptResult.VOICEMAIL:
                await self._at_voicemail(answer)
            case AttemptResult.IVR:
                self._leave(EndReason.IVR_NO_NAVIGATE, answer)
            case AttemptResult.IOS_SCREENING_FILTER:
                await self._introduce()
            case _:
                self._leave(EndReason.UNREACHABLE, answer)

    async def _at_voicemail(self, answer: Answer) -> None:
        if self._session.tts is None:  # else the model replies to the greeting by itself
            self._session.input.set_audio_enabled(False)
        if self._message and answer.takes_message:
            await leave(self._message, self._listener, self._speaker)
        if self._listener.picked_up:
            self._report()
            self._greet()
        else:
            self._leave(EndReason.VOICEMAIL, answer)

    def _leave(self, reason: EndReason, answer: Answer) -> None:
        """Hang up; the transcript has what made the agent do it."""
        if self._listener.untold:
            self._reporter.report(ItemSaid, role=Role.USER, content=self._listener.untold)
        self._ending.end(EndedBy.AGENT, reason, answer.evidence)

    async def _introduce(self) -> None:
        """Say who calls and why where nothing that was asked made a turn: it was not understood."""
        while not self._introduced and self._listener.quiet_s < SCREENED_QUIET_S:
            await self._listener.stirs_within(SCREENED_QUIET_S)
        if not self._introduced:
            self._introduced = True
            self._greet()

    def _be_screened(self) -> None:
        """Say the first sentence to the telephone until it was heard, and once more to its owner.

        It is no reply of the model's: that may have been made before anybody knew who speaks.
        """
        words = self._listener.last_words
        if not self._introduced or self._opening.pending is not None:
            self._introduced = True
        elif not self._listener.is_of_machine(words) and not is_courtesy(
            words, self._spec.language
        ):
            self._detector.picked_up(words, self._listener.now_s)
            self._report()
        else:
            return  # it rings through
        self._greet()

    def _greet(self) -> None:
        """Say the first sentence: it tells who calls and why."""
        self._opening.again()
        first = self._opening.pop()
        if isinstance(first, Spoken):
            self._opening.watch(self._speaker.play(first))
        elif first is not None:
            self._session.generate_reply(instructions=first)
        else:
            self._session.generate_reply()

    def _report(self) -> None:
        """Report who it is, when that is news."""
        answer = self._detector.answer
        if answer is None or answer == self._reported:
            return
        self._reported = answer
        self._reporter.report(
            AnswerDetected,
            result=answer.result,
            engine=answer.engine.value,
            evidence=answer.evidence[:300],
            after_s=answer.at_s,
        )
        self._listener.stir()
