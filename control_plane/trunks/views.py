"""Trunks as clients see them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.trunk import DestinationStop, Trunk, TrunkPace
from control_plane.db.sealed import masked
from control_plane.trunks.repository import calls_on
from control_plane.trunks.schemas import DestinationStopView, TrunkView


async def trunk_view(db: AsyncSession, row: Trunk) -> TrunkView:
    """Return the trunk, its password masked, with how it takes calls now."""
    state = await db.get(TrunkPace, row.id, populate_existing=True)
    live, _preparing, _ringing = await calls_on(db, row.id)
    stops = await db.scalars(
        select(DestinationStop)
        .where(DestinationStop.trunk_id == row.id)
        .order_by(DestinationStop.prefix)
    )
    return TrunkView(
        id=row.id,
        direction=row.direction,
        purpose=row.purpose,
        name=row.name,
        address=row.address,
        transport=row.transport,
        username=row.username,
        password=await masked(db, row.secret_id),
        numbers=row.numbers,
        allowed_addresses=row.allowed_addresses,
        is_default=row.is_default,
        register=False,
        calls_per_second=row.calls_per_second,
        max_concurrent_calls=row.max_concurrent_calls,
        price_per_minute=row.price_per_minute,
        takes_refer=row.takes_refer,
        refer_to=row.refer_to,
        live_calls=live,
        blocked_until=state.blocked_until if state is not None else None,
        blocked_rule=state.blocked_rule if state is not None else None,
        stopped_at=state.stopped_at if state is not None else None,
        stopped_reason=state.stopped_reason if state is not None else None,
        stopped_destinations=[
            DestinationStopView(prefix=each.prefix, reason=each.reason, since=each.created_at)
            for each in stops
        ],
        applied=row.applied_at is not None and row.applied_at >= row.updated_at,
        apply_error=row.apply_error,
        sip_trunk_id=row.sip_trunk_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
