"""May an order be dialled now? Asked at claim time and again right before the INVITE."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Rule(StrEnum):
    """The rule that held an order back, by the name that shows up in its history."""

    CANCELLED = "cancelled"
    SCHEDULED_AT = "scheduled_at"
    BACK_OFF = "back_off"


class GateView(Struct, frozen=True, kw_only=True):
    """What the gate needs to know of an order."""

    cancel_requested: bool = False
    scheduled_at: datetime | None = None
    not_before: datetime | None = None
    force_now: bool = False


class Go(Struct, frozen=True):
    """The order may be dialled now."""


class Wait(Struct, frozen=True):
    """The order may be dialled at `until` at the earliest."""

    until: datetime
    rule: Rule


class Never(Struct, frozen=True):
    """The order may not be dialled at all."""

    rule: Rule


Decision = Go | Wait | Never


def gate(order: GateView, now: datetime) -> Decision:
    """Return whether `order` may be dialled at `now`, and the first rule that forbids it."""
    if order.cancel_requested:
        return Never(Rule.CANCELLED)
    if not order.force_now and order.scheduled_at is not None and order.scheduled_at > now:
        return Wait(order.scheduled_at, Rule.SCHEDULED_AT)
    if order.not_before is not None and order.not_before > now:
        return Wait(order.not_before, Rule.BACK_OFF)
    return Go()
