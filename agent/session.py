"""An assistant's settings become a LiveKit AgentSession, tuned for the telephone."""

from __future__ import annotations

from typing import Any

from livekit.agents import AgentSession, inference, llm, stt, tts, vad
from msgspec import Struct

from control_plane.domain.brief import CallBrief
from speech.prewarm import OfflineEngines
from speech.tables import make_llm, make_stt, make_tts

SILENCE_S = 0.25
"""Silence after which voice activity detection says that speech has ended."""
ENDPOINTING_S = 0.3
"""The wait for more words, which runs while the recogniser and the model already work."""
INTERRUPT_S = 0.3
"""Speech shorter than this does not interrupt the agent."""


class Engines(Struct, frozen=True):
    """What one worker loads once and every call of it uses."""

    offline: OfflineEngines
    vad: vad.VAD


class Parts(Struct, frozen=True):
    """One call's model, voice and ears."""

    llm: llm.LLM[Any]
    tts: tts.TTS[Any]
    stt: stt.STT[Any]


def load_vad() -> vad.VAD:
    """Return the bundled voice activity detector, loaded."""
    return inference.VAD(min_silence_duration=SILENCE_S)


def build_parts(brief: CallBrief, engines: Engines) -> Parts:
    """Return the engines that the assistant names.

    Raises:
        ProviderKeyMissing: a provider has no key.
    """
    spec = brief.assistant
    return Parts(
        llm=make_llm(spec.llm_model, brief.providers, engines=engines.offline),
        tts=make_tts(spec.voice, brief.providers, engines=engines.offline),
        stt=make_stt(spec.ears, brief.providers, engines=engines.offline, listening=engines.vad),
    )


def build_session(parts: Parts, engines: Engines) -> AgentSession[None]:
    """Return the session; needs a running loop."""
    return AgentSession(
        llm=parts.llm,
        tts=parts.tts,
        stt=parts.stt,
        vad=engines.vad,
        turn_handling={
            # The silence decides: the bundled turn detector is not deterministic enough yet with
            # the embedded voices, and its cloud version is never used.
            "turn_detection": "vad",
            "endpointing": {"mode": "fixed", "min_delay": ENDPOINTING_S, "max_delay": 2.0},
            "interruption": {
                "mode": "vad",
                "min_duration": INTERRUPT_S,
                "resume_false_interruption": True,
                "false_interruption_timeout": 1.0,
            },
            "preemptive_generation": {"enabled": True},
        },
        # Our own watch asks and hangs up; see agent/limits.py.
        user_away_timeout=None,
        # Nobody waits for words that were begun when the call ended.
        session_close_transcript_timeout=0.2,
        aec_warmup_duration=None,
    )
