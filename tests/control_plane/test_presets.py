"""Voices, models and prompts that are kept by themselves, and calls of dial outbound with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from control_plane.assistants import specs
from control_plane.assistants.secrets import Reference
from control_plane.db.models.assistant import AssistantVersion
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.organization import Secret
from control_plane.domain.assistant import AssistantSpec
from tests import offices
from tests.offices import Office

pytestmark = pytest.mark.db

KEY, OTHER_KEY = "sk-0123456789abcdef", "sk-fedcba9876543210"
CUSTOM = {
    "type": "custom",
    "api_url": "https://example.com/v1",
    "model_name": "tiny",
    "api_key": KEY,
}
MODEL = {"kind": "model", "name": "mine", "model": CUSTOM}
VOICE = {"kind": "voice", "name": "hers", "voice": {"id": "v", "provider": "cartesia"}}
PROMPT = {"kind": "prompt", "name": "short", "prompt": "Say {{what}}."}
NUMBER = "+12025550123"


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncIterator[Office]:
    async with offices.office(tmp_path, database_url) as made:
        yield made


async def ids(office: Office) -> dict[str, str]:
    """Return the fields that name the newest of each, and the first number."""
    listed = await office.ask("GET", "/dial/ids")
    fields = {"numbers": "number_id", "use_cases": "use_case_id", "agents": "agent_id"}
    fields |= {"models": "model_id", "prompts": "prompt_id"}
    return {field: listed[kind][0]["id"] for kind, field in fields.items() if listed[kind]}


async def spoken(office: Office) -> AssistantSpec:
    """Return the assistant of the last order, as its agent gets it."""
    async with office.database.reading() as db:
        order = (await db.scalars(select(CallOrder).order_by(CallOrder.id.desc()))).first()
        assert order is not None
        version = await db.get_one(AssistantVersion, order.assistant_version_id)
        return await specs.opened(db, office.vault, specs.load(version.spec))


@pytest.mark.parametrize("body", [MODEL, VOICE, PROMPT], ids=lambda body: str(body["kind"]))
async def test_a_preset_is_made_read_listed_replaced_and_deleted(
    office: Office, body: dict[str, Any]
) -> None:
    made = await office.ask("POST", "/preset", body, status=201)
    path, kind = f"/preset/{made['id']}", body["kind"]
    assert made["kind"] == made["preset"]["kind"] == kind
    assert await office.ask("GET", path) == made
    assert (await office.ask("GET", f"/preset?kind={kind}"))["presets"] == [made]
    other = "voice" if kind != "voice" else "prompt"
    assert (await office.ask("GET", f"/preset?kind={other}"))["presets"] == []
    changed = await office.ask("PUT", path, {**made["preset"], "name": "new"})
    assert changed["preset"] == {**made["preset"], "name": "new"}
    wrong = PROMPT if kind != "prompt" else VOICE
    assert (await office.ask("PUT", path, wrong, status=422))["field"] == "kind"
    await office.ask("DELETE", path, status=204)
    await office.ask("GET", path, status=404)
    assert (await office.ask("GET", "/preset"))["presets"] == []


async def test_pages_follow_each_other(office: Office) -> None:
    made = [
        (await office.ask("POST", "/preset", {**PROMPT, "name": str(n)}, status=201))["id"]
        for n in range(3)
    ]
    first = await office.ask("GET", "/preset?limit=2")
    rest = await office.ask("GET", f"/preset?limit=2&cursor={first['next_cursor']}")
    assert [each["id"] for each in first["presets"] + rest["presets"]] == made[::-1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**MODEL, "model": {**CUSTOM, "api_url": "ftp://x"}}, "model.api_url"),
        ({**MODEL, "model": {**CUSTOM, "api_key": "****cdef"}}, "model.api_key"),
        ({**MODEL, "model": {"type": "dedicated-instance", "name": "gpt-9"}}, "model.name"),
        ({**VOICE, "voice": {"id": "v", "provider": "elevenlabs", "speed": 0.6}}, "voice.speed"),
        ({"kind": "voice", "name": "x"}, "voice"),
        ({**PROMPT, "name": ""}, "name"),
        ({**PROMPT, "colour": "blue"}, "colour"),
        ({"kind": "stt", "name": "x"}, "kind"),
    ],
)
async def test_what_cannot_be_used_is_named(office: Office, body: Any, field: str) -> None:
    assert (await office.ask("POST", "/preset", body, status=422))["field"] == field


async def test_a_key_is_sealed_masked_and_kept_by_its_mask(office: Office) -> None:
    made = await office.ask("POST", "/preset", MODEL, status=201)
    assert made["preset"]["model"]["api_key"] == f"****{KEY[-4:]}"
    async with office.database.reading() as db:
        stored = (await db.execute(text("SELECT value FROM preset"))).scalar_one()
        sealed = (await db.scalars(select(Secret))).all()
    assert KEY not in stored
    assert not any(KEY in row.ciphertext for row in sealed)
    path = f"/preset/{made['id']}"
    moved = {**made["preset"]["model"], "api_url": "https://other.example.com/v1"}
    refused = await office.ask("PUT", path, {**MODEL, "model": moved}, status=422)
    assert refused["field"] == "model.api_key"  # it would be sent to another address
    await office.ask("PUT", path, made["preset"])
    await office.ask("POST", "/dial/outbound", {**await ids(office), "phone_number": NUMBER})
    assert getattr((await spoken(office)).llm_model, "api_key", "") == KEY
    await office.ask("PUT", path, {**MODEL, "model": {**CUSTOM, "api_key": OTHER_KEY}})
    assert getattr((await spoken(office)).llm_model, "api_key", "") == KEY  # that order's own
    await office.ask("POST", "/dial/outbound", {**await ids(office), "phone_number": NUMBER})
    assert getattr((await spoken(office)).llm_model, "api_key", "") == OTHER_KEY


async def test_a_varied_use_case_keeps_its_own_key(office: Office) -> None:
    speaker = {"name": "own", "prompt": "Hi.", "llm_model": CUSTOM}
    await office.ask("POST", "/assistant", speaker, status=201)
    named = await ids(office)
    call = {**named, "phone_number": NUMBER, "max_duration_mins": 3, "model": "large"}
    told = await office.ask("POST", "/dial/outbound", call)
    assert told["use_case"]["max_duration_mins"] == 3
    spec = await spoken(office)
    assert spec.max_call_duration_secs == 180
    assert getattr(spec.llm_model, "api_key", "") == KEY
    assert getattr(spec.llm_model, "model_name", "") == "large"


async def test_what_looks_like_a_reference_opens_nobodys_secret(office: Office) -> None:
    await office.ask("POST", "/preset", MODEL, status=201)
    async with office.database.reading() as db:
        [row] = (await db.scalars(select(Secret).where(Secret.hint == KEY[-4:]))).all()
    forged = str(Reference(row.id, row.hint))
    stranger = await office.another()
    trunk = {"name": "t", "address": "192.0.2.1", "numbers": ["+12025550177"]}
    await office.ask(
        "POST", "/trunk", {"direction": "outbound", **trunk}, status=201, client=stranger
    )
    await office.ask(
        "POST", "/number", {"phone_number": "+12025550178"}, status=201, client=stranger
    )
    speaker = {"name": "s", "prompt": "Hi.", "is_default": True}
    await office.ask("POST", "/assistant", speaker, status=201, client=stranger)
    body = {**MODEL, "model": {**CUSTOM, "api_key": forged}}
    await office.ask("POST", "/preset", body, status=201, client=stranger)
    listed = await office.ask("GET", "/dial/ids", client=stranger)
    call = {
        "number_id": listed["numbers"][0]["id"],
        "model_id": listed["models"][0]["id"],
        "phone_number": NUMBER,
    }
    await office.ask("POST", "/dial/outbound", call, client=stranger)
    assert getattr((await spoken(office)).llm_model, "api_key", "") == forged
    inline = {"prompt": "Hi.", "llm_model": {**CUSTOM, "api_key": forged}}
    body = {"phone_number": NUMBER, "from_phone_number": "+12025550178", "assistant": inline}
    await office.ask("POST", "/call", body, client=stranger)
    assert getattr((await spoken(office)).llm_model, "api_key", "") == forged


async def test_what_is_named_must_be_the_organizations_own(office: Office) -> None:
    for body in (MODEL, VOICE, PROMPT):
        await office.ask("POST", "/preset", body, status=201)
    theirs = await ids(office)
    stranger = await office.another()
    await office.ask(
        "POST", "/number", {"phone_number": "+12025550178"}, status=201, client=stranger
    )
    speaker = {"name": "s", "prompt": "Hi.", "is_default": True}
    await office.ask("POST", "/assistant", speaker, status=201, client=stranger)
    listed = await office.ask("GET", "/dial/ids", client=stranger)
    assert [len(listed[kind]) for kind in ("agents", "models", "prompts", "campaigns")] == [0] * 4
    own = {"number_id": listed["numbers"][0]["id"], "phone_number": NUMBER}
    for field, value in theirs.items():
        answer = await stranger.post("/dial/outbound", json={**own, field: value})
        assert (answer.status_code, answer.json()["field"]) == (404, field), answer.text
        nobody = value[:-8] + "AAAAAAAA"
        unknown = await stranger.post("/dial/outbound", json={**own, field: nobody})
        assert unknown.text.replace(nobody, value) == answer.text


async def test_a_deleted_preset_is_not_found(office: Office) -> None:
    made = await office.ask("POST", "/preset", VOICE, status=201)
    named = await ids(office)
    await office.ask("DELETE", f"/preset/{made['id']}", status=204)
    answer = await office.client.post("/dial/outbound", json={**named, "phone_number": NUMBER})
    assert (answer.status_code, answer.json()["field"]) == (404, "agent_id")


async def test_a_suspended_organization_dials_nothing(office: Office) -> None:
    named, owner = await ids(office), await office.owner()
    speaker = (await office.ask("GET", "/assistant"))["assistants"][0]["id"]
    made = await office.ask("POST", "/campaign", {"name": "c", "assistant_id": speaker}, status=201)
    path = f"/campaign/{made['campaign']['id']}"
    await office.ask("POST", f"{path}/rows", {"rows": [{"phone_number": NUMBER}]})
    await office.ask("POST", f"{path}/launch")
    campaign = (await office.ask("GET", "/dial/ids"))["campaigns"][0]["id"]
    clerk: httpx.AsyncClient = await office.with_key(owner)
    await office.ask("POST", f"/organizations/{owner}/suspend")
    for more in ({}, {"campaign_id": campaign}):  # a campaign's own rows would wait
        body = {**named, "phone_number": NUMBER, **more}
        answer = await clerk.post("/dial/outbound", json=body)
        assert (answer.status_code, answer.json()["error"]) == (409, "conflict")
        assert "suspended" in answer.json()["message"]
