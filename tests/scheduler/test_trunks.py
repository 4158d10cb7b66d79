"""Trunks at the SIP service follow the rows, and come back when the service lost them."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from control_plane.db.models.trunk import Trunk
from control_plane.domain.brief import AGENT_NAME, DispatchMetadata, decode_metadata
from sip.ports import AgentRule, InboundTrunk, OutboundTrunk
from tests import factories
from tests.scheduler.conftest import Desk

pytestmark = [pytest.mark.db, pytest.mark.engines]


async def add_inbound(desk: Desk, **fields: Any) -> None:
    await factories.inbound_trunk(desk.database, desk.owner, **fields)


async def trunks(desk: Desk) -> dict[str, Trunk]:
    async with desk.database.reading() as session:
        return {row.direction: row for row in (await session.scalars(select(Trunk))).all()}


async def test_trunks_are_applied_once(desk: Desk) -> None:
    await add_inbound(desk)
    await desk.keeper.apply()
    kinds = sorted(type(thing).__name__ for thing in desk.sip.kept.values())
    assert kinds == ["AgentRule", "InboundTrunk", "OutboundTrunk"]
    [rule] = [thing for thing in desk.sip.kept.values() if isinstance(thing, AgentRule)]
    assert rule.agent_name == AGENT_NAME
    assert decode_metadata(rule.metadata) == DispatchMetadata(), "it opens nothing"
    before = dict(desk.sip.kept)
    await desk.keeper.apply(check_all=True)
    assert desk.sip.kept == before
    rows = await trunks(desk)
    assert all(row.applied_at is not None for row in rows.values())


async def test_rules_of_the_release_before_lose_their_token_once(desk: Desk) -> None:
    """They had one for the whole organization, of 400 days; nothing else of the trunk changed."""
    await add_inbound(desk, sip_trunk_id="ST_1", sip_rule_id="SDR_1")
    before = (await trunks(desk))["inbound"]
    told = ("inbound", "inbound", None, "udp", None, "", [], before.allowed_addresses, "2026-01")
    async with desk.database.transaction() as session:
        row = await session.get_one(Trunk, before.id)
        row.applied_hash = hashlib.sha256(msgspec.json.encode(told)).hexdigest()
    desk.sip.kept["ST_1"] = InboundTrunk(name="inbound")
    desk.sip.kept["SDR_1"] = AgentRule(
        name="inbound to agents",
        sip_trunk_id="ST_1",
        room_prefix="inbound",
        agent_name=AGENT_NAME,
        metadata=msgspec.json.encode(DispatchMetadata(token="a secret")).decode(),
    )
    await desk.keeper.apply()
    rule = desk.sip.kept["SDR_1"]
    assert isinstance(rule, AgentRule)
    assert decode_metadata(rule.metadata) == DispatchMetadata()
    applied = (await trunks(desk))["inbound"]
    assert applied.sip_trunk_id == "ST_1", "in place: a call may be on it"
    await desk.keeper.apply(check_all=True)
    assert (await trunks(desk))["inbound"].applied_at == applied.applied_at


async def test_lost_trunks_are_made_again(desk: Desk) -> None:
    await add_inbound(desk)
    await desk.keeper.apply()
    desk.sip.kept.clear()
    await desk.keeper.apply()
    assert desk.sip.kept == {}  # nobody asked the service
    await desk.keeper.apply(check_all=True)
    assert len(desk.sip.kept) == 3
    rows = await trunks(desk)
    assert {row.sip_trunk_id for row in rows.values()} <= set(desk.sip.kept)


async def test_a_change_replaces_the_trunk_in_place(desk: Desk) -> None:
    await desk.keeper.apply()
    [key] = desk.sip.kept
    async with desk.database.transaction() as session:
        row = (await session.scalars(select(Trunk))).one()
        row.address = "192.0.2.1:5060"
    await desk.keeper.apply()
    [(same, trunk)] = desk.sip.kept.items()
    assert same == key
    assert isinstance(trunk, OutboundTrunk)
    assert trunk.address == "192.0.2.1:5060"


async def test_a_deleted_trunk_is_removed(desk: Desk) -> None:
    await add_inbound(desk)
    await desk.keeper.apply()
    async with desk.database.transaction() as session:
        for row in (await session.scalars(select(Trunk))).all():
            row.deleted_at = factories.ago()
    await desk.keeper.apply()
    assert desk.sip.kept == {}
    await desk.keeper.apply()


async def test_trouble_is_kept_for_people_and_tried_again(desk: Desk) -> None:
    desk.sip.down = True
    await desk.keeper.apply()
    assert (await trunks(desk))["outbound"].apply_error == "connection refused"
    desk.sip.down = False
    await desk.keeper.apply()
    row = (await trunks(desk))["outbound"]
    assert row.apply_error is None
    assert row.applied_hash is not None


async def test_trouble_with_a_trunk_is_said_once_per_change(desk: Desk) -> None:
    async def sweeps() -> int:
        with capture_logs() as lines:
            for _ in range(5):
                await desk.keeper.apply()
        told = [line for line in lines if line["event"] == "a trunk could not be applied"]
        assert all(line["trunk_id"] and line["error"] for line in told)
        return len(told)

    desk.sip.down = True
    assert await sweeps() == 1
    assert await sweeps() == 0
    async with desk.database.transaction() as session:
        row = (await session.scalars(select(Trunk))).one()
        row.address = "192.0.2.1:5060"
    assert await sweeps() == 1, "it was changed, and is still not taken"
    desk.sip.down = False
    assert await sweeps() == 0
    assert (await trunks(desk))["outbound"].apply_error is None
    async with desk.database.transaction() as session:
        (await session.scalars(select(Trunk))).one().address = "192.0.2.2:5060"
    desk.sip.down = True
    assert await sweeps() == 1, "it worked in between"


def test_requests_are_plain_values() -> None:
    trunk = InboundTrunk(name="x", allowed_addresses=("127.0.0.0/8",))
    assert msgspec.json.decode(msgspec.json.encode(trunk), type=InboundTrunk) == trunk
