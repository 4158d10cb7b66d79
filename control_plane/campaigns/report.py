"""How a campaign went, counted by the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.campaigns.schemas import Report
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign, CampaignRow
from control_plane.db.models.session import Leg, Session
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.events import AttemptResult
from control_plane.sessions.calls import FIRST_LEG

_MINUTE_US = 60_000_000


async def report(db: AsyncSession, campaign: Campaign) -> Report:
    """Return the counts of a campaign's rows, orders and attempts."""
    orders = await _groups(
        db, select(CallOrder.status, func.count()).group_by(CallOrder.status), campaign
    )
    dial_errors = await _groups(
        db,
        _attempts(Leg.dial_error, func.count()).group_by(Leg.dial_error),
        campaign,
    )
    results = await _groups(
        db, _attempts(Session.result, func.count()).group_by(Session.result), campaign
    )
    ended, answered = (
        type_coerce(each, BigInteger) for each in (Session.ended_at, Session.answered_at)
    )
    sums = _attempts(
        func.count(),
        func.count(Session.answered_at),
        func.sum(ended - answered),
        func.min(Session.created_at),
        func.max(Session.created_at),
    ).where(CallOrder.campaign_id == campaign.id)
    attempts, taken, micros, first, last = (await db.execute(sums)).one()
    refused = await db.scalar(
        select(func.count()).where(
            CampaignRow.campaign_id == campaign.id, CampaignRow.error.is_not(None)
        )
    )
    placed = sum(orders.values())
    return Report(
        status=campaign.status,
        rows=campaign.row_count,
        waiting=campaign.row_count - placed - (refused or 0),
        refused=refused or 0,
        orders={OrderStatus(word): count for word, count in orders.items()},
        attempts=attempts,
        dial_errors=dial_errors,
        results=results,
        answered=taken,
        human=results.get(AttemptResult.HUMAN, 0),
        minutes=round(float(micros or 0) / _MINUTE_US, 2),
        first_attempt_at=first,
        last_attempt_at=last,
    )


def _attempts(*columns: Any) -> Any:
    return (
        select(*columns)
        .select_from(Attempt)
        .join(CallOrder, CallOrder.id == Attempt.order_id)
        .join(Session, Session.id == Attempt.session_id)
        .join(Leg, FIRST_LEG)
    )


async def _groups(db: AsyncSession, query: Any, campaign: Campaign) -> dict[str, int]:
    rows = await db.execute(query.where(CallOrder.campaign_id == campaign.id))
    return {str(word): count for word, count in rows if word is not None}
