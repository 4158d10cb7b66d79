"""A call through each dialect, ordered, held over SIP and told of in the dialect's own words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers
from tests.system.platform import Platform, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

TALKS, BUSY, UNKNOWN = "+12025550100", "+12025550102", "+12025550106"
ANSWER = "We are open from nine to five."


def schedule(platform: Platform, number: str, **config: Any) -> str:
    """Return the id of a new call of Redial."""
    body = {
        "who_to_call": number,
        "when": 0,
        "model": "gpt-realtime",
        "instructions": "You are the night desk.",
        "custom_llm_config": config,
    }
    told = platform.api.post("/v1/call/schedule", body)
    assert told["status"] == "scheduled", told
    return str(told["event_id"])


def over(platform: Platform, event_id: str) -> dict[str, Any]:
    """Return the transcript of a call of Redial, once it is over."""
    told: dict[str, Any] = wait_for(
        lambda: platform.api.get("/v1/call/transcript", event_id=event_id),
        lambda each: each["status"] != "scheduled",
        120.0,
    )
    return told


@pytest.mark.parametrize(
    ("number", "word"),
    [(BUSY, "no_response"), pytest.param(UNKNOWN, "error", marks=pytest.mark.long)],
)
def test_redial_tells_of_a_call_that_nobody_took(
    platform: Platform, providers: ProviderServers, number: str, word: str
) -> None:
    providers.controls.reset()
    told = over(platform, schedule(platform, number))
    assert told == {"status": word, "transcript": ""}


@pytest.mark.parametrize(
    "turns",
    [
        False,
        pytest.param(
            {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 400},
            marks=pytest.mark.long,
        ),
        pytest.param({"type": "semantic_vad", "eagerness": "high"}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_redial_holds_a_conversation_whoever_tells_its_turns(
    platform: Platform, providers: ProviderServers, turns: Any
) -> None:
    providers.controls.reset()
    providers.controls.rules(Rule(when="goodbye", tool=ToolCall(name="end_call")), Rule(say=ANSWER))
    providers.journal.clear()
    told = over(platform, schedule(platform, TALKS, voice="coral", turn_detection=turns))
    assert told["status"] == "completed", told
    lines = told["transcript"].splitlines()
    assert f"assistant: {ANSWER}" in lines
    assert any(line.startswith("user: ") for line in lines)
    sessions = providers.journal.entries("openai.realtime", "session")
    audio = [entry.asked["audio"] for entry in sessions if "audio" in entry.asked]
    assert audio[0]["output"]["voice"] == "coral"
    asked = audio[0]["input"]["turn_detection"]
    assert asked == turns or turns.items() <= asked.items() if turns else asked is None


def test_dial_outbound_calls_by_the_use_case(platform: Platform) -> None:
    listed = platform.api.get("/dial/ids")
    told = platform.api.post(
        "/dial/outbound",
        {
            "number_id": listed["numbers"][0]["id"],
            "use_case_id": listed["use_cases"][-1]["id"],
            "phone_number": TALKS,
            "max_duration_mins": 2,
            "metadata": {"from": "dial outbound"},
        },
    )
    placed = platform.api.get("/call", metadata="from:dial outbound")["calls"][0]
    assert placed["metadata"] == told["metadata"]
    call = platform.finished(placed["id"], limit_s=120.0)
    attempt = call["last_call_attempt"]
    assert (call["status"], attempt["result"]) == ("completed", "human"), attempt
    assert {item["role"] for item in attempt["transcript"]} >= {"assistant", "user"}
    assert call["assistant"]["max_call_duration_secs"] == 120


def test_the_voice_api_follows_a_call_to_its_recording(platform: Platform) -> None:
    listed = platform.api.get("/dial/ids")
    told = platform.api.post(
        "/voice/outbound/dial",
        {
            "agent_id": platform.api.get("/assistant")["assistants"][-1]["id"],
            "to_number": TALKS,
            "from_number": listed["numbers"][0]["name"],
            "max_duration": 120,
        },
    )
    call = platform.finished(told["session_id"], limit_s=120.0)
    assert call["last_call_attempt"]["result"] == "human", call
    path = f"/voice/status/{told['session_id']}"
    assert platform.api.get(path)["status"] == "completed"
    shown = platform.api.get(f"/voice/sessions/{told['session_id']}")
    assert 0 < shown["duration"] <= 120
    turns = platform.api.get(f"/v1/widget/transcript/{told['session_id']}")["transcript"]
    assert {turn["role"] for turn in turns} == {"assistant", "user"}
    recording = wait_for(
        lambda: platform.api.get(f"/voice/recording/{shown['recording_id']}"),
        lambda each: each["url"] is not None,
        30.0,
    )
    assert recording["session_id"] == told["session_id"]
