"""Rows become orders, a piece at a time; what a campaign's change means for orders that wait."""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.campaigns import repository, requests, service
from control_plane.compliance import suspended
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign
from control_plane.domain.call_order import OrderStatus, is_final
from control_plane.domain.campaign import concurrency_key
from control_plane.domain.errors import Refused
from control_plane.domain.gate import Rule
from control_plane.domain.transitions import CancelRequested
from control_plane.orders import held, lifecycle
from control_plane.orders.placing import OrderBuilder
from control_plane.trunks.routing import load_dial_plan

ROWS = 500
ORDERS = 100
_BREATH = 25
_MOST_WOKEN = 1_000
_OPEN = [status for status in OrderStatus if not is_final(status)]


async def feed(db: AsyncSession, campaign: Campaign, *, now: datetime) -> bool:
    """Make orders of the next rows of a locked, running campaign; False: none can be placed now.

    Orders and the line that was reached are written together, so no row becomes two orders. A
    campaign that could call nobody is paused.
    """
    rows = await repository.rows_after(db, campaign.id, campaign.fed_line, limit=ROWS)
    if not rows or await suspended.suspended_of(db, [campaign.organization_id]):
        return False
    dial_plan = await load_dial_plan(db, campaign.organization_id)
    pool = requests.usable_pool(campaign, dial_plan)
    if not dial_plan.trunks or pool is None:
        gone = "outbound trunk" if pool is not None else "number of from_phone_numbers"
        service.pause(db, campaign, f"the organization has no {gone} any more", now=now)
        return True
    wanted = [requests.order_request(campaign, row, pool) for row in rows]
    builder = OrderBuilder(db, now)
    await builder.prepare(wanted)
    placed = []
    for index, (row, request) in enumerate(zip(rows, wanted, strict=True)):
        if index % _BREATH == 0:
            await asyncio.sleep(0)
        try:
            order = await builder.build(request)
        except Refused as exc:
            row.error = exc.detail
        else:
            row.order_id = order.values["id"]
            placed.append(order)
    await builder.store(placed)
    campaign.fed_line = rows[-1].line
    return True


async def cancel_some(db: AsyncSession, campaign_id: str, *, now: datetime) -> int:
    """Cancel a few open orders of a cancelled campaign; say how many."""
    orders = (
        await db.scalars(
            select(CallOrder)
            .where(
                CallOrder.campaign_id == campaign_id,
                CallOrder.status.in_(_OPEN),
                CallOrder.cancel_requested_at.is_(None),
            )
            .limit(ORDERS)
            .with_for_update(skip_locked=True)
        )
    ).all()
    for order in orders:
        await lifecycle.apply(db, order, None, CancelRequested(at=now))
    return len(orders)


async def release_some(db: AsyncSession, campaign_id: str, *, now: datetime) -> int:
    """Let the gate look again at a few orders that a pause held; say how many."""
    return await _wake(db, campaign_id, Rule.CAMPAIGN_PAUSED, now=now, limit=ROWS)


async def limit_some(db: AsyncSession, campaign: Campaign) -> int:
    """Give a few open orders the campaign's present limit; say how many had another."""
    limit = campaign.max_concurrent_calls
    other = (
        CallOrder.campaign_id == campaign.id,
        CallOrder.status.in_(_OPEN),
        CallOrder.concurrency_max.is_distinct_from(limit),
    )
    changed = await db.scalars(
        update(CallOrder)
        .where(*other, CallOrder.id.in_(select(CallOrder.id).where(*other).limit(ROWS)))
        .values(
            concurrency_key=concurrency_key(campaign.id) if limit else None,
            concurrency_max=limit,
        )
        .returning(CallOrder.id)
        .execution_options(synchronize_session=False)
    )
    return len(changed.all())


async def fill(db: AsyncSession, campaign: Campaign, *, now: datetime) -> int:
    """Let the gate look again at orders that wait for a slot, as many as there may be."""
    most = min(campaign.max_concurrent_calls or _MOST_WOKEN, _MOST_WOKEN)
    return await _wake(db, campaign.id, Rule.CONCURRENCY, now=now, limit=most)


async def _wake(
    db: AsyncSession, campaign_id: str, rule: Rule, *, now: datetime, limit: int
) -> int:
    return await held.release(
        db,
        CallOrder.campaign_id == campaign_id,
        CallOrder.status.in_([OrderStatus.SCHEDULED, OrderStatus.QUEUED_FOR_CALLING]),
        CallOrder.waiting_rule == rule,
        CallOrder.due_at.is_(None),
        now=now,
        limit=limit,
    )
