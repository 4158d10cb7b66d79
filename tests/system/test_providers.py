"""Every model, voice and STT provider on a real call, by its real plugin, heard from the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from speech.offline.voice import Speaker
from tests.listener.phrase_bank import ACCEPT, PhraseBank
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import KEY, ProviderServers
from tests.system.far_end import RATE, asking, phone
from tests.system.platform import Platform
from tests.system.test_conversation import CALLEE, number_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

GREETING = "Hello, this is the night desk."
QUESTION = "When do you open tomorrow?"
ANSWER = "We open at nine in the morning."
GOODBYE = "That is all, goodbye."
CLOSING = "Thank you, and have a good night."


class Way(Struct, frozen=True, kw_only=True):
    """Providers of one call, and what they must have been asked for."""

    model: dict[str, Any]
    voice: dict[str, Any] | None = None
    stt: dict[str, Any] | None = None
    asked: dict[str, dict[str, Any]]


WAYS = {
    "openai and cartesia": Way(
        model={"type": "dedicated-instance", "name": "gpt-4.1"},
        voice={"provider": "cartesia", "id": "voice-a", "speed": 1.2, "volume": 0.5},
        stt={"provider": "openai"},
        asked={
            "openai.chat": {"model": "gpt-4.1"},
            "cartesia.tts": {"voice": "voice-a", "language": "en", "speed": 1.2, "volume": 0.5},
            "openai.stt": {"language": "en"},
        },
    ),
    "mistral and elevenlabs": Way(
        model={"type": "dedicated-instance", "name": "ministral-3-8b-instruct"},
        voice={"provider": "elevenlabs", "id": "voice-b", "speed": 0.9},
        stt={"provider": "elevenlabs"},
        asked={
            "mistral.chat": {"model": "ministral-8b-2512"},
            "elevenlabs.tts": {"voice": "voice-b", "speed": 0.9},
            "elevenlabs.stt": {"language_code": "en"},
        },
    ),
    "openrouter and ink-2": Way(
        model={
            "type": "openrouter",
            "openrouter_model_id": "meta/llama",
            "openrouter_provider": "groq",
        },
        voice={"provider": "cartesia", "id": "voice-c"},
        stt={"provider": "cartesia"},
        asked={
            "openrouter.chat": {"model": "meta/llama"},
            "cartesia.stt": {"model": "ink-2"},
        },
    ),
    "custom and ink-whisper": Way(
        model={"type": "custom", "model_name": "mine", "api_key": KEY, "api_url": ""},
        stt={"provider": "cartesia", "model": "ink-whisper"},
        asked={"custom.chat": {"model": "mine"}, "cartesia.stt": {"model": "ink-whisper"}},
    ),
    "openai realtime": Way(
        model={"type": "realtime", "provider": "openai", "realtime_model_id": "gpt-realtime"},
        asked={"openai.realtime": {"model": "gpt-realtime"}},
    ),
    "google realtime": Way(
        model={"type": "realtime", "provider": "google", "realtime_model_id": "gemini-live"},
        asked={"google.realtime": {}},
    ),
}

LONG = ("openrouter and ink-2", "custom and ink-whisper", "google realtime")
"""The plugins of these are tested against the same servers without a call (tests/providers)."""


@pytest.fixture(scope="module")
def bank(speaker: Speaker) -> PhraseBank:
    return PhraseBank([GREETING, ANSWER, CLOSING])


@pytest.mark.shows("stt", "end_of_call_sentence", "llm_model", "voice")
@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=[pytest.mark.long] if each in LONG else []) for each in WAYS],
)
def test_a_conversation(
    platform: Platform,
    providers: ProviderServers,
    speaker: Speaker,
    bank: PhraseBank,
    folder: Path,
    name: str,
) -> None:
    way = WAYS[name]
    model = dict(way.model)
    if model["type"] == "custom":
        model["api_url"] = providers.custom_url
    providers.controls.reset()
    providers.controls.rules(
        Rule(when="goodbye", tool=ToolCall(name="end_call")),
        Rule(when="open", say=ANSWER),
        Rule(when=GREETING, say=GREETING),  # realtime models are told to say it
        Rule(when=CLOSING, say=CLOSING),
    )
    providers.journal.clear()
    assistant = {
        "name": name,
        "prompt": "You are the night desk.",
        "first_sentence": GREETING,
        "first_sentence_mode": "static",
        "end_of_call_sentence": CLOSING,
        "llm_model": model,
        "voice": way.voice,
        "stt": way.stt,
    }
    script = asking(speaker, folder, QUESTION, GOODBYE)
    with phone(folder, [*script, {"stay": 20}]) as far_end:
        number = number_at(platform, "providers", far_end.port)
        placed = platform.order(CALLEE, from_phone_number=number, assistant=assistant)
        far_end.wait("over", 100.0)
        call = platform.finished(placed["id"])
        heard = far_end.heard()
    attempt = call["last_call_attempt"]
    said = [(item["role"], item["content"]) for item in attempt["transcript"]]
    assert (attempt["ended_by"], attempt["end_reason"]) == ("agent", "tool_end_call"), said
    assert ("assistant", ANSWER) in said
    if way.voice is None or "speed" not in way.voice:  # the ear knows one speed
        for phrase in (GREETING, ANSWER, CLOSING):
            assert bank.best_in(heard, RATE, phrase) >= ACCEPT, phrase
    used = {part["capability"]: part for part in attempt["usage"]}
    if model["type"] == "realtime":
        answers = len(providers.journal.entries(f"{model['provider']}.realtime", "end"))
        # Google's tells nothing of the one that called the tool.
        tokens = 2 * answers if model["provider"] == "openai" else answers - 1
        assert used["realtime"]["output_tokens"] == tokens
    else:
        assert sorted(used) == ["llm", "stt", "tts"]
    for capability, wanted in way.asked.items():
        asked: dict[str, Any] = {}
        for entry in providers.journal.entries(capability):
            asked |= entry.asked
        assert wanted.items() <= asked.items(), (capability, asked)
