"""Builders of rows and values, each with working defaults and keyword overrides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from control_plane.db.base import read_clock
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.organization import Organization
from control_plane.db.models.recording import Recording
from control_plane.db.models.trunk import Purpose, Trunk
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.brief import CallBrief, Direction
from control_plane.domain.calling_times import CallingWindow, CallRetryConfig, Weekday
from control_plane.domain.ids import new_id
from control_plane.domain.order_request import OrderRequest
from control_plane.orders.placing import OrderBuilder, sealed_assistant
from control_plane.orders.views import CallViews
from control_plane.recordings.links import RecordingLinks
from tests import call_rows
from tests.call_rows import CallRow

NUMBER = "+12025550123"
OURS = "+12025550199"


def spec(**changes: Any) -> AssistantSpec:
    """Return an assistant's spec."""
    return msgspec.structs.replace(AssistantSpec(name="Ann", prompt="Be kind."), **changes)


def call_brief(**settings: Any) -> CallBrief:
    """Return what an agent is told of a call."""
    return CallBrief(
        session_id="session",
        epoch=1,
        token="",
        organization_id=new_id(),  # sentences are kept per organization
        direction=Direction.OUTBOUND,
        room_name="room",
        participant_identity="person",
        to_phone_number=NUMBER,
        from_phone_number=OURS,
        assistant=spec(**settings),
    )


async def inbound_trunk(database: Database, owner: str, **fields: Any) -> None:
    """Add a trunk that takes every number, from this machine alone."""
    now = ago()
    given = {
        "id": new_id(),
        "organization_id": owner,
        "direction": Direction.INBOUND,
        "name": "inbound",
        "transport": "udp",
        "numbers": [],
        "allowed_addresses": ["127.0.0.0/8"],
        "created_at": now,
        "updated_at": now,
    }
    async with database.transaction() as session:
        session.add(Trunk(**{**given, **fields}))


async def organization(database: Database, *, with_trunk: bool = True) -> str:
    """Return the id of a new organization, with an applied trunk to call through."""
    now = datetime.now(UTC)
    owner = new_id()
    async with database.transaction() as session:
        session.add(Organization(id=owner, name=owner, created_at=now))
        await session.flush()
        if with_trunk:
            session.add(
                Trunk(
                    id=new_id(),
                    organization_id=owner,
                    direction=Direction.OUTBOUND,
                    name="simulator",
                    purpose=Purpose.SIMULATOR,  # the numbers called are reserved for fiction
                    address="127.0.0.1:5090",
                    transport="udp",
                    numbers=[OURS],
                    allowed_addresses=[],
                    is_default=True,
                    sip_trunk_id="ST_1",
                    calls_per_second=1_000.0,
                    max_concurrent_calls=100,
                    created_at=now,
                    updated_at=now,
                )
            )
    return owner


async def order(
    database: Database, vault: Vault, owner: str, *, number: str = NUMBER, **fields: Any
) -> CallOrder:
    """Return a stored order with an assistant of its own."""
    given: dict[str, Any] = {
        "assistant": spec(),
        "call_retry_config": always(),
        **fields,
    }
    request = OrderRequest(organization_id=owner, api_key_id=None, phone_number=number, **given)
    own = sealed_assistant(vault, request)
    async with database.transaction() as session:
        builder = OrderBuilder(session, await read_clock(session))
        await builder.prepare([request])
        placed = await builder.build(request, own)
        await builder.store([placed])
    return await reload_order(database, placed.values["id"])


def always(**changes: Any) -> CallRetryConfig:
    """Return a config that allows calls at any hour."""
    window = CallingWindow(calling_window_start_time="00:00", calling_window_end_time="24:00")
    every = CallRetryConfig(allowed_days=tuple(Weekday), calling_windows=(window,))
    return msgspec.structs.replace(every, **changes)


async def reload_order(database: Database, order_id: str) -> CallOrder:
    """Return the order as it is stored now."""
    async with database.reading() as session:
        return await session.get_one(CallOrder, order_id)


async def reload_attempt(database: Database, session_id: str) -> CallRow:
    """Return an attempt's rows as they are stored now."""
    async with database.reading() as session:
        return await call_rows.get(session, session_id)


async def reload_recording(database: Database, session_id: str) -> Recording:
    """Return the recording of a session as it is stored now."""
    async with database.reading() as session:
        return await session.get_one(Recording, session_id)


def views() -> CallViews:
    """Return what shows orders, with links of a fixed key."""
    return CallViews(RecordingLinks(b"k" * 32, "http://api"))


def ago(**parts: float) -> datetime:
    """Return an instant that far in the past."""
    return datetime.now(UTC) - timedelta(**parts)
