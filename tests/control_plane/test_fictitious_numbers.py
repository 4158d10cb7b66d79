"""Numbers that are reserved for fiction are the simulator's, whatever carrier is the default."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from control_plane.app import Resources
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.trunk import Trunk

pytestmark = pytest.mark.db

TUTORIAL = "+12025550100"
REAL = "+12125552368"
OURS = "+14155552671"


async def add_carrier(api: httpx.AsyncClient) -> str:
    """Do what `offhook trunk add` and `number add` do; returns the trunk's id."""
    body = {"name": "real", "address": "192.0.2.1", "numbers": [OURS], "is_default": True}
    made = await api.post("/trunk", json=body)
    assert made.status_code == 201, made.text
    number = {"phone_number": OURS, "is_default": True}
    assert (await api.post("/number", json=number)).status_code == 201
    return str(made.json()["id"])


async def trunk_of(api: httpx.AsyncClient, resources: Resources, **order: Any) -> str:
    """Place an order; returns the name of the trunk that it waits for."""
    placed = await api.post("/call", json=order)
    assert placed.status_code == 200, placed.text
    async with resources.database.reading() as session:
        row = await session.get_one(CallOrder, placed.json()["call"]["id"])
        name = await session.scalar(select(Trunk.name).where(Trunk.id == row.trunk_id))
    return str(name)


async def remove_simulator(api: httpx.AsyncClient) -> None:
    trunks = (await api.get("/trunk")).json()["trunks"]
    [simulator] = [each["id"] for each in trunks if each["purpose"] == "simulator"]
    for number in (await api.get("/number")).json()["numbers"]:
        if number["trunk_id"] == simulator:
            assert (await api.delete(f"/number/{number['id']}")).status_code == 204
    assert (await api.delete(f"/trunk/{simulator}")).status_code == 204


async def test_the_tutorials_numbers_stay_the_simulators_after_trunk_add(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    await add_carrier(api)
    assert await trunk_of(api, resources, phone_number=REAL) == "real"
    for number in (TUTORIAL, "+1 415 555 0199"):
        assert await trunk_of(api, resources, phone_number=number) == "simulator"


async def test_an_assistants_number_does_not_lead_them_to_the_carrier(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    await add_carrier(api)
    body = {"name": "Ann", "prompt": "Be kind.", "from_phone_number": OURS}
    ann = (await api.post("/assistant", json=body)).json()["assistant"]["id"]
    order = {"assistant_id": ann}
    assert await trunk_of(api, resources, phone_number=TUTORIAL, **order) == "simulator"
    assert await trunk_of(api, resources, phone_number=REAL, **order) == "real"


async def test_an_order_that_names_a_carriers_number_is_taken_at_its_word(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    await add_carrier(api)
    order = {"phone_number": TUTORIAL, "from_phone_number": OURS}
    assert await trunk_of(api, resources, **order) == "real"


async def test_without_a_simulator_they_are_refused_with_the_remedy(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    await add_carrier(api)
    await remove_simulator(api)
    refused = await api.post("/call", json={"phone_number": TUTORIAL})
    assert (refused.status_code, refused.json()["field"]) == (409, "phone_number"), refused.text
    detail = refused.json()["detail"]
    for word in (TUTORIAL, "reserved for fiction", "--simulator", "from_phone_number"):
        assert word in detail
    assert await trunk_of(api, resources, phone_number=REAL) == "real"


async def test_a_carriers_trunk_called_simulator_gets_none_of_them(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    await remove_simulator(api)
    carrier = {"name": "simulator", "address": "192.0.2.1", "numbers": [OURS], "is_default": True}
    assert (await api.post("/trunk", json=carrier)).status_code == 201
    refused = await api.post("/call", json={"phone_number": TUTORIAL})
    assert (refused.status_code, refused.json()["field"]) == (409, "phone_number"), refused.text


async def test_a_trunk_made_for_the_simulator_gets_them_whatever_it_is_called(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    body = {"name": "tries", "purpose": "simulator", "address": "127.0.0.1", "numbers": [OURS]}
    second = await api.post("/trunk", json=body)
    assert (second.status_code, second.json()["field"]) == (409, "purpose"), second.text
    await remove_simulator(api)
    await add_carrier(api)
    body["numbers"] = ["+12025550188"]
    assert (await api.post("/trunk", json=body)).status_code == 201
    assert await trunk_of(api, resources, phone_number=TUTORIAL) == "tries"
    inbound = {"name": "in", "purpose": "simulator", "direction": "inbound", "numbers": [OURS]}
    wrong = await api.post("/trunk", json=inbound)
    assert (wrong.status_code, wrong.json()["field"]) == (422, "purpose"), wrong.text
