"""The Revox call-order contract, field by field, from its own reference (`revox.json`)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from msgspec import inspect

from control_plane.orders.schemas import CallEnvelope
from tests.contract.seeds.facts import (
    ASSISTANT,
    FACTS,
    NUMBER,
    OURS,
    REQUEST,
    RESPONSE,
    Node,
    differences,
    sample,
    tries,
    words,
)

pytestmark = [pytest.mark.db, pytest.mark.asyncio(loop_scope="module")]

COMPANIONS = {"human_transfer_mode": {"transfer_phone_number": NUMBER}}
"""What a field does not work without."""
PLAIN = {"first_sentence": "Hello.", "prompt": "Be kind."}


def kept(given: Any, returned: Any) -> bool:
    """Return whether an answer holds what was given.

    Additions are fine, and masks; an empty text may stand for nothing at all.
    """
    if isinstance(given, dict):
        return all(name in returned and kept(each, returned[name]) for name, each in given.items())
    if isinstance(given, list):
        return len(given) == len(returned) and all(map(kept, given, returned))
    empty = given == "" and returned is None
    return bool(given == returned or empty or str(returned).startswith("****"))


async def assistant(api: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await api.post("/assistant", json={"name": "Ann", **PLAIN, **fields})


def values_of(name: str) -> list[Any]:
    """Return a value of each form that an assistant's field may have."""
    node = ASSISTANT[name]
    if node["type"] == "union":
        return [sample(member) for member in node["members"]]
    return [sample(node, name)]


@pytest.mark.shows("prompt_flow")
@pytest.mark.parametrize("name", sorted(ASSISTANT))
async def test_an_assistants_field_is_taken_kept_and_returned(
    api: httpx.AsyncClient, name: str
) -> None:
    for value in values_of(name):
        given = {**COMPANIONS.get(name, {}), name: value}
        made = await assistant(api, **given)
        assert made.status_code == 201, made.text
        shown = made.json()["assistant"]
        assert kept(given, shown), shown
        again = await api.get(f"/assistant/{shown['id']}")
        assert again.json()["assistant"] == shown
        placed = await api.post(
            "/call",
            json={
                "phone_number": NUMBER,
                "assistant": {**PLAIN, **given},
                "prompt_variables": {"name": "Ann"},
            },
        )
        assert placed.status_code == 200, placed.text
        read = await api.get(f"/call/{placed.json()['call']['id']}")
        assert kept(given, read.json()["call"]["assistant"])


async def test_null_is_the_default_of_every_optional_field(api: httpx.AsyncClient) -> None:
    optional = [name for name, node in ASSISTANT.items() if node.get("optional")]
    assert len(optional) == 33
    full = {name: sample(ASSISTANT[name], name) for name in optional}
    made = (await assistant(api, **full)).json()["assistant"]
    bare = (await assistant(api, first_sentence=None)).json()["assistant"]
    path = f"/assistant/{made['id']}"
    reset = (await api.patch(path, json=dict.fromkeys(optional))).json()["assistant"]
    own = {"id", "version", "created_at", "updated_at"}
    assert {k: v for k, v in reset.items() if k not in own} == {
        k: v for k, v in bare.items() if k not in own
    }


@pytest.mark.parametrize("name", sorted(ASSISTANT))
async def test_every_bound_is_held_at_under_and_over(api: httpx.AsyncClient, name: str) -> None:
    for each in tries(ASSISTANT[name], name, sample(ASSISTANT[name], name)):
        given = {**COMPANIONS.get(name, {}), name: each.value}
        answer = await assistant(api, **given)
        assert answer.status_code == (201 if each.allowed else 422), (each, answer.text)
        if each.allowed:
            assert kept(given, answer.json()["assistant"]), each
        else:
            assert answer.json()["field"] == each.path, answer.text


@pytest.mark.parametrize("name", sorted(ASSISTANT))
async def test_every_word_is_known(api: httpx.AsyncClient, name: str) -> None:
    for where, value in words(ASSISTANT[name], name, sample(ASSISTANT[name], name)):
        answer = await assistant(api, **{**COMPANIONS.get(name, {}), name: value})
        assert answer.status_code == 201, (where, answer.text)


@pytest.mark.parametrize("name", sorted(set(REQUEST) - {"assistant"}))
async def test_an_orders_field_is_taken(api: httpx.AsyncClient, name: str) -> None:
    value = sample(REQUEST[name], name)
    if name == "assistant_id":
        value = (await assistant(api)).json()["assistant"]["id"]
    body = {"phone_number": NUMBER, name: value}
    answer = await api.post("/call", json=body)
    assert answer.status_code == 200, answer.text
    call = answer.json()["call"]
    shown = {
        "phone_number": call["to_phone_number"],
        "assistant_id": call["assistant"]["id"],
        **{each: call[each] for each in REQUEST if each in call},
    }
    assert shown[name] == value


async def test_null_stands_for_absent_in_an_order(api: httpx.AsyncClient) -> None:
    optional = [name for name, node in REQUEST.items() if node.get("optional")]
    answer = await api.post("/call", json={"phone_number": NUMBER, **dict.fromkeys(optional)})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", sorted(set(REQUEST) - {"assistant"}))
async def test_every_bound_of_an_order_is_held(api: httpx.AsyncClient, name: str) -> None:
    for each in tries(REQUEST[name], name, sample(REQUEST[name], name)):
        answer = await api.post("/call", json={"phone_number": NUMBER, name: each.value})
        assert answer.status_code == (200 if each.allowed else 422), (each, answer.text)
        assert each.allowed or answer.json()["field"] == each.path


async def test_the_command_of_the_reference_works(api: httpx.AsyncClient) -> None:
    """Its number is a placeholder; all else is as it stands there."""
    curl = FACTS["curl"]
    assert curl["body"] == {"phone_number": "phone_number"}
    answer = await api.post(curl["path"], json={**curl["body"], "phone_number": NUMBER})
    assert answer.status_code == 200, answer.text
    assert answer.json()["call"]["to_phone_number"] == NUMBER


async def test_every_field_of_the_answer_has_its_type_and_words() -> None:
    kind = inspect.type_info(CallEnvelope)
    assert list(differences({"type": "object", "fields": RESPONSE}, kind, "answer")) == []


async def test_a_field_that_is_not_there_would_be_noticed() -> None:
    fields: Node = {"call": {"type": "object", "fields": {"fee": {"type": "number"}}}}
    kind = inspect.type_info(CallEnvelope)
    found = list(differences({"type": "object", "fields": fields}, kind, "answer"))
    assert found == ["answer.call.fee: missing"]


@pytest.mark.shows("name")
async def test_the_answer_has_the_shape_of_the_example(api: httpx.AsyncClient) -> None:
    """Lists that a fresh order leaves empty are held by the types above."""
    example = FACTS["answer"]["call"]
    given = {
        name: sample(ASSISTANT[name], name) for name in example["assistant"] if name in ASSISTANT
    }
    body = {
        "phone_number": NUMBER,
        "assistant": given,
        "from_phone_number": OURS,
        "metadata": example["metadata"],
        "prompt_variables": {"name": "Ann"},
    }
    answer = await api.post("/call", json=body)
    assert answer.status_code == 200, answer.text
    assert missing(example, answer.json()["call"], "call") == []


def missing(example: Any, ours: Any, path: str) -> list[str]:
    """Return the keys of the example that an answer lacks; what is null or empty says nothing."""
    if isinstance(example, dict) and isinstance(ours, dict):
        lacks = [f"{path}.{name}" for name in example if name not in ours]
        if path.endswith(("metadata", "prompt_variables")):
            return []
        return lacks + [
            each
            for name, inner in example.items()
            if name in ours
            for each in missing(inner, ours[name], f"{path}.{name}")
        ]
    if isinstance(example, list) and isinstance(ours, list) and ours:
        return missing(example[0], ours[0], f"{path}[]")
    if isinstance(example, dict | list) and example and ours is not None and ours != []:
        return [f"{path}: another form"]
    return []
