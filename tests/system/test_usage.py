"""What calls used and cost, to the token, however they end; and the trace of one."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from speech.offline.voice import Speaker
from tests.providers.behaviour import Behaviour
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers
from tests.system.far_end import asking, phone, render
from tests.system.otlp import Receiver, Told
from tests.system.platform import Platform
from tests.system.test_conversation import CALLEE, number_at
from tests.system.test_lost_parts import ready

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

GREETING = "Hello, this is the night desk."
QUESTION = "When do you open tomorrow?"
ANSWER = "We open at nine in the morning."
GOODBYE = "That is all, goodbye."
CLOSING = "Thank you, and have a good night."
PROMPT = "You are the desk of the Zanzibar hotel."
SAID = ("night desk", "nine in the morning", "tomorrow", "Zanzibar", "have a good night")


class Held(Struct, frozen=True):
    """A call that is over, what the providers say of it, and the spans."""

    call: dict[str, Any]
    tokens: list[dict[str, Any]]
    spoken: list[str]
    counted: dict[str, float]
    receiver: Receiver
    platform: Platform


@pytest.fixture(scope="module")
def held(
    tmp_path_factory: pytest.TempPathFactory,
    platform: Platform,
    providers: ProviderServers,
    traces: Receiver,
    speaker: Speaker,
) -> Held:
    """Hold one call; what is counted is counted from here."""
    folder = tmp_path_factory.mktemp("phone")
    providers.controls.reset()
    providers.controls.rules(
        Rule(when="goodbye", tool=ToolCall(name="end_call")), Rule(when="open", say=ANSWER)
    )
    providers.journal.clear()
    before = counted(platform)
    assistant = {
        "name": "night desk",
        "prompt": PROMPT,
        "first_sentence": GREETING,
        "first_sentence_mode": "static",
        "end_of_call_sentence": CLOSING,
        "llm_model": {"type": "dedicated-instance", "name": "gpt-4.1"},
        "voice": {"provider": "cartesia", "id": "voice-a"},
        "stt": {"provider": "openai"},
    }
    script = asking(speaker, folder, QUESTION, GOODBYE)
    with phone(folder, [*script, {"stay": 20}]) as far_end:
        number = number_at(platform, "usage", far_end.port)
        placed = platform.order(CALLEE, from_phone_number=number, assistant=assistant)
        far_end.wait("over", 100.0)
        call = platform.finished(placed["id"])
    after = counted(platform)
    ends = providers.journal.entries("openai.chat", "end")
    spoken: dict[int, str] = {}
    for entry in providers.journal.entries("cartesia.tts"):
        spoken[entry.answer] = spoken.get(entry.answer, "") + entry.asked.get("text", "")
    return Held(
        call=call,
        tokens=[entry.asked["usage"] for entry in ends],
        spoken=list(spoken.values()),
        counted={name: value - before.get(name, 0.0) for name, value in after.items()},
        receiver=traces,
        platform=platform,
    )


def counted(platform: Platform) -> dict[str, float]:
    """Return what Prometheus would read, by name and labels."""
    port = platform.home.environment()["OFFHOOK_INTERNAL_PORT"]
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines if name}


def test_what_it_used_is_what_the_providers_gave(held: Held) -> None:
    attempt = held.call["last_call_attempt"]
    used = {part["capability"]: part for part in attempt["usage"]}
    assert sorted(used) == ["llm", "stt", "tts"]
    asked = sum(each["prompt_tokens"] for each in held.tokens)
    cached = sum(each["prompt_tokens_details"]["cached_tokens"] for each in held.tokens)
    given = sum(each["completion_tokens"] for each in held.tokens)
    assert used["llm"] == {
        "capability": "llm",
        "provider": "openai",
        "model": "gpt-4.1",
        "input_tokens": asked,
        "cached_input_tokens": cached,
        "output_tokens": given,
    }
    # The plugin sends a space after each piece of a text that is streamed, also after the last.
    characters = sum(len(text.rstrip()) for text in held.spoken)
    voice, stt = used["tts"], used["stt"]
    assert (voice["provider"], voice["model"]) == ("cartesia", "sonic-3")
    assert voice["characters"] == characters
    assert voice["audio_seconds"] > 5
    assert (stt["provider"], stt["model"]) == ("openai", "gpt-4o-mini-transcribe")
    assert 1 < stt["audio_seconds"] < 20
    usd = (
        2 * (asked - cached) + Decimal("0.5") * cached + 8 * given + Decimal("31.2") * characters
    ) / 1_000_000 + Decimal("0.18") * Decimal(str(stt["audio_seconds"])) / 3600
    cost = {"usd": str(usd.quantize(Decimal("0.000001"))), "unpriced": []}
    assert (attempt["cost"], held.call["cost"]) == (cost, cost)


def test_it_is_counted_for_prometheus(held: Held) -> None:
    used = {part["capability"]: part for part in held.call["last_call_attempt"]["usage"]}
    model, voice, stt = used["llm"], used["tts"], used["stt"]
    for name, value in {
        'offhook_tokens_total{kind="output",model="gpt-4.1",provider="openai"}': model[
            "output_tokens"
        ],
        'offhook_spoken_characters_total{model="sonic-3",provider="cartesia"}': voice["characters"],
        "offhook_audio_seconds_total"
        '{kind="stt",model="gpt-4o-mini-transcribe",provider="openai"}': stt["audio_seconds"],
        'offhook_calls_ended_total{dial_error="none",end_reason="tool_end_call"}': 1.0,
        "offhook_calls_answered_total": 1.0,
    }.items():
        assert held.counted[name] == pytest.approx(value), name
    assert held.counted['offhook_turn_delay_seconds_count{part="first_sound"}'] >= 1.0


def test_its_trace_has_the_turns_and_no_word(held: Held) -> None:
    attempt = held.call["last_call_attempt"]
    trace = attempt["id"].replace("-", "")

    def own(spans: list[Told]) -> list[Told]:
        """Return the call's: others' are of the calls before."""
        return [span for span in spans if span.trace == trace]

    def whole(spans: list[Told]) -> bool:
        return {"call", "agent", "agent_session"} <= {span.name for span in own(spans)}

    everybodys = held.receiver.wait(whole, 30.0)
    spans = own(everybodys)
    by_name = {span.name: span for span in spans}
    of_attempt = [s for s in everybodys if s.attributes.get("offhook.attempt_id") == attempt["id"]]
    assert of_attempt == spans
    assert {span.attributes["offhook.attempt_id"] for span in spans} == {attempt["id"]}
    root = by_name["call"]
    assert (root.span, root.parent, root.service) == (trace[16:], "", "offhook-control-plane")
    assert root.attributes["offhook.end_reason"] == "tool_end_call"
    assert {by_name[name].parent for name in ("agent", "dial", "conversation")} == {root.span}
    assert by_name["agent"].service == "offhook-agent"
    assert {"llm_node", "tts_node", "user_turn"} <= set(by_name)
    known = {span.span for span in spans}
    told = [
        {
            key.removeprefix("offhook.delay_ms."): value
            for key, value in span.attributes.items()
            if key.startswith("offhook.delay_ms.")
        }
        for span in spans
        if span.name == "turn"
    ]
    shown = [item["delays_ms"] for item in attempt["transcript"] if item["role"] != "tool"]
    assert [each for each in told if each] == [each for each in shown if each]
    assert any("first_sound" in each for each in told)
    assert by_name["turn"].parent in known
    for span in spans:
        for words in (*SAID, CALLEE.lstrip("+")):
            assert words.lower() not in span.everything.lower(), span.everything


@pytest.mark.long
def test_a_caller_who_hangs_up(held: Held, folder: Path, speaker: Speaker) -> None:
    platform = held.platform
    script = [
        {"listen": 0.8},
        {"say": render(speaker, folder, QUESTION)},
        {"reply": 0.5},
        {"hangup": True},
    ]
    with phone(folder, script) as far_end:
        number = number_at(platform, "hangup", far_end.port)
        assistant = {"prompt": PROMPT, "stt": {"provider": "cartesia"}}
        placed = platform.order(CALLEE, from_phone_number=number, assistant=assistant)
        far_end.wait("over", 60.0)
        ended = platform.finished(placed["id"])
    assert ended["last_call_attempt"]["ended_by"] == "user"
    assert ended["last_call_attempt"]["usage"] is not None  # told before the call was over

    def told_all(call: dict[str, Any]) -> bool:
        parts = {part["capability"]: part for part in call["last_call_attempt"]["usage"]}
        return parts["stt"].get("audio_seconds", 0) > 3

    call = platform.wait_call(placed["id"], told_all, 15.0)
    served = {(part["capability"], part["provider"]) for part in call["last_call_attempt"]["usage"]}
    assert served == {("llm", "offline"), ("tts", "offline"), ("stt", "cartesia")}
    assert call["cost"] == call["last_call_attempt"]["cost"]
    assert Decimal(call["cost"]["usd"]) > 0


@pytest.mark.long
def test_the_embedded_engines_cost_nothing(held: Held, folder: Path, speaker: Speaker) -> None:
    platform = held.platform
    script = [*asking(speaker, folder, GOODBYE), {"stay": 20}]
    with phone(folder, script) as far_end:
        number = number_at(platform, "offline", far_end.port)
        placed = platform.order(CALLEE, from_phone_number=number)
        far_end.wait("over", 60.0)
        call = platform.finished(placed["id"])
    parts = call["last_call_attempt"]["usage"]
    assert [part["capability"] for part in parts] == ["llm", "stt", "tts"]
    assert {part["provider"] for part in parts} == {"offline"}
    assert parts[1]["audio_seconds"] > 0.5
    assert call["cost"] == {"usd": "0.000000", "unpriced": []}


def test_a_provider_that_fails_before_the_call(held: Held, providers: ProviderServers) -> None:
    providers.controls.behave("openai.chat", Behaviour(status=500))
    try:
        placed = held.platform.order(
            CALLEE,
            assistant={
                "prompt": PROMPT,
                "first_sentence_mode": "generated",
                "llm_model": {"type": "dedicated-instance", "name": "gpt-4.1"},
            },
        )
        call = held.platform.wait_call(
            placed["id"], lambda c: bool((c["last_call_attempt"] or {}).get("end_reason")), 40.0
        )
    finally:
        providers.controls.reset()
        held.platform.api.post(f"/call/{placed['id']}/cancel", {})
    attempt = call["last_call_attempt"]
    assert attempt["end_reason"] == "provider_failed"
    assert (attempt["usage"], attempt["cost"]["usd"]) == ([], "0.000000")


@pytest.mark.long
def test_nobody_knows_what_a_killed_agent_used(held: Held, folder: Path) -> None:
    platform = held.platform
    with phone(folder, [{"stay": 60}]) as far_end:
        number = number_at(platform, "killed", far_end.port)
        placed = platform.order(CALLEE, from_phone_number=number)
        platform.wait_call(
            placed["id"], lambda c: bool((c["last_call_attempt"] or {}).get("answered_at")), 40.0
        )
        os.kill(platform.supervisor.pid("agent"), signal.SIGKILL)
        call = platform.finished(placed["id"], limit_s=60.0)
    attempt = call["last_call_attempt"]
    assert attempt["end_reason"] == "agent_lost"
    assert (attempt["usage"], attempt["cost"], call["cost"]) == (None, None, None)
    ready(platform)
