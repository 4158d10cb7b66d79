"""Writing down what a key has used, and whom not to call."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance.repository import day_of
from control_plane.db.models.compliance import DoNotCall, KeyUsage
from control_plane.domain.ids import new_id


async def use(
    db: AsyncSession,
    api_key_id: str,
    at: datetime,
    *,
    calls: int = 0,
    seconds: float = 0.0,
    spend: float = 0.0,
) -> None:
    """Add to what the key has used on the day of `at`."""
    key = {"api_key_id": api_key_id, "day": day_of(at)}
    add = (
        update(KeyUsage)
        .filter_by(**key)
        .values(
            calls=KeyUsage.calls + calls,
            seconds=KeyUsage.seconds + seconds,
            spend=KeyUsage.spend + spend,
        )
        .execution_options(synchronize_session=False)
    )
    if (await db.execute(add)).rowcount:  # type: ignore[attr-defined]
        return
    try:
        async with db.begin_nested():
            db.add(KeyUsage(**key, calls=calls, seconds=seconds, spend=spend))
    except IntegrityError:  # the day's row was made by another process meanwhile
        await db.execute(add)


async def never_call(
    db: AsyncSession,
    organization_id: str,
    phone_number: str,
    *,
    reason: str | None,
    source: str,
    now: datetime,
) -> DoNotCall:
    """Return the entry for a number that is not to be called; the first one stays."""
    query = select(DoNotCall).where(
        DoNotCall.organization_id == organization_id, DoNotCall.phone_number == phone_number
    )
    known = await db.scalar(query)
    if known is not None:
        return known
    entry = DoNotCall(
        id=new_id(),
        organization_id=organization_id,
        phone_number=phone_number,
        reason=reason,
        source=source,
        created_at=now,
    )
    try:
        async with db.begin_nested():
            db.add(entry)
    except IntegrityError:
        return (await db.execute(query)).scalar_one()
    return entry
