"""Listing calls: filters and a keyset cursor."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    JSON,
    ColumnElement,
    Select,
    Text,
    and_,
    cast,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.session import Leg, Session
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus
from control_plane.sessions.calls import Owner


class Filter(Struct, frozen=True, kw_only=True):
    """Which calls are wanted; what is null or empty does not narrow.

    Attributes:
        metadata: names and values that the call's metadata must hold.
    """

    statuses: Collection[OrderStatus] = ()
    number: str | None = None
    direction: Direction | None = None
    campaign_id: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None


async def page_of_calls(
    db: AsyncSession, organization_id: str, wanted: Filter, *, before: str | None, limit: int
) -> Sequence[Owner]:
    """Return a page of orders and calls that came in, newest first, older than the id `before`."""
    dialect = db.get_bind().dialect.name
    found: list[Owner] = []
    if wanted.direction is not Direction.INBOUND:
        orders = select(CallOrder).where(*_of_orders(wanted, dialect))
        found += await _page(db, orders, CallOrder, organization_id, before, limit)
    if wanted.direction is not Direction.OUTBOUND and wanted.campaign_id is None:
        sessions = select(Session).where(*_of_sessions(wanted, dialect))
        found += await _page(db, sessions, Session, organization_id, before, limit)
    return sorted(found, key=lambda each: each.id, reverse=True)[:limit]


async def _page(
    db: AsyncSession,
    query: Select[Any],
    kind: type[CallOrder] | type[Session],
    organization_id: str,
    before: str | None,
    limit: int,
) -> Sequence[Owner]:
    query = query.where(kind.organization_id == organization_id)
    if before is not None:
        query = query.where(kind.id < before)
    return (await db.scalars(query.order_by(kind.id.desc()).limit(limit))).all()


def _of_orders(wanted: Filter, dialect: str) -> list[ColumnElement[bool]]:
    found = _shared(wanted, CallOrder, dialect)
    if wanted.statuses:
        found.append(CallOrder.status.in_(wanted.statuses))
    if wanted.number is not None:
        found.append(
            or_(
                CallOrder.to_phone_number == wanted.number,
                CallOrder.from_phone_number == wanted.number,
            )
        )
    if wanted.campaign_id is not None:
        found.append(CallOrder.campaign_id == wanted.campaign_id)
    return found


def _of_sessions(wanted: Filter, dialect: str) -> list[ColumnElement[bool]]:
    found = _shared(wanted, Session, dialect)
    found.append(Session.direction == Direction.INBOUND)
    if wanted.statuses:
        found.append(or_(false(), *(_STATUS[word] for word in wanted.statuses if word in _STATUS)))
    if wanted.number is not None:
        leg = select(1).where(
            Leg.session_id == Session.id,
            or_(Leg.to_phone_number == wanted.number, Leg.from_phone_number == wanted.number),
        )
        found.append(leg.exists())
    return found


# The same as `status_of`, asked of the database.
_OVER, _CANCELLED = Session.closed_at.is_not(None), Session.cancel_requested_at.is_not(None)
_STATUS = {
    OrderStatus.CALLING: not_(_OVER),
    OrderStatus.COMPLETED: and_(_OVER, not_(_CANCELLED)),
    OrderStatus.CANCELLED: and_(_OVER, _CANCELLED),
}


def _shared(
    wanted: Filter, kind: type[CallOrder] | type[Session], dialect: str
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.created_after is not None:
        found.append(kind.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        found.append(kind.created_at < wanted.created_before)
    found += [matches(kind.call_metadata, name, value, dialect) for name, value in wanted.metadata]
    return found


def matches(metadata: Any, name: str, value: str, dialect: str) -> ColumnElement[bool]:
    """Return whether a column of metadata has the value under the name."""
    if dialect == "postgresql":
        return func.json_extract_path_text(cast(metadata, JSON), name) == value
    # A path would have to quote the name, and SQLite's paths cannot quote every name.
    pairs = func.json_each(type_coerce(metadata, Text)).table_valued("key", "value")
    return exists(select(1).select_from(pairs).where(pairs.c.key == name, pairs.c.value == value))
