"""The brief of a call that came in: for one agent, of one call that LiveKit has, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from control_plane.app import Resources
from control_plane.db.models.organization import Organization
from control_plane.db.models.session import Session
from control_plane.db.models.trunk import Trunk
from control_plane.domain.brief import Direction
from control_plane.keys.tokens import Scope
from scheduler.claim import claim
from tests import arrivals, call_rows
from tests.arrivals import FakeCallRooms, caller, job_token

pytestmark = [pytest.mark.db, pytest.mark.engines]

ROOM, PATH = "inbound_+12025550111_a", "/internal/inbound"


@pytest.fixture(autouse=True)
async def ringing(resources: Resources, call_rooms: FakeCallRooms) -> None:
    """A call in `ROOM` that waits for its agent."""
    await arrivals.applied(resources.database)
    call_rooms.ring(ROOM)


async def calls(resources: Resources) -> int:
    async with resources.database.reading() as session:
        query = select(func.count()).where(Session.direction == Direction.INBOUND)
        return await session.scalar(query) or 0


def is_refused(answer: httpx.Response, status: int, *said: str) -> None:
    assert answer.status_code == status, answer.text
    assert "providers" not in answer.text
    assert all(each in answer.json()["detail"] for each in said), answer.text


async def test_what_livekit_says_of_the_call_is_kept(
    internal: httpx.AsyncClient, resources: Resources
) -> None:
    brief = (await internal.post(PATH, headers=job_token(ROOM))).json()
    assert (brief["room_name"], brief["participant_identity"]) == (ROOM, "sip_+12025550111")
    assert (brief["to_phone_number"], brief["from_phone_number"]) == ("agent", "+12025550111")
    async with resources.database.reading() as session:
        row = await call_rows.get(session, brief["session_id"])
    assert (row.agent_identity, row.sip_call_id) == ("agent-AJ_1", "SCL_2")


@pytest.mark.parametrize(
    "forged",
    [{"secret": "f" * 32}, {"key": "other"}, {"ttl": timedelta(minutes=-2)}],
    ids=["another secret", "another key", "expired"],
)
async def test_a_token_that_livekit_did_not_sign_opens_nothing(
    internal: httpx.AsyncClient, resources: Resources, forged: dict[str, Any]
) -> None:
    refused = await internal.post(PATH, headers=job_token(ROOM, **forged))
    is_refused(refused, 401, "LIVEKIT_API_SECRET")
    assert await calls(resources) == 0


async def test_no_token_of_ours_opens_a_call_that_comes_in(
    internal: httpx.AsyncClient, resources: Resources
) -> None:
    """So neither does the one that earlier releases gave the dispatch rules, for 400 days."""
    for scope in Scope:
        token = resources.signer.issue(scope, "organization", ttl=timedelta(days=400))
        ours = {"Authorization": f"Bearer {token}"}
        is_refused(await internal.post(PATH, headers=ours), 401)
    assert (await internal.post(PATH)).status_code == 401
    assert await calls(resources) == 0


@pytest.mark.parametrize(
    "grants",
    [
        {"kind": "standard", "agent": None},
        {"kind": "standard"},
        {"kind": "sip"},
        {"room_join": None},
        {"room": ""},
        {"room_join": None, "room_admin": True},
    ],
    ids=["a person", "a person's with agent", "a phone", "a worker", "no room", "an admin"],
)
async def test_only_an_agents_token_for_one_room_opens_it(
    internal: httpx.AsyncClient, resources: Resources, grants: dict[str, Any]
) -> None:
    if grants.get("room") == "":
        grants = {"room_join": None, **grants}
    is_refused(await internal.post(PATH, headers=job_token(ROOM, **grants)), 403, "one room")
    assert await calls(resources) == 0


async def test_an_invented_room_opens_nothing(
    internal: httpx.AsyncClient, resources: Resources
) -> None:
    is_refused(await internal.post(PATH, headers=job_token("inbound_made_up")), 404, "no such room")
    assert await calls(resources) == 0


async def test_a_token_opens_its_own_room_alone(
    internal: httpx.AsyncClient, call_rooms: FakeCallRooms
) -> None:
    """Whatever else the request says: the call in `ROOM` is still its own agent's."""
    call_rooms.ring("other", calling_number="+12025550112")
    asked = {"room_name": ROOM, "participant_identity": "sip_+12025550111"}
    got = await internal.post(PATH, json=asked, headers=job_token("other", "agent-AJ_2"))
    assert (got.json()["room_name"], got.json()["from_phone_number"]) == ("other", "+12025550112")
    assert (await internal.post(PATH, headers=job_token(ROOM))).json()["room_name"] == ROOM


async def test_an_old_room_opens_nothing(
    internal: httpx.AsyncClient, resources: Resources, call_rooms: FakeCallRooms
) -> None:
    """The worker signs its tokens again, so their age says nothing."""
    call_rooms.ring(ROOM, age=timedelta(minutes=5, seconds=1))
    is_refused(await internal.post(PATH, headers=job_token(ROOM)), 409, "s old", "clocks")
    assert await calls(resources) == 0
    call_rooms.ring(ROOM, age=timedelta(minutes=4, seconds=50))
    assert (await internal.post(PATH, headers=job_token(ROOM))).status_code == 200


async def test_livekit_that_does_not_say_is_asked_again(
    internal: httpx.AsyncClient, resources: Resources, call_rooms: FakeCallRooms
) -> None:
    call_rooms.down = True
    answer = await internal.post(PATH, headers=job_token(ROOM))
    is_refused(answer, 503, "LiveKit", "again")
    assert answer.headers["Retry-After"] == "1"
    call_rooms.down = False
    there = call_rooms.rooms[ROOM]
    call_rooms.rooms[ROOM] = type(there)(there.created_at, ())
    is_refused(await internal.post(PATH, headers=job_token(ROOM)), 503, "no phone", "again")
    assert await calls(resources) == 0
    call_rooms.rooms[ROOM] = there
    assert (await internal.post(PATH, headers=job_token(ROOM))).status_code == 200


async def test_a_call_over_a_deleted_trunk_gets_no_brief(
    internal: httpx.AsyncClient, api: httpx.AsyncClient, resources: Resources
) -> None:
    """Not even for who had one."""
    assert (await internal.post(PATH, headers=job_token(ROOM))).status_code == 200
    [trunk] = [t for t in (await api.get("/trunk")).json()["trunks"] if t["direction"] == "inbound"]
    assert (await api.delete(f"/trunk/{trunk['id']}")).status_code == 204
    is_refused(await internal.post(PATH, headers=job_token(ROOM)), 404, "inbound trunk")


@pytest.mark.parametrize("trunk", ["ST_OUT", "ST_UNKNOWN", ""])
async def test_only_a_call_over_an_inbound_trunk_of_ours_gets_a_brief(
    internal: httpx.AsyncClient, resources: Resources, call_rooms: FakeCallRooms, trunk: str
) -> None:
    async with resources.database.transaction() as session:
        outbound = update(Trunk).where(Trunk.direction == Direction.OUTBOUND)
        await session.execute(outbound.values(sip_trunk_id="ST_OUT"))
    call_rooms.ring(ROOM, sip_trunk_id=trunk)
    is_refused(await internal.post(PATH, headers=job_token(ROOM)), 404, "inbound trunk")
    call_rooms.ring(ROOM, caller(sip_trunk_id=trunk), caller(identity="came later"))
    brief = (await internal.post(PATH, headers=job_token(ROOM))).json()
    assert brief["participant_identity"] == "came later"


async def test_one_job_has_the_call_and_may_ask_again(
    internal: httpx.AsyncClient, resources: Resources
) -> None:
    first = await internal.post(PATH, headers=job_token(ROOM))
    second = await internal.post(PATH, headers=job_token(ROOM, "agent-AJ_2"))
    is_refused(second, 409, "another agent")
    assert second.json()["code"] == "token_used"
    again = await internal.post(PATH, headers=job_token(ROOM))
    assert again.json()["session_id"] == first.json()["session_id"]
    async with resources.database.transaction() as session:
        await session.execute(update(Session).values(closed_at=datetime.now(UTC)))
    is_refused(await internal.post(PATH, headers=job_token(ROOM)), 409, "over")
    assert await calls(resources) == 1


@pytest.mark.parametrize("jobs", [("agent-AJ_1", "agent-AJ_1"), ("agent-AJ_1", "agent-AJ_2")])
async def test_of_two_who_ask_at_once_one_job_has_the_call(
    internal: httpx.AsyncClient,
    resources: Resources,
    call_rooms: FakeCallRooms,
    jobs: tuple[str, str],
) -> None:
    for n in range(5):
        room = f"{ROOM}{n}"
        call_rooms.ring(room)
        answers = await asyncio.gather(
            *(internal.post(PATH, headers=job_token(room, each)) for each in jobs)
        )
        statuses = sorted(each.status_code for each in answers)
        assert statuses == ([200, 200] if jobs[0] == jobs[1] else [200, 409])
        sessions = {each.json()["session_id"] for each in answers if each.status_code == 200}
        assert len(sessions) == 1
    assert await calls(resources) == 5


async def test_the_room_of_a_call_that_we_place_opens_nothing(
    internal: httpx.AsyncClient,
    api: httpx.AsyncClient,
    resources: Resources,
    call_rooms: FakeCallRooms,
) -> None:
    """Its brief is for the token of its own dispatch, once."""
    body = {"phone_number": "+12025550123", "assistant": {"prompt": "Hi."}, "force_now": True}
    assert (await api.post("/call", json=body)).status_code == 200
    [attempt] = await claim(resources.database, limit=1)
    call_rooms.ring(attempt.session.room_name)
    is_refused(await internal.post(PATH, headers=job_token(attempt.session.room_name)), 409)


async def test_a_suspended_organization_gets_no_call(
    internal: httpx.AsyncClient, resources: Resources, call_rooms: FakeCallRooms
) -> None:
    call_rooms.ring("live", calling_number="+12025550112")
    live, new = job_token("live", "agent-AJ_2"), job_token(ROOM)
    assert (await internal.post(PATH, headers=live)).status_code == 200

    async def suspend(since: datetime | None) -> None:
        async with resources.database.transaction() as session:
            await session.execute(update(Organization).values(suspended_at=since))

    await suspend(datetime.now(UTC))
    is_refused(await internal.post(PATH, headers=new), 409, "suspended")
    # Who talks already may ask again.
    assert (await internal.post(PATH, headers=live)).status_code == 200
    await suspend(None)
    assert (await internal.post(PATH, headers=new)).status_code == 200
