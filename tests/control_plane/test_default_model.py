"""What answers for an assistant that names no model: gpt-4.1 once OpenAI has a key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from control_plane.app import Resources
from control_plane.keys.tokens import Scope
from process.worker_key import worker_key
from scheduler.claim import claim
from tests.factories import NUMBER

pytestmark = pytest.mark.db

GPT = {"type": "dedicated-instance", "name": "gpt-4.1"}
EMBEDDED = {"type": "embedded"}
PLAIN: dict[str, Any] = {"name": "A", "prompt": "Be kind."}
KEY = "sk-0123456789abcdef"


async def give_key(api: httpx.AsyncClient, provider: str = "openai") -> None:
    answer = await api.put(f"/provider/{provider}", json={"api_key": KEY})
    assert answer.status_code == 200, answer.text


async def shown(api: httpx.AsyncClient, **fields: Any) -> str:
    """Return the path of a new assistant."""
    made = await api.post("/assistant", json={**PLAIN, **fields})
    assert made.status_code == 201, made.text
    return f"/assistant/{made.json()['assistant']['id']}"


async def test_an_assistant_says_which_model_is_in_force(api: httpx.AsyncClient) -> None:
    path = await shown(api)

    async def models() -> tuple[Any, Any]:
        read = (await api.get(path)).json()["assistant"]
        listed = (await api.get("/assistant")).json()["assistants"]
        assert read in listed
        return read["llm_model"], read["llm_model_in_force"]

    await give_key(api, "mistral")
    assert await models() == (None, EMBEDDED)
    await give_key(api)
    assert await models() == (None, GPT)
    assert (await api.delete("/provider/openai")).status_code == 204
    assert await models() == (None, EMBEDDED)


@pytest.mark.parametrize("chosen", [EMBEDDED, {"type": "dedicated-instance", "name": "gpt-4.1"}])
async def test_a_model_that_is_named_is_in_force_with_and_without_a_key(
    api: httpx.AsyncClient, chosen: dict[str, Any]
) -> None:
    path = await shown(api, llm_model=chosen)
    for _ in range(2):
        read = (await api.get(path)).json()["assistant"]
        assert (read["llm_model"], read["llm_model_in_force"]) == (chosen, chosen)
        await give_key(api)


async def test_what_is_in_force_cannot_be_written(api: httpx.AsyncClient) -> None:
    answer = await api.patch(await shown(api), json={"llm_model_in_force": GPT})
    assert (answer.status_code, answer.json()["field"]) == (422, "llm_model_in_force")


@pytest.mark.parametrize("field", ["llm_fallbacks", "language"])
async def test_the_embedded_model_has_no_fallbacks_and_no_other_language(
    api: httpx.AsyncClient, field: str
) -> None:
    given = {"llm_fallbacks": [GPT]} if field == "llm_fallbacks" else {"language": "fr-FR"}
    body = {**PLAIN, "llm_model": EMBEDDED, **given}
    answer = await api.post("/assistant", json=body)
    named = "llm_fallbacks" if field == "llm_fallbacks" else "llm_model"
    assert (answer.status_code, answer.json()["field"]) == (422, named)


@pytest.mark.parametrize(
    ("chosen", "with_key", "told"),
    [(None, False, None), (None, True, GPT), (EMBEDDED, True, None), (GPT, True, GPT)],
)
async def test_the_agent_is_told_the_model_in_force_and_its_key(
    api: httpx.AsyncClient,
    internal: httpx.AsyncClient,
    resources: Resources,
    chosen: dict[str, Any] | None,
    with_key: bool,
    told: dict[str, Any] | None,
) -> None:
    speaker = {"prompt": "Be kind.", "llm_model": chosen}
    order = {"phone_number": NUMBER, "force_now": True, "assistant": speaker}
    assert (await api.post("/call", json=order)).status_code == 200
    if with_key:  # stored after the order was placed: it counts when the call begins
        await give_key(api)
    [attempt] = await claim(resources.database, limit=1)
    token = resources.signer.issue(
        Scope.BRIEF, attempt.id, epoch=attempt.session.epoch, ttl=timedelta(minutes=1)
    )
    headers = {"Authorization": f"Bearer {token}"}
    brief = (await internal.get("/internal/brief", headers=headers)).json()
    assert brief["assistant"]["llm_model"] == told
    assert set(brief["providers"]) == ({"openai"} if told is not None else set())


async def test_a_test_of_an_assistant_asks_the_model_in_force(
    api: httpx.AsyncClient, internal: httpx.AsyncClient
) -> None:
    path = await shown(api)
    await give_key(api)
    assert (await api.post(f"{path}/test")).status_code == 202
    headers = {"Authorization": f"Bearer {worker_key('s' * 32)}"}
    taken = await internal.post("/internal/jobs/take?worker=w", headers=headers)
    job = taken.json()["job"]
    assert job["assistant"]["llm_model"] == GPT
    assert set(job["providers"]) == {"openai"}
