"""The lists of numbers: adding many at once, taking off, and waking the orders they stop."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import wake
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.compliance import Consent, DoNotCall
from control_plane.domain.call_order import WAITING
from control_plane.domain.ids import new_id

_AT_ONCE = 400
"""Values in one IN list; SQLite's oldest limit is 999."""


async def forbid(
    db: AsyncSession,
    organization_id: str,
    reasons: dict[str, str | None],
    *,
    now: datetime,
) -> int:
    """Put numbers (E.164, each with a reason) on the do-not-call list; say how many are new.

    Once the caller's transaction is committed, none of them is dialled any more.
    """
    known: set[str] = set()
    for some in _pieces(sorted(reasons)):
        known.update(
            await db.scalars(
                select(DoNotCall.phone_number).where(
                    DoNotCall.organization_id == organization_id, DoNotCall.phone_number.in_(some)
                )
            )
        )
    fresh = [number for number in reasons if number not in known]
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "organization_id": organization_id,
            "phone_number": number,
            "reason": reasons[number],
            "source": "api",
            "created_at": now,
        }
        for number in fresh
    ]
    if rows:
        await db.execute(insert(DoNotCall), rows)
    await wake_orders(db, organization_id, fresh, now=now)
    return len(fresh)


async def agree(
    db: AsyncSession,
    organization_id: str,
    given: Sequence[tuple[str, str, datetime]],
    *,
    now: datetime,
) -> None:
    """Keep agreements: number (E.164), basis, and when it was given."""
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "organization_id": organization_id,
            "phone_number": number,
            "basis": basis,
            "given_at": given_at,
            "revoked_at": None,
            "created_at": now,
        }
        for number, basis, given_at in given
    ]
    if rows:
        await db.execute(insert(Consent), rows)


async def allow(db: AsyncSession, organization_id: str, which: str) -> int:
    """Take a number (E.164) or an entry's id off the do-not-call list; say how many went."""
    gone = await db.scalars(
        delete(DoNotCall)
        .where(DoNotCall.organization_id == organization_id, _is(DoNotCall, which))
        .returning(DoNotCall.id)
    )
    return len(gone.all())


async def revoke(
    db: AsyncSession, organization_id: str, which: str, *, now: datetime
) -> int | None:
    """Let one agreement (by id) or all of a number count no more; say how many did until now.

    None: there is none at all. Nobody is dialled on their strength after the commit.
    """
    rows = (
        await db.scalars(
            select(Consent).where(Consent.organization_id == organization_id, _is(Consent, which))
        )
    ).all()
    if not rows:
        return None
    valid = [row for row in rows if row.revoked_at is None]
    for some in _pieces([row.id for row in valid]):
        await db.execute(
            update(Consent)
            .where(Consent.id.in_(some), Consent.revoked_at.is_(None))
            .values(revoked_at=now)
            .execution_options(synchronize_session=False)
        )
    await wake_orders(db, organization_id, {row.phone_number for row in valid}, now=now)
    return len(valid)


async def wake_orders(
    db: AsyncSession, organization_id: str, numbers: Collection[str], *, now: datetime
) -> None:
    """Let the gate look again at every waiting order to one of `numbers`.

    Live orders are locked too, as at the last gate: an order that is passing it has either been
    marked as dialled before this transaction ends, or meets what this transaction writes.
    """
    ids: list[str] = []
    for some in _pieces(sorted(numbers)):
        ids += await db.scalars(
            select(CallOrder.id).where(
                CallOrder.organization_id == organization_id,
                CallOrder.to_phone_number.in_(some),
                CallOrder.deadline_at.is_not(None),
            )
        )
    for some in _pieces(sorted(ids)):  # in one order, so that two of us never wait for each other
        orders = await db.scalars(
            select(CallOrder).where(CallOrder.id.in_(some)).order_by(CallOrder.id).with_for_update()
        )
        for order in orders:
            if order.status in WAITING:
                order.due_at = now
    if ids:
        wake(db)


async def page(
    db: AsyncSession,
    table: type[Any],
    organization_id: str,
    *,
    number: str | None,
    before: str | None,
    limit: int,
) -> Sequence[Any]:
    """Return entries of `table`, newest first, older than the entry `before`."""
    query = select(table).where(table.organization_id == organization_id)
    if number is not None:
        query = query.where(table.phone_number == number)
    if before is not None:
        query = query.where(table.id < before)
    return (await db.scalars(query.order_by(table.id.desc()).limit(limit))).all()


def _is(table: type[Any], which: str) -> ColumnElement[bool]:
    column = table.phone_number if which.startswith("+") else table.id
    found: ColumnElement[bool] = column == which
    return found


def _pieces(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE))
