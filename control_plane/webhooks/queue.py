"""The queue of deliveries: claimed with a lapsing token, and written back only by its holder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, bindparam, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from control_plane.db.models.webhook import Delivery, DeliveryTry, WebhookEndpoint
from control_plane.domain.delivery import (
    TRY_LIMIT,
    Delivered,
    DeliveryState,
    Exhausted,
    Gone,
    TryAgain,
    Verdict,
)
from control_plane.domain.ids import new_id
from control_plane.domain.masks import SealedUrl
from control_plane.webhooks.shares import Shares

CLAIM = 3 * TRY_LIMIT
"""How long a claimed delivery stays out of sight if its deliverer dies before it writes more."""

GONE = "it answered 410 Gone: it wants no more messages"
_PAGE = 200


class Claimed(Struct, frozen=True, kw_only=True):
    """A delivery to be tried by whoever holds `claim`."""

    id: str
    claim: int
    message_id: str
    organization_id: str
    endpoint_id: str | None
    url: SealedUrl
    receiver: str
    payload: str
    tries: int
    failures: int


class Tried(Struct, frozen=True, kw_only=True):
    """A try and what it means; `error` where there was no answer."""

    claimed: Claimed
    at: datetime
    duration_ms: int
    verdict: Verdict
    status: int | None = None
    error: str | None = None
    body: str | None = None


async def is_due(db: AsyncSession, *, now: datetime) -> bool:
    """Return whether a delivery is due, whether or not it may be claimed now."""
    return await db.scalar(select(exists().where(Delivery.next_at <= now))) is True


async def next_due(db: AsyncSession, *, now: datetime) -> datetime | None:
    """Return the earliest instant after `now` at which a delivery is due."""
    return await db.scalar(select(func.min(Delivery.next_at)).where(Delivery.next_at > now))


async def claim_due(db: AsyncSession, *, now: datetime, shares: Shares) -> list[Claimed]:
    """Return due deliveries that no other deliverer will get, the longest due first.

    Args:
        shares: what is under way at this deliverer; what is claimed is taken from them.
    """
    found: list[Claimed] = []
    while shares.free > 0:
        rows = await _look(db, now=now, skipped=[each.id for each in found], shares=shares)
        found += [row for row in rows if shares.take(row.organization_id, row.receiver)]
        if len(rows) < _PAGE:
            break
    if found:
        await db.execute(
            update(Delivery)
            .where(Delivery.id.in_([each.id for each in found]))
            .values(claim=Delivery.claim + 1, next_at=now + CLAIM)
            .execution_options(synchronize_session=False)
        )
    return found


async def _look(
    db: AsyncSession, *, now: datetime, skipped: Collection[str], shares: Shares
) -> list[Claimed]:
    query = (
        select(
            Delivery.id,
            Delivery.claim,
            Delivery.message_id,
            Delivery.organization_id,
            Delivery.endpoint_id,
            Delivery.url,
            Delivery.receiver,
            Delivery.payload,
            Delivery.tries,
            Delivery.failures,
        )
        .where(Delivery.next_at <= now, ~_overtakes())
        .order_by(Delivery.next_at, Delivery.id)
        .limit(_PAGE)
        .with_for_update(skip_locked=True, of=Delivery)
    )
    busy = [receiver for _, receiver in shares.full_receivers()]
    if busy:
        query = query.where(Delivery.receiver.not_in(busy))
    # By their receivers, which are in the index of what is due: its rows may be very many.
    if full := shares.full_organizations():
        theirs = select(WebhookEndpoint.id).where(WebhookEndpoint.organization_id.in_(full))
        query = query.where(Delivery.receiver.not_in(theirs))
    for owner in full:
        query = query.where(Delivery.receiver.not_like(f"{owner} %"))
    if skipped:
        query = query.where(Delivery.id.not_in(skipped))
    rows = await db.execute(query)
    return [
        Claimed(
            id=row.id,
            claim=row.claim + 1,
            message_id=row.message_id,
            organization_id=row.organization_id,
            endpoint_id=row.endpoint_id,
            url=row.url,
            receiver=row.receiver,
            payload=row.payload,
            tries=row.tries,
            failures=row.failures,
        )
        for row in rows
    ]


def _overtakes() -> ColumnElement[bool]:
    """An earlier event of the same call is still on its first try to the same receiver."""
    earlier = aliased(Delivery)
    return (
        exists()
        .where(
            earlier.call_id == Delivery.call_id,
            earlier.receiver == Delivery.receiver,
            earlier.sequence < Delivery.sequence,
            earlier.next_at.is_not(None),
            earlier.failures == 0,
        )
        .correlate(Delivery)
    )


async def store(db: AsyncSession, tried: Sequence[Tried]) -> list[Tried]:
    """Write what came of tries, and return those whose claim had lapsed: they change nothing."""
    held = {
        row.id: row.claim
        for row in await db.execute(
            select(Delivery.id, Delivery.claim)
            .where(
                Delivery.id.in_([each.claimed.id for each in tried]), Delivery.next_at.is_not(None)
            )
            .with_for_update()
        )
    }
    good = [each for each in tried if held.get(each.claimed.id) == each.claimed.claim]
    if good:
        await db.execute(insert(DeliveryTry), [_try_values(each) for each in good])
        table: Any = Delivery.__table__
        names = ("state", "tries", "failures", "next_at", "done_at")
        connection = await db.connection()
        await connection.execute(
            update(table)
            .where(table.c.id == bindparam("b_id"))
            .values({name: bindparam(f"b_{name}") for name in names}),
            [_delivery_values(each) for each in good],
        )
    for each in good:
        if isinstance(each.verdict, Gone) and each.claimed.endpoint_id is not None:
            await disable(db, each.claimed.endpoint_id, GONE, now=_end(each))
    return [each for each in tried if each not in good]


def _try_values(tried: Tried) -> dict[str, Any]:
    return {
        "id": new_id(),
        "delivery_id": tried.claimed.id,
        "number": tried.claimed.tries + 1,
        "at": tried.at,
        "duration_ms": tried.duration_ms,
        "status": tried.status,
        "error": tried.error,
        "body": tried.body,
    }


def _delivery_values(tried: Tried) -> dict[str, Any]:
    next_at = None
    match tried.verdict:
        case Delivered():
            state, failed = DeliveryState.DELIVERED, 0
        case TryAgain(at):
            state, failed, next_at = DeliveryState.PENDING, 1, at
        case Exhausted() | Gone():
            state, failed = DeliveryState.EXHAUSTED, 1
    return {
        "b_id": tried.claimed.id,
        "b_state": state,
        "b_tries": tried.claimed.tries + 1,
        "b_failures": tried.claimed.failures + failed,
        "b_next_at": next_at,
        "b_done_at": _end(tried) if next_at is None else None,
    }


def _end(tried: Tried) -> datetime:
    return tried.at + timedelta(milliseconds=tried.duration_ms)


async def disable(db: AsyncSession, endpoint_id: str, reason: str, *, now: datetime) -> None:
    """Send nothing more to an endpoint until it is enabled; what waits is cancelled."""
    await db.execute(
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.disabled_at.is_(None))
        .values(disabled_at=now, disabled_reason=reason, updated_at=now)
    )
    await cancel_waiting(db, endpoint_id, now=now)


async def cancel_waiting(db: AsyncSession, endpoint_id: str, *, now: datetime) -> None:
    """Cancel what waits for an endpoint; it can be replayed."""
    await db.execute(
        update(Delivery)
        .where(Delivery.endpoint_id == endpoint_id, Delivery.next_at.is_not(None))
        .values(state=DeliveryState.CANCELLED, next_at=None, done_at=now)
        .execution_options(synchronize_session=False)
    )


async def replay(
    db: AsyncSession, condition: ColumnElement[bool], *, url: SealedUrl | None, now: datetime
) -> int:
    """Start the deliveries that meet `condition` anew, each with the id it had; say how many.

    Args:
        url: where to, when the endpoint's has changed since.
    """
    values: dict[str, Any] = {"url": url} if url is not None else {}
    ids = await db.scalars(
        update(Delivery)
        .where(condition)
        .values(
            state=DeliveryState.PENDING,
            failures=0,
            claim=Delivery.claim + 1,
            next_at=now,
            done_at=None,
            **values,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(ids.all())
