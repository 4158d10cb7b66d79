"""What an agent asks for when a person is to be bridged, and what it and others are told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from control_plane.app import Resources
from control_plane.db.models.session import Leg, Session
from control_plane.domain.ids import new_id
from control_plane.domain.leg import LegKind
from control_plane.keys.tokens import Scope
from control_plane.sessions import humans, leases
from scheduler.claim import claim
from tests.call_rows import CallRow
from tests.factories import ago

pytestmark = pytest.mark.db

COLLEAGUE = "+12025550142"


@pytest.fixture
async def attempt(api: httpx.AsyncClient, resources: Resources) -> CallRow:
    """An answered attempt whose assistant passes calls on."""
    body = {
        "phone_number": "+12025550123",
        "assistant": {
            "prompt": "Be kind.",
            "llm_model": {"type": "embedded"},
            "human_transfer_mode": "cold",
            "transfer_phone_number": COLLEAGUE,
            "transfer_targets": [{"phone_number": "+1 202 555 0143", "ring_secs": 12}],
        },
        "force_now": True,
    }
    assert (await api.post("/call", json=body)).status_code == 200
    [made] = await claim(resources.database, limit=1)
    async with resources.database.transaction() as db:
        await db.execute(
            update(Session).values(answered_at=ago(seconds=9), status="ongoing")  # as it is stored
        )
    return CallRow(made)


class Asking:
    """The agent of the attempt."""

    def __init__(self, internal: httpx.AsyncClient, resources: Resources, attempt: CallRow):
        token = resources.signer.issue(
            Scope.SESSION, attempt.id, epoch=attempt.epoch, ttl=timedelta(minutes=1)
        )
        self._headers = {"Authorization": f"Bearer {token}"}
        self._internal = internal
        self.path = f"/internal/sessions/{attempt.id}/humans"

    async def ask(self, leg_id: str, to: str = COLLEAGUE, **more: Any) -> httpx.Response:
        body = {"id": leg_id, "to_phone_number": to, "reason": "why", "because": "no_refer"} | more
        return await self._internal.post(self.path, json=body, headers=self._headers)

    async def note(self, leg_id: str, result: str) -> httpx.Response:
        path = f"{self.path}/{leg_id}/said"
        return await self._internal.post(path, json={"result": result}, headers=self._headers)

    async def follow(self, leg_id: str, wait: float = 0) -> httpx.Response:
        path = f"{self.path}/{leg_id}?wait={wait}"
        return await self._internal.get(path, headers=self._headers)


@pytest.fixture
def agent(internal: httpx.AsyncClient, resources: Resources, attempt: CallRow) -> Asking:
    return Asking(internal, resources, attempt)


async def answer(resources: Resources, attempt: CallRow) -> None:
    """The human answers."""
    async with resources.database.transaction() as db:
        order, call = await leases.lock(db, attempt.id, epoch=None)
        leg = await humans.open_of(db, attempt.id)
        assert order is not None
        assert leg is not None
        leg.from_phone_number = "+12025550111"
        humans.answered(db, order, call, leg, now=ago(seconds=0))


async def test_a_human_is_asked_for_once_and_followed(
    agent: Asking, api: httpx.AsyncClient, resources: Resources, attempt: CallRow
) -> None:
    leg_id = new_id()
    first = await agent.ask(leg_id)
    assert first.status_code == 200, first.text
    assert (first.json()["state"], first.json()["result"]) == ("asked", None)
    assert (await agent.ask(leg_id)).json() == first.json()
    assert (await agent.ask(new_id())).status_code == 409
    following = asyncio.create_task(agent.follow(leg_id, wait=8))
    await answer(resources, attempt)
    told = (await following).json()
    assert (told["state"], told["result"]) == ("answered", "answered")
    call = (await api.get(f"/call/{attempt.order_id}")).json()["call"]
    transfer = call["last_call_attempt"]["transfer"]
    assert transfer["to_phone_number"] == COLLEAGUE
    assert transfer["from_phone_number"] == "+12025550111"
    assert (transfer["talk_secs"], transfer["is_recorded"]) == (None, False)
    decisions = (await api.get(f"/call/{attempt.order_id}/explain")).json()["decisions"]
    asked: dict[str, Any] = next(each for each in decisions if each["decision"] == "human_asked")
    assert asked["reason"] == "why (no_refer)"


async def test_who_is_asked_first_has_the_call_once_they_take_it(
    agent: Asking, api: httpx.AsyncClient, resources: Resources, attempt: CallRow
) -> None:
    leg_id = new_id()
    assert (await agent.ask(leg_id, because="warm", is_asked_first=True)).status_code == 200
    early = await agent.note(leg_id, "answered")
    assert early.status_code == 409, "their telephone rings"
    await answer(resources, attempt)
    told = (await agent.follow(leg_id)).json()
    assert (told["state"], told["result"]) == ("answered", None)
    call = (await api.get(f"/call/{attempt.order_id}")).json()["call"]
    assert call["last_call_attempt"]["transfer"] is None
    for _ in range(2):  # saying it again is harmless, whatever is said then
        taken = (await agent.note(leg_id, "answered")).json()
        assert (taken["state"], taken["result"]) == ("answered", "answered")
    assert (await agent.note(leg_id, "declined")).json()["result"] == "answered"
    call = (await api.get(f"/call/{attempt.order_id}")).json()["call"]
    assert call["last_call_attempt"]["transfer"]["to_phone_number"] == COLLEAGUE
    events = (await api.get(f"/call/{attempt.order_id}/events")).json()["events"]
    kinds = [each["type"] for each in events]
    assert kinds.index("human_answered") < kinds.index("call.transferred")
    assert kinds.count("call.transferred") == 1


@pytest.mark.parametrize("result", ["declined", "not_taken", "left", "voicemail", "failed"])
async def test_who_does_not_take_it_leaves_room_for_another(
    agent: Asking, api: httpx.AsyncClient, resources: Resources, attempt: CallRow, result: str
) -> None:
    leg_id, second = new_id(), new_id()
    await agent.ask(leg_id, because="warm", is_asked_first=True)
    await answer(resources, attempt)
    told = (await agent.note(leg_id, result)).json()
    assert (told["state"], told["result"]) == ("over", result)
    assert (await agent.follow(leg_id)).json() == told
    decisions = (await api.get(f"/call/{attempt.order_id}/explain")).json()["decisions"]
    assert {"human_answered", "human_not_reached"} <= {each["decision"] for each in decisions}
    assert (await agent.ask(second, because="warm", is_asked_first=True)).status_code == 200
    await answer(resources, attempt)
    await agent.note(second, "answered")
    call = (await api.get(f"/call/{attempt.order_id}")).json()["call"]
    assert call["last_call_attempt"]["transfer"]["talk_secs"] is None
    async with resources.database.reading() as db:
        assert set(await humans.answered_of(db, [attempt.id])) == {attempt.id}
        [there] = (await humans.answered_of(db, [attempt.id])).values()
        assert there.id == second, "who declined has not talked to the person"


async def test_only_the_configured_number_is_called(agent: Asking) -> None:
    answer = await agent.ask(new_id(), "+12025550199")
    assert answer.status_code == 422
    assert "transfer_phone_number" in answer.json()["detail"]


async def test_a_further_target_is_called_for_as_long_as_it_says(
    agent: Asking, resources: Resources
) -> None:
    leg_id = new_id()
    assert (await agent.ask(leg_id, "+12025550143")).status_code == 200
    async with resources.database.reading() as db:
        assert (await db.get_one(Leg, leg_id)).ring_secs == 12


async def test_nobody_is_asked_in_before_or_after_the_talk(
    agent: Asking, resources: Resources
) -> None:
    async with resources.database.transaction() as db:
        await db.execute(update(Session).values(answered_at=None))
    assert (await agent.ask(new_id())).status_code == 409
    async with resources.database.transaction() as db:
        await db.execute(update(Session).values(answered_at=ago(), closed_at=ago()))
    assert (await agent.ask(new_id())).status_code == 409


async def test_another_session_or_leg_is_not_shown(
    agent: Asking, resources: Resources, internal: httpx.AsyncClient, attempt: CallRow
) -> None:
    assert (await agent.follow(new_id())).status_code == 404
    async with resources.database.reading() as db:
        own = await db.scalar(Leg.__table__.select().with_only_columns(Leg.id))
    assert own is not None
    assert (await agent.follow(own)).status_code == 404, "the person's own leg"
    token = resources.signer.issue(Scope.SESSION, new_id(), epoch=1, ttl=timedelta(minutes=1))
    headers = {"Authorization": f"Bearer {token}"}
    answer = await internal.get(f"{agent.path}/{own}", headers=headers)
    assert answer.status_code == 403
    assert attempt.call.leg.kind is LegKind.CALLEE


async def test_a_trunk_says_whether_it_takes_refer(api: httpx.AsyncClient) -> None:
    [trunk, *_] = (await api.get("/trunk")).json()["trunks"]
    assert trunk["takes_refer"] is True
    changed = await api.patch(f"/trunk/{trunk['id']}", json={"takes_refer": False})
    assert changed.json()["takes_refer"] is False


async def test_a_trunk_says_what_a_refer_asks_for(api: httpx.AsyncClient) -> None:
    [trunk, *_] = (await api.get("/trunk")).json()["trunks"]
    path = f"/trunk/{trunk['id']}"
    assert trunk["refer_to"] == "tel:{number}"
    changed = await api.patch(path, json={"refer_to": "sip:{number}@pbx.example"})
    assert changed.json()["refer_to"] == "sip:{number}@pbx.example"
    refused = await api.patch(path, json={"refer_to": "sip:{number}"})
    assert refused.status_code == 422
    assert refused.json()["field"] == "refer_to"
    assert "sip:{number}@host" in refused.json()["detail"]
