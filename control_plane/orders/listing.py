"""Listing orders: filters and a keyset cursor."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from msgspec import Struct
from sqlalchemy import (
    JSON,
    ColumnElement,
    Select,
    Text,
    cast,
    exists,
    func,
    or_,
    select,
    type_coerce,
)

from control_plane.db.models.call_order import CallOrder
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus


class Filter(Struct, frozen=True, kw_only=True):
    """Which orders are wanted; what is null or empty does not narrow.

    Attributes:
        metadata: names and values that the order's metadata must hold.
    """

    statuses: Collection[OrderStatus] = ()
    number: str | None = None
    direction: Direction | None = None
    campaign_id: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None


def page_of_orders(
    organization_id: str, wanted: Filter, *, dialect: str, before: str | None, limit: int
) -> Select[CallOrder]:
    """Return the query for a page of orders, newest first, older than the order `before`."""
    query = select(CallOrder).where(CallOrder.organization_id == organization_id)
    for condition in _conditions(wanted, dialect):
        query = query.where(condition)
    if before is not None:
        query = query.where(CallOrder.id < before)
    return query.order_by(CallOrder.id.desc()).limit(limit)


def _conditions(wanted: Filter, dialect: str) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.statuses:
        found.append(CallOrder.status.in_(wanted.statuses))
    if wanted.number is not None:
        found.append(
            or_(
                CallOrder.to_phone_number == wanted.number,
                CallOrder.from_phone_number == wanted.number,
            )
        )
    if wanted.direction is not None:
        found.append(CallOrder.direction == wanted.direction)
    if wanted.campaign_id is not None:
        found.append(CallOrder.campaign_id == wanted.campaign_id)
    if wanted.created_after is not None:
        found.append(CallOrder.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        found.append(CallOrder.created_at < wanted.created_before)
    found += [_holds(name, value, dialect) for name, value in wanted.metadata]
    return found


def _holds(name: str, value: str, dialect: str) -> ColumnElement[bool]:
    if dialect == "postgresql":
        return func.json_extract_path_text(cast(CallOrder.call_metadata, JSON), name) == value
    # A path would have to quote the name, and SQLite's paths cannot quote every name.
    pairs = func.json_each(type_coerce(CallOrder.call_metadata, Text)).table_valued("key", "value")
    return exists(select(1).select_from(pairs).where(pairs.c.key == name, pairs.c.value == value))
