"""What a caller hears when a provider fails in the middle of a call: one row a failure.

`tests/agent` holds these calls by the real plugins, without SIP; those in `ON_THE_WIRE`, one of
each class of failures, are held by `tests/system` over SIP and RTP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from agent.stock_phrases import stock_phrases
from control_plane.domain.assistant import Language
from tests.providers.behaviour import Behaviour, Fault
from tests.providers.script import Rule
from tests.providers.servers import KEY, ProviderServers

OWN = stock_phrases(Language.EN_US)
FILLER, LONGER = OWN.fillers[0], "I am still looking."
SORRY, UNHEARD = "I am sorry, I have a technical problem and must end this call.", OWN.unheard
NOT_CAUGHT = "Sorry, I did not catch that."
GREETING = "Hello, this is the night desk."
QUESTION = "When do you open tomorrow?"
ANSWER = "We open at nine."
OTHER = "Sunday is our busiest day of the whole week."
ONCE, LASTS = 1, None

OPENAI = {"type": "dedicated-instance", "name": "gpt-4.1"}
MISTRAL = {"type": "dedicated-instance", "name": "ministral-3-8b-instruct"}
ROUTED = {"type": "openrouter", "openrouter_model_id": "m/l", "openrouter_provider": "groq"}
CUSTOM = {"type": "custom", "model_name": "mine", "api_key": KEY, "api_url": "filled in"}
REALTIME = {"type": "realtime", "provider": "openai", "realtime_model_id": "gpt-realtime"}
GOOGLE = {"type": "realtime", "provider": "google", "realtime_model_id": "gemini-live"}
CARTESIA = {"provider": "cartesia", "id": "voice-a"}
ELEVENLABS = {"provider": "elevenlabs", "id": "voice-b"}


class Row(Struct, frozen=True, kw_only=True):
    """One call.

    Args:
        assistant: beside its sentences.
        before: what the providers do from the order on; `faults`: from the greeting's end on, and
            how often.
        heard: the phrases that must be heard; `unheard`: those that must not.
        detail: parts of what the attempt says of its failure; none: the caller hangs up content.
        said: what the transcript must hold of the agent's own sentences.
        questions: how often the caller asks; `patience_s`: when they hang up on an answer that
            does not end.
    """

    assistant: Mapping[str, Any]
    before: Mapping[str, Behaviour] = {}
    faults: Mapping[str, tuple[Behaviour, int | None]] = {}
    heard: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    questions: int = 1
    patience_s: float | None = None


def fault(kind: Fault, **more: Any) -> Behaviour:
    return Behaviour(fault=kind, **more)


SAVED = {"heard": (ANSWER,), "unheard": (SORRY,)}
LOST: dict[str, Any] = {"heard": (SORRY,), "said": (OWN.apology,)}

ROWS: dict[str, Row] = {
    "429 lasts": Row(
        assistant={"llm_model": OPENAI},
        faults={"openai.chat": (Behaviour(status=429), LASTS)},
        detail=("model", "openai", "429"),
        **LOST,
    ),
    "500 once": Row(
        assistant={"llm_model": MISTRAL},
        faults={"mistral.chat": (Behaviour(status=500), ONCE)},
        **SAVED,
    ),
    "reset lasts": Row(
        assistant={"llm_model": ROUTED},
        faults={"openrouter.chat": (fault(Fault.DISCONNECT), LASTS)},
        detail=("model", "openrouter", "broke off"),
        **LOST,
    ),
    "healthy": Row(assistant={"llm_model": CUSTOM}, **SAVED),
    "timeout once": Row(
        assistant={"llm_model": OPENAI},
        faults={"openai.chat": (fault(Fault.HANG), ONCE)},
        said=(FILLER,),
        heard=(FILLER, ANSWER),
        unheard=(SORRY,),
    ),
    "timeout lasts": Row(
        assistant={"llm_model": MISTRAL},
        faults={"mistral.chat": (fault(Fault.HANG), LASTS)},
        detail=("model", "mistral", "in time"),
        said=(FILLER, OWN.apology),
        heard=(FILLER, LONGER, SORRY),
    ),
    "fallbacks in order": Row(
        assistant={"llm_model": ROUTED, "llm_fallbacks": [MISTRAL, CUSTOM]},
        faults={
            "openrouter.chat": (fault(Fault.HANG), LASTS),
            "mistral.chat": (fault(Fault.HANG), LASTS),
        },
        said=(FILLER,),
        heard=(FILLER, ANSWER),
        unheard=(SORRY,),
    ),
    "empty once": Row(
        assistant={"llm_model": OPENAI},
        faults={"openai.chat": (fault(Fault.EMPTY), ONCE)},
        **SAVED,
    ),
    "empty lasts": Row(
        assistant={"llm_model": MISTRAL},
        faults={"mistral.chat": (fault(Fault.EMPTY), LASTS)},
        detail=("model", "mistral", "empty"),
        **LOST,
    ),
    "garbage lasts": Row(
        assistant={"llm_model": ROUTED},
        faults={"openrouter.chat": (fault(Fault.GARBAGE), LASTS)},
        detail=("model", "openrouter", "broke off"),
        **LOST,
    ),
    "endless": Row(
        assistant={"llm_model": OPENAI},
        faults={"openai.chat": (fault(Fault.ENDLESS, gap_ms=5), LASTS)},
        patience_s=8,
        unheard=(SORRY,),
    ),
    "1 MB": Row(
        assistant={"llm_model": MISTRAL},
        faults={"mistral.chat": (fault(Fault.HUGE), ONCE)},
        patience_s=8,
        **SAVED,
    ),
    "stalls in the middle": Row(
        assistant={"llm_model": ROUTED},
        faults={"openrouter.chat": (fault(Fault.STALL, after=3), LASTS)},
        detail=("model", "openrouter", "in time"),
        **LOST,
    ),
    "stall lasts": Row(
        assistant={"llm_model": CUSTOM, "voice": CARTESIA},
        faults={"cartesia.tts": (fault(Fault.STALL), LASTS)},
        detail=("voice", "cartesia", "in time"),
        said=(FILLER, OWN.apology),
        heard=(FILLER, SORRY),
    ),
    "nothing lasts": Row(
        assistant={"llm_model": MISTRAL, "voice": ELEVENLABS},
        faults={"elevenlabs.tts": (fault(Fault.ZERO_BYTES), LASTS)},
        detail=("voice", "elevenlabs"),
        said=(FILLER, OWN.apology),
        heard=(FILLER, SORRY),
    ),
    "fails before the call": Row(
        assistant={
            "llm_model": MISTRAL,
            "voice": {"provider": "elevenlabs", "id": "voice-before"},
            "voice_fallbacks": [{"provider": "cartesia", "id": "voice-before"}],
        },
        before={"elevenlabs.tts": Behaviour(status=500)},
        **SAVED,
    ),
    "realtime drops once": Row(
        assistant={"llm_model": REALTIME},
        faults={"openai.realtime": (fault(Fault.DISCONNECT), ONCE)},
        **SAVED,
    ),
    "empty, then a fallback": Row(
        assistant={"llm_model": CUSTOM, "llm_fallbacks": [ROUTED]},
        faults={"custom.chat": (fault(Fault.EMPTY), LASTS)},
        **SAVED,
    ),
    "stall once": Row(
        assistant={"llm_model": CUSTOM, "voice": CARTESIA},
        faults={"cartesia.tts": (fault(Fault.STALL), ONCE)},
        said=(FILLER,),
        heard=(FILLER, ANSWER),
        unheard=(SORRY,),
    ),
    "nothing, then a fallback": Row(
        assistant={
            "llm_model": OPENAI,
            "voice": ELEVENLABS,
            "voice_fallbacks": [CARTESIA],
        },
        faults={"elevenlabs.tts": (fault(Fault.HANG), LASTS)},
        said=(FILLER,),
        heard=(FILLER, ANSWER),
        unheard=(SORRY,),
    ),
    "realtime drops, lasts": Row(
        assistant={"llm_model": REALTIME},
        faults={"openai.realtime": (fault(Fault.DISCONNECT), LASTS)},
        detail=("realtime model", "openai"),
        **LOST,
    ),
    "stall, then a fallback": Row(
        assistant={
            "llm_model": OPENAI,
            "voice": ELEVENLABS,
            "voice_fallbacks": [CARTESIA],
        },
        faults={"elevenlabs.tts": (fault(Fault.STALL), LASTS)},
        **SAVED,
    ),
    "wrong rate": Row(
        assistant={"llm_model": CUSTOM, "voice": CARTESIA},
        faults={"cartesia.tts": (Behaviour(sample_rate=16_000), ONCE)},
        unheard=(ANSWER, SORRY),
    ),
    "realtime hangs": Row(
        assistant={"llm_model": REALTIME},
        faults={"openai.realtime": (fault(Fault.HANG), LASTS)},
        detail=("no reply",),
        said=(FILLER, OWN.apology),
        heard=(FILLER, SORRY),
    ),
    "google drops once": Row(
        assistant={"llm_model": GOOGLE},
        faults={"google.realtime": (fault(Fault.DISCONNECT), ONCE)},
        **SAVED,
    ),
    "a key that is refused by now": Row(
        assistant={"llm_model": REALTIME},
        faults={"openai.realtime": (Behaviour(status=401), LASTS)},
        detail=("realtime model", "openai"),
        **LOST,
    ),
    "google drops, lasts": Row(
        assistant={"llm_model": GOOGLE},
        faults={"google.realtime": (fault(Fault.DISCONNECT), LASTS)},
        detail=("realtime model", "google"),
        **LOST,
    ),
    "a frame that is no JSON": Row(
        assistant={"llm_model": REALTIME},
        faults={"openai.realtime": (fault(Fault.GARBAGE), ONCE)},
        detail=("realtime model", "openai"),
        **LOST,
    ),
    "silent": Row(
        assistant={"llm_model": CUSTOM, "stt": {"provider": "openai"}},
        faults={"openai.stt": (fault(Fault.EMPTY), LASTS)},
        detail=("recogniser", "no words"),
        said=(UNHEARD, OWN.apology),
        heard=(NOT_CAUGHT, SORRY),
        questions=3,
    ),
    "finals twice": Row(
        assistant={"llm_model": MISTRAL, "stt": {"provider": "elevenlabs"}},
        faults={"elevenlabs.stt": (fault(Fault.DUPLICATE_FINALS), LASTS)},
        **SAVED,
    ),
    "finals late": Row(
        assistant={"llm_model": OPENAI, "stt": {"provider": "cartesia"}},
        faults={"cartesia.stt": (fault(Fault.LATE_FINALS), LASTS)},
        said=(FILLER,),
        **SAVED,
    ),
    "disconnect lasts": Row(
        assistant={"llm_model": CUSTOM, "stt": {"provider": "openai"}},
        faults={"openai.stt": (fault(Fault.DISCONNECT), LASTS)},
        detail=("recogniser", "openai", "broke off"),
        **LOST,
    ),
    "disconnect, then a fallback": Row(
        assistant={
            "llm_model": MISTRAL,
            "stt": {"provider": "elevenlabs"},
            "stt_fallbacks": [{"provider": "offline"}],
        },
        faults={"elevenlabs.stt": (fault(Fault.DISCONNECT), LASTS)},
        questions=2,
        **SAVED,
    ),
    "disconnect once": Row(
        assistant={"llm_model": OPENAI, "stt": {"provider": "cartesia"}},
        faults={"cartesia.stt": (fault(Fault.DISCONNECT), ONCE)},
        questions=2,
        **SAVED,
    ),
}

ON_THE_WIRE = (
    ("429 lasts", "healthy"),
    ("fallbacks in order", "google drops once"),
    ("empty once", "stalls in the middle"),
    ("nothing lasts", "realtime drops, lasts"),
    ("endless", "disconnect, then a fallback"),
    ("stall, then a fallback", "silent"),
    ("fails before the call", "realtime hangs"),
)
"""Rows in pairs that are held at the same time: no two of a pair break the same capability."""
ALWAYS = 4
"""So many of these pairs, one of each class of failures, are held by `make test`."""


def every_pair() -> list[tuple[str, ...]]:
    """Return all rows like `ON_THE_WIRE`, those in pairs of which neither breaks the other's."""
    left = [name for name in ROWS if not any(name in pair for pair in ON_THE_WIRE)]
    pairs: list[tuple[str, ...]] = list(ON_THE_WIRE)
    while left:
        first = left.pop(0)
        other = next((name for name in left if not _broken(first) & _broken(name)), None)
        if other is not None:
            left.remove(other)
        pairs.append((first, other) if other is not None else (first,))
    return pairs


def _broken(name: str) -> set[str]:
    row = ROWS[name]
    return {*row.before, *row.faults, *_asked(row)}


def _asked(row: Row) -> set[str]:
    """Return the capabilities that the row's healthy providers need."""
    spec = row.assistant
    models = [spec["llm_model"], *spec.get("llm_fallbacks", [])]
    voices = [spec[key] for key in ("voice", "stt") if spec.get(key)]
    voices += [*spec.get("voice_fallbacks", []), *spec.get("stt_fallbacks", [])]
    return {json.dumps(each, sort_keys=True) for each in [*models, *voices]}


def prepare(servers: ProviderServers) -> None:
    """Let the servers answer as every row expects before its failure."""
    servers.controls.reset()
    servers.controls.rules(
        Rule(when="open", say=ANSWER), Rule(when=GREETING, say=GREETING), Rule(say=OTHER)
    )


def assistant_of(row: Row, name: str, servers: ProviderServers) -> dict[str, Any]:
    """Return the row's assistant, with the custom model's address, known only while it runs."""

    def placed(model: Any) -> Any:
        url = {"api_url": servers.custom_url}
        return model | url if model["type"] == "custom" else model

    spec: dict[str, Any] = {
        "name": name,
        "prompt": "You are the night desk.",
        "first_sentence": GREETING,
        "first_sentence_mode": "static",
        **row.assistant,
    }
    spec["llm_model"] = placed(spec["llm_model"])
    spec["llm_fallbacks"] = [placed(each) for each in spec.get("llm_fallbacks", [])]
    return spec
