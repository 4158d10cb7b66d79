"""Queries on lists of numbers and on what keys have used, for many orders at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, time, timedelta

from msgspec import Struct
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.compliance import Consent, DoNotCall, KeyUsage
from control_plane.db.models.organization import ApiKey
from control_plane.db.models.session import Leg
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.leg import LegKind

_AT_ONCE = 400
"""Values in one IN list; SQLite's oldest limit is 999."""


class ListedNumbers(Struct, frozen=True):
    """Which of the numbers asked about must not be called, and which have agreed to it."""

    do_not_call: frozenset[str]
    consented: frozenset[str]


async def load_listed(
    db: AsyncSession, organization_id: str, numbers: Collection[str], *, consents: bool
) -> ListedNumbers:
    """Return what is known of `numbers`; consents only when they are asked for."""
    blocked: set[str] = set()
    agreed: set[str] = set()
    for some in _pieces(sorted(set(numbers))):
        blocked.update(
            await db.scalars(
                select(DoNotCall.phone_number).where(
                    DoNotCall.organization_id == organization_id,
                    DoNotCall.phone_number.in_(some),
                )
            )
        )
        if consents:
            agreed.update(
                await db.scalars(
                    select(Consent.phone_number).where(
                        Consent.organization_id == organization_id,
                        Consent.phone_number.in_(some),
                        Consent.revoked_at.is_(None),
                    )
                )
            )
    return ListedNumbers(frozenset(blocked), frozenset(agreed))


async def attempts_since(
    db: AsyncSession, organization_id: str, number: str, since: datetime
) -> int:
    """Return how many attempts that count were made to `number` from `since` on."""
    return (
        await db.execute(
            select(func.count())
            .select_from(Leg)
            .join(Attempt, Attempt.session_id == Leg.session_id)
            .where(
                Leg.organization_id == organization_id,
                Leg.kind == LegKind.CALLEE,
                Leg.to_phone_number == number,
                Leg.dialing_at >= since,
                Attempt.counted,
            )
        )
    ).scalar_one()


async def live_calls(db: AsyncSession, organization_id: str, concurrency_key: str) -> int:
    """Return how many orders with the key have a live attempt."""
    return (
        await db.execute(
            select(func.count())
            .select_from(CallOrder)
            .where(
                CallOrder.organization_id == organization_id,
                CallOrder.concurrency_key == concurrency_key,
                CallOrder.status == OrderStatus.CALLING,
                CallOrder.deadline_at.is_not(None),
            )
        )
    ).scalar_one()


async def spent_until(
    db: AsyncSession, key_ids: Iterable[str], now: datetime
) -> dict[str, datetime]:
    """Return the keys that have used up a cap of today (UTC), and when tomorrow begins."""
    wanted = sorted(set(key_ids))
    if not wanted:
        return {}
    tomorrow = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    rows = await db.execute(
        select(ApiKey, KeyUsage)
        .join(KeyUsage, (KeyUsage.api_key_id == ApiKey.id) & (KeyUsage.day == day_of(now)))
        .where(ApiKey.id.in_(wanted))
    )
    return {key.id: tomorrow for key, usage in rows if _is_spent(key, usage)}


def day_of(instant: datetime) -> str:
    """Return the day that usage at `instant` is counted on."""
    return instant.astimezone(UTC).date().isoformat()


def _is_spent(key: ApiKey, usage: KeyUsage) -> bool:
    pairs = (
        (key.calls_per_day, usage.calls),
        (key.minutes_per_day, usage.seconds / 60),
        (key.spend_per_day, usage.spend),
    )
    return any(cap is not None and used >= cap for cap, used in pairs)


def _pieces(values: list[str]) -> Iterable[list[str]]:
    return (values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE))
