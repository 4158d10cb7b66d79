"""Queries on campaigns and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign, CampaignRow
from control_plane.db.models.session import Leg
from control_plane.db.owned import get_own
from control_plane.domain.call_order import OrderStatus, is_final
from control_plane.domain.dial_errors import DialError
from control_plane.domain.leg import LegKind

_AT_ONCE = 400
_OPEN = [status for status in OrderStatus if not is_final(status)]
_ENDED = [OrderStatus.COMPLETED, OrderStatus.ERRORED]
ROW_STATES = ("waiting", "placed", "refused")


async def get_campaign(
    db: AsyncSession, organization_id: str, campaign_id: str, *, lock: bool = False
) -> Campaign:
    """Return the campaign, with `lock` for nobody else to change until the transaction ends.

    Raises:
        NotFound: this organization has none with that id.
    """
    return await get_own(
        db,
        Campaign,
        organization_id,
        campaign_id,
        what="campaign",
        remedy="GET /campaign lists them",
        lock=lock,
    )


async def list_campaigns(
    db: AsyncSession, organization_id: str, *, before: str | None, limit: int
) -> Sequence[Campaign]:
    """Return campaigns, newest first, older than the campaign `before`."""
    query = select(Campaign).where(Campaign.organization_id == organization_id)
    if before is not None:
        query = query.where(Campaign.id < before)
    return (await db.scalars(query.order_by(Campaign.id.desc()).limit(limit))).all()


async def at_work(db: AsyncSession) -> Sequence[Campaign]:
    """Return every campaign that is launched and has not ended, of all organizations."""
    rows = await db.scalars(
        select(Campaign)
        .where(Campaign.launched_at.is_not(None), Campaign.ended_at.is_(None))
        .order_by(Campaign.id)
    )
    return rows.all()


async def rows_after(
    db: AsyncSession,
    campaign_id: str,
    line: int,
    *,
    limit: int,
    status: str | None = None,
) -> Sequence[CampaignRow]:
    """Return rows after a line, in their order; `status` is one of `ROW_STATES`."""
    query = select(CampaignRow).where(
        CampaignRow.campaign_id == campaign_id, CampaignRow.line > line
    )
    if status == "refused":
        query = query.where(CampaignRow.error.is_not(None))
    elif status == "placed":
        query = query.where(CampaignRow.order_id.is_not(None))
    elif status == "waiting":
        query = query.where(CampaignRow.order_id.is_(None), CampaignRow.error.is_(None))
    return (await db.scalars(query.order_by(CampaignRow.line).limit(limit))).all()


async def last_line(db: AsyncSession, campaign_id: str) -> int:
    """Return the line of the last row, 0 without any."""
    query = select(func.max(CampaignRow.line)).where(CampaignRow.campaign_id == campaign_id)
    return await db.scalar(query) or 0


async def lines_of(db: AsyncSession, campaign_id: str, numbers: Sequence[str]) -> dict[str, int]:
    """Return the line of each of `numbers` that the campaign has."""
    found: dict[str, int] = {}
    for at in range(0, len(numbers), _AT_ONCE):
        rows = await db.execute(
            select(CampaignRow.phone_number, CampaignRow.line).where(
                CampaignRow.campaign_id == campaign_id,
                CampaignRow.phone_number.in_(numbers[at : at + _AT_ONCE]),
            )
        )
        found |= {row.phone_number: row.line for row in rows}
    return found


async def has_rows_to_place(db: AsyncSession, campaign: Campaign) -> bool:
    """Return whether a row is neither an order nor refused."""
    query = exists().where(
        CampaignRow.campaign_id == campaign.id, CampaignRow.line > campaign.fed_line
    )
    return await db.scalar(select(query)) is True


async def has_open_orders(db: AsyncSession, campaign_id: str) -> bool:
    """Return whether an order is not final."""
    query = exists().where(CallOrder.campaign_id == campaign_id, CallOrder.status.in_(_OPEN))
    return await db.scalar(select(query)) is True


async def newest_ended(
    db: AsyncSession, campaign_id: str, *, since: datetime, limit: int
) -> list[tuple[OrderStatus, DialError | None]]:
    """Return status and last dial error of the newest orders that ended since, newest first."""
    orders = (
        await db.execute(
            select(CallOrder.id, CallOrder.status)
            .where(
                CallOrder.campaign_id == campaign_id,
                CallOrder.deadline_at.is_(None),
                CallOrder.updated_at > since,
                CallOrder.status.in_(_ENDED),
            )
            .order_by(CallOrder.updated_at.desc())
            .limit(limit)
        )
    ).all()
    errors: dict[str, DialError | None] = {}
    for at in range(0, len(orders), _AT_ONCE):
        attempts = await db.execute(
            select(Attempt.order_id, Leg.dial_error)
            .join(Leg, (Leg.session_id == Attempt.session_id) & (Leg.kind == LegKind.CALLEE))
            .where(Attempt.order_id.in_([order.id for order in orders[at : at + _AT_ONCE]]))
            .order_by(Attempt.order_id, Attempt.ordinal)
        )
        errors |= {row.order_id: row.dial_error for row in attempts}  # the last one stays
    return [(order.status, errors.get(order.id)) for order in orders]
