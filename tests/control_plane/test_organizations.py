"""Organizations of an installation: made, listed, suspended and resumed by its operator alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from control_plane.domain.ids import new_id
from tests import offices
from tests.offices import Office

pytestmark = pytest.mark.db

NUMBER = "+12025550123"
CALL = {
    "room_name": "inbound_+1_caller",
    "participant_identity": "sip_+1",
    "called_number": NUMBER,
    "calling_number": "+12025550111",
    "sip_call_id": "SCL_1",
    "sip_trunk_id": "ST_1",
}


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncIterator[Office]:
    async with offices.office(tmp_path, database_url) as made:
        yield made


async def made_key(office: Office, *scopes: str) -> dict[str, Any]:
    body = {"name": "k", "scopes": scopes}
    return dict(await office.ask("POST", "/keys", body, status=201))


async def test_a_new_organization_is_used_with_its_first_key(office: Office) -> None:
    made = await office.ask("POST", "/organizations", {"name": "Acme"}, status=201)
    told, key = made["organization"], made["key"]
    assert (told["name"], told["suspended_at"]) == ("Acme", None)
    assert (key["scopes"], key["key"].startswith(key["prefix"])) == (["admin", "calls"], True)
    async with office.client_of(key["key"]) as acme:
        own = (await acme.get("/organization")).json()
        assert (own["id"], own["name"], own["suspended_at"]) == (told["id"], "Acme", None)
        assert (await acme.get("/assistant")).json()["assistants"] == []
        [listed] = (await acme.get("/keys")).json()["keys"]
        assert (listed["id"], listed["key"]) == (key["id"], None)
        trunk = {"name": "t", "address": "192.0.2.1", "numbers": ["+12025550177"]}
        assert (await acme.post("/trunk", json={"direction": "outbound", **trunk})).is_success
        speaker = {"name": "A", "prompt": "Hi.", "is_default": True}
        assert (await acme.post("/assistant", json=speaker)).is_success
        placed = {"phone_number": NUMBER, "from_phone_number": "+12025550177"}
        assert (await acme.post("/call", json=placed)).status_code == 200


async def test_a_name_is_there_once(office: Office) -> None:
    await office.ask("POST", "/organizations", {"name": "Acme"}, status=201)
    again = await office.ask("POST", "/organizations", {"name": "Acme"}, status=409)
    assert (again["field"], "choose another" in again["detail"]) == ("name", True)
    renamed = await office.ask("PATCH", "/organization", {"name": "Acme"}, status=409)
    assert renamed["field"] == "name"
    assert (await office.ask("GET", "/organization"))["name"] == "default"
    answers = await asyncio.gather(
        *(office.client.post("/organizations", json={"name": "Both"}) for _ in range(4))
    )
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409]


async def test_they_are_listed_page_by_page(office: Office) -> None:
    for name in ("b", "c"):
        await office.ask("POST", "/organizations", {"name": name}, status=201)
    first = await office.ask("GET", "/organizations?limit=2")
    assert [each["name"] for each in first["organizations"]] == ["c", "b"]
    rest = await office.ask("GET", f"/organizations?limit=2&cursor={first['next_cursor']}")
    assert [each["name"] for each in rest["organizations"]] == ["default"]
    assert rest["next_cursor"] is None


async def test_only_an_operators_key_sees_or_changes_them(office: Office) -> None:
    owner = await office.owner()
    for scopes in (("calls", "admin"), ("calls",), ("admin",)):
        one = await office.with_key(owner, scopes=scopes)
        for method, path in (
            ("GET", ""), ("POST", ""), ("POST", f"/{owner}/suspend"), ("POST", f"/{owner}/resume")
        ):  # fmt: skip
            refused = await one.request(method, f"/organizations{path}", json={"name": "x"})
            assert refused.status_code == 403, (scopes, method, path)
            assert "operator" in refused.json()["detail"]
    assert (await office.ask("GET", "/organization"))["suspended_at"] is None
    alone = await made_key(office, "operator")
    async with office.client_of(alone["key"]) as operator:
        assert (await operator.get("/organizations")).status_code == 200
        assert (await operator.get("/keys")).status_code == 403
    for path in ("suspend", "resume"):
        missing = await office.ask("POST", f"/organizations/{new_id()}/{path}", status=404)
        assert "GET /organizations" in missing["detail"]


async def test_an_operators_key_is_out_of_an_administrators_reach(office: Office) -> None:
    """Else whoever may make keys would come to hold all that the operator may."""
    operators = await made_key(office, "calls", "operator")
    path = f"/keys/{operators['id']}"
    admin = await office.with_key(await office.owner(), scopes=("admin",))
    for method, url, body in (
        ("POST", "/keys", {"name": "mine", "scopes": ["operator"]}),
        ("POST", f"{path}/rotate", {}),
        ("PATCH", path, {"requests_per_minute": 1}),
        ("DELETE", path, None),
    ):
        refused = await admin.request(method, url, json=body)
        assert refused.status_code == 403, (method, url)
        assert "operator" in refused.json()["detail"]
    async with office.client_of(operators["key"]) as still:
        assert (await still.get("/organizations")).status_code == 200
    rotated = await office.ask("POST", f"{path}/rotate", {}, status=201)
    assert rotated["scopes"] == ["calls", "operator"]
    await office.ask("PATCH", f"/keys/{rotated['id']}", {"name": "ours"})
    await office.ask("DELETE", f"/keys/{rotated['id']}", status=204)


async def test_a_suspended_organization_places_nothing_and_reads_all(office: Office) -> None:
    owner = await office.owner()
    call = {"phone_number": NUMBER, "scheduled_at": "2099-01-01T00:00:00Z"}
    before = (await office.ask("POST", "/call", call))["call"]
    clerk = await office.with_key(owner)
    since = (await office.ask("POST", f"/organizations/{owner}/suspend"))["suspended_at"]
    again = (await office.ask("POST", f"/organizations/{owner}/suspend"))["suspended_at"]
    assert datetime.fromisoformat(since) == datetime.fromisoformat(again)
    refused = (await clerk.post("/call", json=call)).json()
    assert (refused["status"], refused["code"]) == (409, "conflict")
    assert f"`offhook org resume {owner}`" in refused["detail"]
    rows = {"calls": [call, {"phone_number": NUMBER}]}
    batch = (await clerk.post("/call/batch", json=rows)).json()
    assert (batch["placed"], batch["refused"]) == (0, 2)
    assert "suspended" in batch["errors"][0]["detail"]
    assert (await clerk.get(f"/call/{before['id']}")).json()["call"]["id"] == before["id"]
    assert (await clerk.get("/organization")).json()["suspended_at"] == since
    told = (await clerk.get(f"/call/{before['id']}/explain")).json()["now"]
    assert (told["verdict"], told["rule"]) == ("wait", "organization_suspended")
    [entry] = (await office.ask("GET", "/organizations"))["organizations"]
    assert entry["suspended_at"] == since
    resumed = await office.ask("POST", f"/organizations/{owner}/resume")
    assert resumed["suspended_at"] is None
    assert (await clerk.post("/call", json=call)).status_code == 200


async def test_a_suspended_organization_holds_up_nobody_else(office: Office) -> None:
    """Orders of several organizations share one transaction."""
    other = await office.ask("POST", "/organizations", {"name": "b"}, status=201)
    await office.ask("POST", f"/organizations/{other['organization']['id']}/suspend")
    body = {"phone_number": NUMBER}
    async with office.client_of(other["key"]["key"]) as theirs:
        asked = [each.post("/call", json=body) for each in (office.client, theirs) * 4]
        statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
    assert statuses == [200, 409] * 4


async def test_an_answer_given_before_is_given_again(office: Office) -> None:
    headers = {"Idempotency-Key": "one"}
    body = {"phone_number": NUMBER}
    first = await office.client.post("/call", json=body, headers=headers)
    await office.ask("POST", f"/organizations/{await office.owner()}/suspend")
    again = await office.client.post("/call", json=body, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())


async def test_it_is_in_the_operators_audit_log(office: Office) -> None:
    made = await office.ask("POST", "/organizations", {"name": "b"}, status=201)
    path = f"/organizations/{made['organization']['id']}"
    await office.ask("POST", f"{path}/suspend")
    told = (await office.ask("GET", "/audit"))["entries"]
    assert [(each["operation"], each["path"], each["status"]) for each in told] == [
        ("suspendOrganization", f"{path}/suspend", 200),
        ("createOrganization", "/organizations", 201),
    ]
