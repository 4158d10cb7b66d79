"""Warm transfer: the person hears music while a human is called, told of them, and asked."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from livekit import rtc
from livekit.agents import AgentSession, APIError

from agent.audio.mixing import Loop
from agent.audio.output import AudioOutput
from agent.audio.sounds import clip
from agent.far_end import FarEnd
from agent.prompt import Texts
from agent.session import Aside
from agent.spoken import speak
from agent.warm.consultation import Consultation, Private
from agent.warm.phrases import phrases
from agent.warm.summary import Summary
from control_plane.domain.assistant import ThinkingSound, TransferMode
from control_plane.domain.brief import CallBrief
from control_plane.domain.human_leg import HumanResult, HumanState, HumanView
from process.logs import get_logger
from sip.ports import SipTrouble
from speech import limits

log = get_logger(__name__)

WARM = "warm"
"""Why a human is called and no REFER is tried."""
_VOLUME = 0.5
_Told = tuple[list[rtc.AudioFrame], tuple[rtc.AudioFrame, ...]]


class Introduction:
    """Introduces the person of one call to humans, one after the other.

    Args:
        output: what the person hears; the music plays there.
        aside: what the human is asked with; null: nothing can be said to them.
    """

    def __init__(
        self,
        brief: CallBrief,
        texts: Texts,
        session: AgentSession[Any],
        far_end: FarEnd,
        *,
        output: AudioOutput,
        aside: Aside | None,
    ) -> None:
        self._brief = brief
        self._session = session
        self._far_end = far_end
        self._output = output
        self._aside = aside
        writer = aside.writer if aside is not None else None
        self._summary = Summary(brief.assistant, texts, writer)

    @property
    def is_wanted(self) -> bool:
        """Whether this is how the assistant passes people on."""
        return self._brief.assistant.human_transfer_mode is TransferMode.WARM

    @property
    def can_be_made(self) -> bool:
        """Whether there is a voice to make it with."""
        return self._aside is not None

    async def to(self, number: str, reason: str) -> HumanView:
        """Return what came of a human: answered, the call is theirs, and they talk."""
        if self._aside is None:
            return HumanView(id="", state=HumanState.OVER, result=HumanResult.FAILED)
        telling = asyncio.create_task(self._prepare(self._aside, reason), name="introduction")
        samples = await asyncio.to_thread(clip, ThinkingSound.HOLD_MUSIC.value)
        music = Loop(samples, _VOLUME, under_words=True)
        self._output.play(music)
        try:
            async with self._far_end.aside(self._output, self._aside.recogniser) as private:
                human = await self._far_end.bring_in(
                    number, reason=reason, because=WARM, is_asked_first=True
                )
                if human.state is not HumanState.ANSWERED:
                    await self._put_out(private)  # who answers after all is nobody's
                    return human
                return await self._request_answer(human, private, telling, music)
        finally:
            self._output.stop(music)
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _request_answer(
        self, human: HumanView, private: Private, telling: asyncio.Task[_Told], music: Loop
    ) -> HumanView:
        """Return the human with what they said, given the call or hung up."""
        consultation = Consultation(private, self._brief.assistant.language)
        try:
            await private.isolate()
            told, question = await telling
            result = await consultation.run(told, question)
            if result is HumanResult.ANSWERED:
                self._output.stop(music)
                self._listens(False)  # what the two say to each other is not said to the agent
                await private.connect()
        except (APIError, SipTrouble) as exc:
            log.warning("a human could not be asked", why=type(exc).__name__)
            result = HumanResult.FAILED
        noted = await self._far_end.note(human.id, result)
        if noted.result is not HumanResult.ANSWERED:
            await self._put_out(private)
            self._listens(True)
        return noted if noted.result is not None else msgspec.structs.replace(noted, result=result)

    def _listens(self, does: bool) -> None:
        self._session.input.set_audio_enabled(does)

    async def _put_out(self, private: Private) -> None:
        try:
            await private.put_out()
        except SipTrouble as exc:
            log.warning("a human who does not take the call was not hung up", why=exc)

    async def _prepare(self, aside: Aside, reason: str) -> _Told:
        """Return what the human is told, and asked; made while their telephone rings.

        Raises:
            livekit.agents.APIError: the voice failed.
        """
        words = phrases(self._brief.assistant.language)
        summary = await self._summary.of(self._session.history.items, reason)
        call = await speak(words.call, self._brief, aside.voice)
        question = await speak(words.question, self._brief, aside.voice)
        told = [*call.frames]
        if summary:  # told once: not kept as sentences are that come again
            async with aside.voice.synthesize(summary, conn_options=limits.TTS) as stream:
                told += [chunk.frame async for chunk in stream]
        return told, question.frames
