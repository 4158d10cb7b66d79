"""A number is one organization's: no other's inbound trunk or number stands beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_plane.app import create_internal_app
from control_plane.domain.ids import new_id
from tests import arrivals, offices
from tests.arrivals import FakeCallRooms, job_token
from tests.offices import Office

pytestmark = pytest.mark.db
NUMBER, OTHER = "+12025550177", "+12025550178"


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncIterator[Office]:
    async with offices.office(tmp_path, database_url) as made:
        yield made


def inbound(*numbers: str, **fields: Any) -> dict[str, Any]:
    given = {"direction": "inbound", "name": f"of {new_id()}", "numbers": numbers}
    return {**given, "allowed_addresses": ["192.0.2.1"], **fields}


def is_refused(answer: httpx.Response, field: str, *said: str) -> None:
    assert answer.status_code == 409, answer.text
    assert answer.json()["field"] == field
    assert "another organization" in answer.json()["detail"]
    assert all(each in answer.json()["detail"] for each in said)


async def test_no_second_organizations_trunk_takes_a_number(office: Office) -> None:
    other = await office.another()
    mine = (await office.client.post("/trunk", json=inbound(NUMBER))).json()
    is_refused(await other.post("/trunk", json=inbound(OTHER, NUMBER)), "numbers", NUMBER, "leave")
    is_refused(await other.post("/number", json={"phone_number": NUMBER}), "phone_number", NUMBER)
    theirs = (await other.post("/trunk", json=inbound(OTHER))).json()
    path = f"/trunk/{theirs['id']}"
    is_refused(await other.patch(path, json={"numbers": [NUMBER]}), "numbers", NUMBER)
    assert (await other.get(path)).json()["numbers"] == [OTHER]
    assert (await office.client.post("/number", json={"phone_number": NUMBER})).status_code == 201
    assert (await office.client.delete(f"/trunk/{mine['id']}")).status_code == 204
    is_refused(await other.patch(path, json={"numbers": [NUMBER]}), "numbers", NUMBER)  # the number


async def test_a_trunk_for_every_number_is_there_once(office: Office) -> None:
    """The first organization has one since its first start."""
    other = await office.another()
    is_refused(await other.post("/trunk", json=inbound()), "numbers", "name the numbers")


@pytest.mark.parametrize("kinds", [("trunk", "trunk"), ("trunk", "number"), ("number", "trunk")])
async def test_of_two_at_the_same_time_one_gets_it(office: Office, kinds: tuple[str, str]) -> None:
    bodies = {"trunk": inbound, "number": lambda number: {"phone_number": number}}
    other = await office.another()
    for digit in range(5):
        number = f"+1202555018{digit}"
        answers = await asyncio.gather(
            *(
                client.post(f"/{kind}", json=bodies[kind](number))
                for client, kind in zip((office.client, other), kinds, strict=True)
            )
        )
        assert sorted(each.status_code for each in answers) == [201, 409]


async def test_a_call_to_anothers_number_gets_no_answer(office: Office) -> None:
    """Whatever the SIP service thinks of it: the trunk is of whoever takes every number."""
    other = await office.another()
    await arrivals.applied(office.database)
    made = await other.post("/trunk", json=inbound(NUMBER))
    assert made.status_code == 201, made.text
    call_rooms = FakeCallRooms()
    resources = call_rooms.known_to(office.resources)
    transport = httpx.ASGITransport(create_internal_app(resources))
    async with httpx.AsyncClient(transport=transport, base_url="http://internal") as internal:
        call_rooms.ring("inbound_+1", called_number=NUMBER)
        refused = await internal.post("/internal/inbound", headers=job_token("inbound_+1"))
        call_rooms.ring("inbound_+1", called_number=OTHER)
        taken = await internal.post("/internal/inbound", headers=job_token("inbound_+1"))
    assert (refused.status_code, taken.status_code) == (404, 200)
