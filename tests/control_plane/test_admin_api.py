"""Assistants, trunks, numbers and providers over HTTP; secrets are masked and kept."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from control_plane.app import Resources
from control_plane.db.models.trunk import Trunk
from control_plane.settings import Settings
from control_plane.trunks.routing import load_dial_plan

pytestmark = pytest.mark.db

MODEL = {
    "type": "custom",
    "api_url": "http://127.0.0.1:9/v1",
    "model_name": "m",
    "api_key": "sk-secret-of-ours-1234",
}


async def test_an_assistant_lives_through_its_changes(api: httpx.AsyncClient) -> None:
    made = await api.post("/assistant", json={"name": "Ann", "prompt": "Be kind."})
    assert made.status_code == 201
    ann = made.json()["assistant"]
    assert (ann["version"], ann["first_sentence_delay_ms"]) == (1, 400)
    path = f"/assistant/{ann['id']}"
    changed = await api.patch(path, json={"silence_timeout_secs": 60, "first_sentence": "Hi"})
    assert changed.json()["assistant"]["silence_timeout_secs"] == 60
    assert changed.json()["assistant"]["version"] == 2
    reset = await api.patch(path, json={"silence_timeout_secs": None})
    assert reset.json()["assistant"]["silence_timeout_secs"] == 30
    assert reset.json()["assistant"]["first_sentence"] == "Hi"
    assert (await api.delete(path)).status_code == 204
    assert (await api.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"first_sentence_delay_ms": 9_007_199_254_740_992}, "first_sentence_delay_ms"),
        ({"max_call_duration_secs": 9}, "max_call_duration_secs"),
        ({"max_duration_end_message": "x" * 151}, "max_duration_end_message"),
        ({"silence_timeout_secs": 4}, "silence_timeout_secs"),
        ({"prompt": "x" * 100_001}, "prompt"),
        ({"voice": {"id": "v", "provider": "elevenlabs", "speed": 1.5}}, "voice.speed"),
        ({"first_sentence_mode": "static"}, "first_sentence"),
        ({"webhook_url": "ftp://x"}, "webhook_url"),
        ({"llm_model": {"type": "acme"}}, "llm_model.type"),
    ],
)
async def test_bounds_are_held(api: httpx.AsyncClient, fields: dict[str, Any], field: str) -> None:
    answer = await api.post("/assistant", json={"name": "A", "prompt": "p", **fields})
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field


async def test_an_order_keeps_the_version_it_was_placed_with(api: httpx.AsyncClient) -> None:
    ann = (await api.post("/assistant", json={"name": "Ann", "prompt": "Old."})).json()["assistant"]
    call = (
        await api.post("/call", json={"phone_number": "+12025550123", "assistant_id": ann["id"]})
    ).json()["call"]
    await api.patch(f"/assistant/{ann['id']}", json={"prompt": "New."})
    kept = (await api.get(f"/call/{call['id']}")).json()["call"]["assistant"]
    assert (kept["prompt"], kept["version"]) == ("Old.", 1)


async def test_a_model_key_is_sealed_masked_and_rotates_in_place(
    api: httpx.AsyncClient, resources: Resources, settings: Settings
) -> None:
    body = {"name": "Ann", "prompt": "p", "llm_model": MODEL}
    ann = (await api.post("/assistant", json=body)).json()["assistant"]
    assert ann["llm_model"]["api_key"] == "****1234"
    path = f"/assistant/{ann['id']}"
    same = await api.patch(path, json={"llm_model": {**MODEL, "api_key": "****1234"}})
    assert same.json()["assistant"]["llm_model"]["api_key"] == "****1234"
    await api.patch(path, json={"llm_model": {**MODEL, "api_key": "another-secret-value-9876"}})
    async with resources.database.reading() as session:
        [cipher] = (await session.execute(text("SELECT ciphertext FROM secret"))).scalars()
    assert resources.vault.unseal(cipher) == "another-secret-value-9876"
    folder = settings.storage.folder
    stored = b"".join(file.read_bytes() for file in folder.glob("offhook.db*"))
    assert b"secret-of-ours" not in stored
    assert (folder / "secret.key").stat().st_mode & 0o777 == 0o600
    assert (folder / "credentials.toml").stat().st_mode & 0o777 == 0o600


async def test_the_default_assistant_cannot_go(api: httpx.AsyncClient) -> None:
    [default] = (await api.get("/assistant")).json()["assistants"]
    assert default["is_default"]
    assert default["first_sentence"].startswith("Hello, this is the Bright Smile")
    assert (await api.delete(f"/assistant/{default['id']}")).status_code == 409
    made = {"name": "B", "prompt": "p", "is_default": True}
    await api.post("/assistant", json=made)
    listed = (await api.get("/assistant")).json()["assistants"]
    assert [one["name"] for one in listed if one["is_default"]] == ["B"]


async def test_trunks_and_numbers(api: httpx.AsyncClient) -> None:
    first = {trunk["name"]: trunk for trunk in (await api.get("/trunk")).json()["trunks"]}
    assert first["simulator"]["numbers"] == ["+12025550199"]
    assert first["inbound"]["allowed_addresses"] == ["127.0.0.0/8"]
    body = {
        "name": "carrier",
        "address": "sip.example.com:5060",
        "transport": "tcp",
        "username": "me",
        "password": "a-long-password-of-mine",
        "numbers": ["+1 202 555 0177"],
        "is_default": True,
    }
    made = await api.post("/trunk", json=body)
    assert made.status_code == 201, made.text
    trunk = made.json()
    assert trunk["password"] == "****mine"
    assert trunk["numbers"] == ["+12025550177"]
    assert not trunk["applied"]
    number = await api.post(
        "/number", json={"phone_number": "+12025550177", "trunk_id": trunk["id"]}
    )
    assert number.status_code == 201
    assert (await api.delete(f"/trunk/{trunk['id']}")).status_code == 409
    again = await api.post("/number", json={"phone_number": "+12025550177"})
    assert again.status_code == 409
    assert (await api.delete(f"/number/{number.json()['id']}")).status_code == 204
    assert (await api.delete(f"/trunk/{trunk['id']}")).status_code == 204
    assert (await api.get(f"/trunk/{trunk['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "t"}, 422, "address"),
        ({"name": "t", "address": "sip:x@y", "numbers": ["+12025550177"]}, 422, "address"),
        ({"name": "t", "address": "x\r\nVia: y", "numbers": ["+12025550177"]}, 422, "address"),
        ({"name": "t", "address": "x"}, 422, "numbers"),
        (
            {"name": "t", "address": "x", "numbers": ["+12025550177"], "username": "u"},
            422,
            "username",
        ),
        ({"name": "t", "direction": "inbound"}, 422, "numbers"),
        (
            {"name": "t", "direction": "inbound", "allowed_addresses": ["300.1.1.1"]},
            422,
            "allowed_addresses",
        ),
        ({"name": "t", "direction": "inbound", "allowed_addresses": ["192.0.2.1"]}, 409, "numbers"),
        ({"name": "t", "register": True}, 422, "register"),
    ],
)
async def test_trunks_that_cannot_work_are_refused(
    api: httpx.AsyncClient, body: dict[str, Any], status: int, field: str
) -> None:
    answer = await api.post("/trunk", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["field"] == field


async def test_a_provider_is_set_masked_and_forgotten(api: httpx.AsyncClient) -> None:
    elsewhere = "https://9.9.9.9/v1"
    put = await api.put(
        "/provider/openai", json={"api_key": "sk-0123456789abcdef", "api_url": elsewhere}
    )
    assert put.json()["api_key"] == "****cdef"
    again = await api.put("/provider/openai", json={"api_key": "****cdef", "api_url": elsewhere})
    assert (again.json()["api_key"], again.json()["api_url"]) == ("****cdef", elsewhere)
    assert len((await api.get("/provider")).json()["providers"]) == 1
    assert (await api.delete("/provider/openai")).status_code == 204
    assert (await api.get("/provider/openai")).status_code == 404
    assert (await api.put("/provider/nobody", json={"api_key": "x"})).status_code == 404


async def _outbound(api: httpx.AsyncClient, name: str, **fields: Any) -> httpx.Response:
    body = {"name": name, "address": "127.0.0.1:9", "numbers": ["+12025550123"], **fields}
    return await api.post("/trunk", json=body)


async def test_a_new_default_trunk_is_not_passed_over_for_anothers_number(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    """The simulator's number was the default one; a real carrier must be used at once."""
    made = (await _outbound(api, "carrier", is_default=True)).json()
    async with resources.database.reading() as session:
        owner = await session.scalar(select(Trunk.organization_id).where(Trunk.id == made["id"]))
        assert owner is not None
        dial_plan = await load_dial_plan(session, owner)
        way = dial_plan.route(None, to="+12125552368")
        simulated = dial_plan.route("+12025550199", to="+12125552368")
    assert way is not None
    assert (way.trunk.id, way.from_phone_number) == (made["id"], "+12025550123")
    assert simulated is not None
    assert simulated.trunk.name == "simulator"


async def test_a_trunks_name_is_its_own(api: httpx.AsyncClient) -> None:
    refused = await _outbound(api, "simulator")
    assert (refused.status_code, refused.json()["field"]) == (409, "name")


async def test_a_wrong_address_is_told_the_right_form(api: httpx.AsyncClient) -> None:
    refused = await _outbound(api, "carrier", address="sip:carrier.example:5080;transport=tcp")
    assert (refused.status_code, refused.json()["field"]) == (422, "address")
    assert refused.json()["detail"].endswith("write carrier.example:5080")
    made = (await _outbound(api, "carrier", address="carrier.example")).json()
    changed = await api.patch(f"/trunk/{made['id']}", json={"address": "sips:carrier.example"})
    assert (changed.status_code, changed.json()["field"]) == (422, "address")
    assert "TLS" in changed.json()["detail"]
    assert (await api.get(f"/trunk/{made['id']}")).json()["address"] == "carrier.example"


async def test_an_assistant_names_the_keys_it_needs(api: httpx.AsyncClient) -> None:
    made = await api.post(
        "/assistant",
        json={
            "name": "A",
            "prompt": "p",
            "llm_model": {"type": "dedicated-instance", "name": "gpt-4.1"},
            "voice": {"id": "v", "provider": "cartesia"},
        },
    )
    assert made.json()["assistant"]["needs_keys"] == ["cartesia", "openai"]
