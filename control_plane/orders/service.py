"""Placing and cancelling call orders: rows only, no network."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import repository as assistants
from control_plane.assistants import specs
from control_plane.assistants.schemas import merge
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.trunk import Number, Trunk
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus, is_final
from control_plane.domain.errors import BadInput, Conflict
from control_plane.domain.facts import CancelRequested, OrderPlaced
from control_plane.domain.ids import new_id, parse_id
from control_plane.domain.phone import e164
from control_plane.domain.variables import require_values
from control_plane.orders import leases, lifecycle, repository
from control_plane.orders.schemas import PlaceCall


async def place(
    database: Database, vault: Vault, organization_id: str, request: PlaceCall
) -> CallOrder:
    """Return the stored order; the scheduler is awake when this returns.

    Raises:
        BadInput: a field cannot be used; names it.
        NotFound: there is no such assistant.
        Conflict: the organization has nothing to call with.
    """
    now = datetime.now(UTC)
    number = e164(request.phone_number)
    if request.force_now and request.scheduled_at is not None:
        raise BadInput(
            "force_now calls at once and scheduled_at later: give one of the two",
            field="scheduled_at",
        )
    later = _instant(request.scheduled_at)
    async with database.transaction() as session:
        assistant_id, version, stored = await _choose_assistant(
            session, vault, organization_id, request, now=now
        )
        variables = request.prompt_variables or {}
        require_values(specs.load(stored), variables)
        order = CallOrder(
            id=new_id(),
            organization_id=organization_id,
            direction=Direction.OUTBOUND,
            status=OrderStatus.INITIALIZING,
            to_phone_number=number,
            from_phone_number=await _caller_number(session, organization_id, request),
            assistant_id=assistant_id,
            assistant_version=version,
            spec=stored,
            prompt_variables=variables,
            call_metadata=request.metadata or {},
            force_now=bool(request.force_now),
            scheduled_at=later,
            calls_count=0,
            epoch=0,
            event_count=0,
            uncounted_in_a_row=0,
            created_at=now,
            updated_at=now,
        )
        session.add(order)
        await session.flush()
        await lifecycle.apply(session, order, None, OrderPlaced(at=now, scheduled_at=later))
    return order


def _instant(given: datetime | None) -> datetime | None:
    """Return `given` in UTC."""
    try:
        return given.astimezone(UTC) if given is not None else None
    except OverflowError as exc:  # the years 1 and 9999, in a zone that leads out of them
        raise BadInput(
            "scheduled_at is not a time in UTC; use a nearer one", field="scheduled_at"
        ) from exc


async def cancel(database: Database, organization_id: str, order_id: str) -> CallOrder:
    """Return the order, cancelled, or with its cancel noted while an attempt is live.

    Raises:
        NotFound: there is no such order.
        Conflict: it has already ended in another way.
    """
    key = parse_id(order_id, what="call")
    async with database.transaction() as session:
        await repository.get_order(session, organization_id, key)
        order = await leases.lock_order(session, key)
        if is_final(order.status) and order.status is not OrderStatus.CANCELLED:
            raise Conflict(f"the call is already {order.status}; nothing is left to cancel")
        await lifecycle.apply(session, order, None, CancelRequested(at=datetime.now(UTC)))
    return order


async def _choose_assistant(
    session: AsyncSession,
    vault: Vault,
    organization_id: str,
    request: PlaceCall,
    *,
    now: datetime,
) -> tuple[str | None, int, dict[str, Any]]:
    """Return id, version and stored spec; `assistant_id` wins over `assistant`."""
    if request.assistant_id is not None:
        key = parse_id(request.assistant_id, what="assistant", field="assistant_id")
        row = await assistants.get_assistant(session, organization_id, key, field="assistant_id")
        return row.id, row.version, row.spec
    if request.assistant is not None:
        spec = merge(request.assistant)
        return None, 0, await specs.store(session, vault, organization_id, spec, now=now)
    row = await assistants.get_default(session, organization_id)
    return row.id, row.version, row.spec


async def _caller_number(
    session: AsyncSession, organization_id: str, request: PlaceCall
) -> str | None:
    """Return the caller number asked for, None for the default at the time of the call."""
    trunks = (
        await session.scalars(
            select(Trunk).where(
                Trunk.organization_id == organization_id,
                Trunk.direction == Direction.OUTBOUND,
                Trunk.deleted_at.is_(None),
            )
        )
    ).all()
    if not trunks:
        raise Conflict("the organization has no outbound trunk to call with: POST /trunk adds one")
    if request.from_phone_number is None:
        return None
    number = e164(request.from_phone_number, field="from_phone_number")
    owned = await session.scalar(
        select(Number.id).where(
            Number.organization_id == organization_id, Number.phone_number == number
        )
    )
    if owned is None and not any(number in trunk.numbers for trunk in trunks):
        raise BadInput(
            f"{number} is not a number of this organization: POST /number adds it",
            field="from_phone_number",
        )
    return number
