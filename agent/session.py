"""An assistant's settings become a LiveKit AgentSession, tuned for the telephone."""

from __future__ import annotations

import asyncio
from typing import Any

from livekit.agents import NOT_GIVEN, AgentSession, inference, llm, stt, tts, vad
from msgspec import Struct

from agent.answering.greetings import GreetingComparison
from agent.turn_taking import DETECTION_LAG_S, TurnJudge, turn_handling
from control_plane.domain.assistant import Language, TransferMode, TurnTaking
from control_plane.domain.brief import CallBrief, Direction
from control_plane.domain.providers import EmbeddedModel, RealtimeModel
from process.addresses import Allowed
from process.logs import get_logger
from speech import limits
from speech.prewarm import OfflineEngines
from speech.providers.access import ProviderKeyMissing
from speech.tables import PUBLIC_ONLY, make_llm, make_stt, make_tts

log = get_logger(__name__)

SILENCE_S = 0.25
"""Silence after which speech has ended."""
CLOSE_LIMIT_S = 2.0
TextModel = llm.LLM[Any]
UNHEARD_S = 4.0
"""After speech whose words have not come by then, the agent asks to hear it again."""


class Engines(Struct, frozen=True):
    """What one worker loads once and every call of it uses."""

    offline: OfflineEngines
    vad: vad.VAD
    allowed: Allowed = PUBLIC_ONLY

    @property
    def greetings(self) -> GreetingComparison:
        """What says whose words a greeting is like."""
        return GreetingComparison(self.offline.meaning, self.offline.thinking)


class Aside(Struct, frozen=True):
    """What a human is told and asked with before they are given the call.

    All of it is made once more for that: what fails of the session's own ends calls. `writer` is
    null where the assistant has no model that writes, `recogniser` where there is no key for one.
    """

    voice: tts.TTS[Any]
    writer: TextModel | None
    recogniser: stt.STT[Any] | None


class Parts(Struct, frozen=True):
    """One call's model, voice and recogniser; a realtime model brings its own of both.

    `voice_aside` speaks the agent's own sentences: the assistant's voice, or the embedded one
    where it speaks the language. `adviser` is asked about whoever answers: the assistant's model
    once more, since what fails of the session's own ends calls; null where it has none in words.
    `aside` is there where people are passed on warm.
    """

    voice_aside: tts.TTS[Any] | None
    llm: llm.LLM[Any] | llm.RealtimeModel
    tts: tts.TTS[Any] | None
    stt: stt.STT[Any] | None
    adviser: TextModel | None = None
    aside: Aside | None = None

    @property
    def all(self) -> list[Any]:
        """Return each that there is; one may be there twice."""
        aside = self.aside
        beside = [aside.voice, aside.writer, aside.recogniser] if aside is not None else []
        parts = [self.llm, self.tts, self.stt, self.voice_aside, self.adviser, *beside]
        return [part for part in parts if part is not None]

    async def aclose(self) -> None:
        """Close every connection to a provider; what fails in it is nobody's loss any more."""
        # One may play two of them.
        closing = [asyncio.ensure_future(part.aclose()) for part in set(self.all)]
        _, late = await asyncio.wait(closing, timeout=CLOSE_LIMIT_S)
        for each in late:
            each.cancel()
        for problem in await asyncio.gather(*closing, return_exceptions=True):
            if problem is not None:
                log.info("a provider was not closed in order", why=type(problem).__name__)


def load_vad() -> vad.VAD:
    """Return the bundled voice activity detector, loaded."""
    return inference.VAD(min_silence_duration=SILENCE_S - DETECTION_LAG_S)


def build_parts(brief: CallBrief, engines: Engines) -> Parts:
    """Return the engines that the assistant names.

    Raises:
        ProviderKeyMissing: a provider has no key.
    """
    spec, keys = brief.assistant, brief.providers
    offline, language = engines.offline, spec.language
    model = make_llm(
        spec.llm_model,
        keys,
        fallbacks=spec.llm_fallbacks,
        language=language,
        engines=offline,
        allowed=engines.allowed,
    )
    hears_itself = isinstance(model, llm.RealtimeModel)
    speaker = _voice(brief, engines)
    recogniser = None if hears_itself else _recogniser(brief, engines)
    own_voice = speaker if spec.voice is not None or not hears_itself else None
    return Parts(
        llm=model,
        tts=own_voice,
        stt=recogniser,
        voice_aside=speaker,
        adviser=_adviser(brief, engines),
        aside=_aside(brief, engines),
    )


def _voice(brief: CallBrief, engines: Engines) -> tts.TTS[Any] | None:
    spec = brief.assistant
    if spec.voice is None and spec.language.base != "en":
        return None
    return make_tts(
        spec.voice,
        brief.providers,
        fallbacks=spec.voice_fallbacks,
        language=spec.language,
        engines=engines.offline,
        allowed=engines.allowed,
    )


def _recogniser(brief: CallBrief, engines: Engines) -> stt.STT[Any]:
    spec = brief.assistant
    return make_stt(
        spec.stt,
        brief.providers,
        fallbacks=spec.stt_fallbacks,
        language=spec.language,
        engines=engines.offline,
        listening=engines.vad,
        allowed=engines.allowed,
    )


def _aside(brief: CallBrief, engines: Engines) -> Aside | None:
    spec, recogniser = brief.assistant, None
    if spec.human_transfer_mode is not TransferMode.WARM:
        return None
    voice = _voice(brief, engines)
    if voice is None:
        return None
    try:
        recogniser = _recogniser(brief, engines)
    except ProviderKeyMissing:  # the model hears by itself
        log.info("who is asked to take a call can answer by keys alone")
    writer = _writer(brief, engines, falls_back=True)
    return Aside(voice=voice, writer=writer, recogniser=recogniser)


def _adviser(brief: CallBrief, engines: Engines) -> TextModel | None:
    if brief.direction is not Direction.OUTBOUND:
        return None
    return _writer(brief, engines, falls_back=False)


def _writer(brief: CallBrief, engines: Engines, *, falls_back: bool) -> TextModel | None:
    """Return the assistant's model once more; null where it does not write."""
    named = brief.assistant.llm_model
    if named is None or isinstance(named, RealtimeModel | EmbeddedModel):
        return None
    fallbacks = brief.assistant.llm_fallbacks if falls_back else ()
    model = make_llm(named, brief.providers, fallbacks=fallbacks, allowed=engines.allowed)
    return model if isinstance(model, llm.LLM) else None


def build_session(
    parts: Parts, engines: Engines, turn_taking: TurnTaking, language: Language
) -> AgentSession[None]:
    """Return the session; needs a running loop."""
    handling = turn_handling(turn_taking, language, by_words=parts.stt is not None)
    session: AgentSession[None] = AgentSession(
        llm=parts.llm,
        tts=parts.tts or NOT_GIVEN,
        stt=parts.stt or NOT_GIVEN,
        vad=engines.vad,
        turn_handling=handling,
        conn_options=limits.SESSION,
        # Our own watch asks and hangs up; see agent/limits.py.
        user_away_timeout=None,
        transcription_timeout=UNHEARD_S if parts.stt is not None else None,
        # Nobody waits for words that were begun when the call ended.
        session_close_transcript_timeout=0.2,
        aec_warmup_duration=None,
    )
    if isinstance(judge := handling.get("turn_detection"), TurnJudge):
        judge.attach(session)
    return session
