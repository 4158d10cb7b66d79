"""Usage and cost on the call object, and what an API process counts for Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from control_plane.app import Resources, open_resources
from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.transitions import DialFailed, DialStarted, Fact
from control_plane.keys.tokens import Scope
from control_plane.orders import lifecycle
from control_plane.sessions import leases
from control_plane.settings import ApiSettings, Settings
from process.settings import SettingsError
from scheduler.claim import claim
from tests.call_rows import CallRow

pytestmark = pytest.mark.db

CHAT = {
    "capability": "llm",
    "provider": "openai",
    "model": "gpt-4.1",
    "input_tokens": 1000,
    "cached_input_tokens": 400,
    "output_tokens": 50,
}
SPEECH = {
    "capability": "tts",
    "provider": "cartesia",
    "model": "sonic-3",
    "characters": 1000,
    "audio_seconds": 61.5,
}
TRANSCRIPTION = {"capability": "stt", "provider": "offline", "model": "whisper-tiny.en"}
STRANGER = {
    "capability": "llm",
    "provider": "openrouter",
    "model": "somebody/secret-project",
    "input_tokens": 5,
}


class Agent:
    """Reports of one attempt's agent, over the internal API."""

    def __init__(self, internal: httpx.AsyncClient, resources: Resources, attempt: CallRow) -> None:
        self.attempt = attempt
        self._internal = internal
        token = resources.signer.issue(
            Scope.SESSION, attempt.id, epoch=attempt.epoch, ttl=timedelta(minutes=1)
        )
        self._headers = {"Authorization": f"Bearer {token}"}
        self._seq = 0

    def event(self, kind: str, **facts: Any) -> dict[str, Any]:
        self._seq += 1
        return {"type": kind, "seq": self._seq, "at": 1_700_000_000.0, **facts}

    async def post(self, *events: dict[str, Any]) -> httpx.Response:
        return await self._internal.post(
            f"/internal/sessions/{self.attempt.id}/events",
            json={"epoch": self.attempt.epoch, "events": list(events)},
            headers=self._headers,
        )


async def placed(api: httpx.AsyncClient, resources: Resources) -> CallRow:
    """Return a new order's attempt on its way, as the scheduler makes it."""
    body = {"phone_number": "+12025550123", "force_now": True}
    answer = await api.post("/call", json=body | {"assistant": {"prompt": "Be kind."}})
    assert answer.json()["call"]["cost"] == {"usd": "0.000000", "unpriced": []}
    [made] = await claim(resources.database, limit=1)
    return CallRow(made)


@pytest.fixture
async def agent(api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources) -> Agent:
    return Agent(internal, resources, await placed(api, resources))


async def happen(resources: Resources, attempt: CallRow, fact: Fact) -> None:
    """Store what the scheduler saw."""
    async with resources.database.transaction() as session:
        order, row = await leases.lock(session, attempt.id, epoch=attempt.epoch)
        await lifecycle.apply(session, order, row, fact)


async def call_of(api: httpx.AsyncClient, attempt: CallRow) -> dict[str, Any]:
    call: dict[str, Any] = (await api.get(f"/call/{attempt.order_id}")).json()["call"]
    return call


async def scraped(internal: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Return the counted samples that are not zero, by name and values of labels, sorted."""
    text = (await internal.get("/metrics")).text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created")) and sample.value
    }


async def test_a_call_shows_what_it_used_and_cost(api: httpx.AsyncClient, agent: Agent) -> None:
    told = agent.event("usage_counted", parts=[SPEECH, CHAT, TRANSCRIPTION])
    await agent.post(told)
    await agent.post(told)  # the answer was lost on its way
    call = await call_of(api, agent.attempt)
    attempt = call["last_call_attempt"]
    # 600 × 2 + 400 × 0.5 + 50 × 8 millionths; 1000 characters at 31.20 a million
    assert attempt["cost"] == {"usd": "0.033000", "unpriced": []}
    assert call["cost"] == attempt["cost"]
    assert attempt["usage"] == [CHAT, TRANSCRIPTION, SPEECH]
    later = agent.event(
        "usage_counted", parts=[CHAT | {"input_tokens": 2000}, SPEECH, TRANSCRIPTION]
    )
    await agent.post(later)
    assert (await call_of(api, agent.attempt))["cost"]["usd"] == "0.035000"


async def test_unknown_usage_and_unknown_prices_are_null(
    api: httpx.AsyncClient, agent: Agent
) -> None:
    call = await call_of(api, agent.attempt)
    assert (call["cost"], call["last_call_attempt"]["usage"]) == (None, None)
    assert call["last_call_attempt"]["cost"] is None
    await agent.post(agent.event("usage_counted", parts=[CHAT, STRANGER]))
    call = await call_of(api, agent.attempt)
    assert call["cost"] == {"usd": None, "unpriced": ["openrouter somebody/secret-project"]}
    assert call["last_call_attempt"]["usage"] == [CHAT, STRANGER]


async def test_an_agent_cannot_give_back(agent: Agent) -> None:
    refused = await agent.post(agent.event("usage_counted", parts=[CHAT | {"input_tokens": -1}]))
    assert refused.status_code == 422, refused.text


async def test_a_finished_call_is_counted_once(
    internal: httpx.AsyncClient, resources: Resources, agent: Agent
) -> None:
    await happen(resources, agent.attempt, DialStarted(at=datetime.now(UTC)))
    delays = {"end_of_turn": 320.0, "first_sound": 700.0, "something_new": 1.0}
    events = [
        agent.event("agent_ready"),
        agent.event("call_answered"),
        agent.event("item_said", role="assistant", content="Hello", delays_ms=delays),
        agent.event("usage_counted", parts=[CHAT, STRANGER, SPEECH]),
    ]
    for _ in range(2):
        assert (await agent.post(*events)).status_code == 200
    assert ("offhook_calls_ended_total", "none", "hang_up") not in await scraped(internal)
    last = [
        agent.event("call_ended", ended_by="user", end_reason=None, result="human"),
        agent.event("usage_counted", parts=[CHAT | {"output_tokens": 60}, STRANGER, SPEECH]),
    ]
    await agent.post(*last)
    for _ in range(2):
        found = await scraped(internal)
    assert found["offhook_calls_answered_total",] == 1
    assert found["offhook_calls_ended_total", "none", "hang_up"] == 1
    assert found["offhook_turn_delay_seconds_count", "end_of_turn"] == 1
    assert found["offhook_turn_delay_seconds_sum", "first_sound"] == pytest.approx(0.7)
    assert found["offhook_tokens_total", "input", "gpt-4.1", "openai"] == 600
    assert found["offhook_tokens_total", "cached_input", "gpt-4.1", "openai"] == 400
    assert found["offhook_tokens_total", "output", "gpt-4.1", "openai"] == 60
    assert found["offhook_spoken_characters_total", "sonic-3", "cartesia"] == 1000
    assert found["offhook_audio_seconds_total", "tts", "sonic-3", "cartesia"] == 61.5
    # What anybody may name is no label.
    assert found["offhook_tokens_total", "input", "other", "other"] == 5
    assert not [key for key in found if "secret" in str(key) or "something_new" in key]


async def test_a_dial_that_the_scheduler_saw_fail_is_counted(
    internal: httpx.AsyncClient, resources: Resources, agent: Agent
) -> None:
    await happen(resources, agent.attempt, DialStarted(at=datetime.now(UTC)))
    await agent.post(agent.event("agent_ready"))
    # The agent's word comes first, and does not know why.
    await agent.post(
        agent.event("call_ended", ended_by="user", end_reason="not_answered", result="unknown")
    )
    assert not [key for key in await scraped(internal) if key[0] == "offhook_calls_ended_total"]
    silent = DialFailed(at=datetime.now(UTC), kind=DialFailureKind.RING_TIMEOUT)
    await happen(resources, agent.attempt, silent)
    for _ in range(2):
        found = await scraped(internal)
    [(key, count)] = [item for item in found.items() if item[0][0] == "offhook_calls_ended_total"]
    assert (key[2], count) == ("not_answered", 1)
    assert key[1] != "none"


async def test_the_operator_sets_prices(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[[price]]\nprovider = "openai"\nmodel = "gpt-4.1"\ninput = "cheap"\n')

    async def start(path: Path) -> None:
        named = Settings(
            storage=settings.storage,
            api=ApiSettings(embedded=True, prices=str(path)),
            livekit=settings.livekit,
        )
        async with open_resources(named) as opened:
            assert str(opened.prices["openai", "gpt-4.1"].input) == "1.5"
            assert ("cartesia", "sonic-3") in opened.prices

    with pytest.raises(SettingsError, match=r"OFFHOOK_PRICES: .*\(openai gpt-4.1\): `input` must"):
        await start(file)
    with pytest.raises(SettingsError, match=r"OFFHOOK_PRICES: .*missing.toml cannot be read"):
        await start(tmp_path / "missing.toml")
    file.write_text('[[price]]\nprovider = "openai"\nmodel = "gpt-4.1"\ninput = 1.5\n')
    await start(file)
