"""The invariants, judged by the far end's log of INVITEs and by the rows together.

The far end is the carrier simulator, a process of its own: what it logged was on the wire.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from control_plane.db.models.call_order import CallOrder
from control_plane.domain.calling_times import CallRetryConfig
from tests.call_rows import CallRow
from tests.faults.books import FINAL, Ledger
from tests.faults.stage import Stage

CLOCK_ERROR = timedelta(milliseconds=20)
"""The rows' clock is read before the commit, the witness's after the datagram."""


def invites(stage: Stage) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the first INVITE of every call at the far end, by calling and called number.

    Counted by Call-ID: retransmissions and the repeat with credentials are the same call.
    """
    first: dict[str, dict[str, Any]] = {}
    for row in stage.witness(event="invite"):
        first.setdefault(row["call_id"], row)
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in first.values():
        found[row["from"], row["to"]].append(row)
    return found


def violations(stage: Stage, ids: list[str]) -> list[str]:
    """Return what is wrong with these orders: none lost, none doubled, every one over.

    Each order has its own pair of calling and called number.
    """
    ledger = stage.books.ledger(ids)
    seen = invites(stage)
    wrong = [f"{order_id}: acknowledged, and lost" for order_id in ids - ledger.orders.keys()]
    for order_id, order in ledger.orders.items():
        rang = seen.get((order.from_phone_number or "", order.to_phone_number), [])
        wrong += [f"{order_id}: {what}" for what in _of_order(order, ledger, rang)]
    return wrong


def _of_order(order: CallOrder, ledger: Ledger, rang: list[dict[str, Any]]) -> list[str]:
    attempts = ledger.attempts[order.id]
    wrong = []
    if order.status not in FINAL:
        wrong.append(f"is {order.status}")
    if ledger.endings[order.id] != 1:
        wrong.append(f"its end was told {ledger.endings[order.id]} times")
    counted = [attempt for attempt in attempts if attempt.counted]
    most = _most(order)
    if len(counted) > most:
        wrong.append(f"has {len(counted)} counted attempts of {most}")
    if order.calls_count != len(counted):
        wrong.append(f"counts {order.calls_count} calls and has {len(counted)} attempts that count")
    return [*wrong, *_overlaps(attempts), *_dialled(attempts, rang)]


def _most(order: CallOrder) -> float:
    given: float | None = order.retry_config.get("max_retry_attempts")
    return CallRetryConfig().max_retry_attempts if given is None else given


def _overlaps(attempts: list[CallRow]) -> list[str]:
    """Return the attempts that began before the one before them was closed."""
    wrong = []
    for before, after in pairwise(attempts):
        if before.closed_at is None or before.closed_at > after.created_at:
            wrong.append(f"attempt {after.ordinal} began while {before.ordinal} was live")
    wrong += [f"attempt {a.ordinal} is {a.status}" for a in attempts if a.closed_at is None]
    return wrong


def _dialled(attempts: list[CallRow], rang: list[dict[str, Any]]) -> list[str]:
    """Return the INVITEs that no attempt accounts for, and the attempts that have several."""
    marked = [(a.dialing_at, a.closed_at, a.ordinal) for a in attempts if a.dialing_at is not None]
    wrong, taken = [], set()
    for row in sorted(rang, key=lambda each: each["t"]):
        at = datetime.fromtimestamp(row["t"], UTC)
        owners = [
            ordinal
            for begun, closed, ordinal in marked
            if begun - CLOCK_ERROR <= at <= (closed or at) + CLOCK_ERROR
        ]
        if not owners:
            wrong.append(f"an INVITE at {at:%H:%M:%S.%f} while no attempt was being dialled")
        elif owners[-1] in taken:
            wrong.append(f"a second INVITE at {at:%H:%M:%S.%f} of attempt {owners[-1]}")
        taken.update(owners[-1:])
    return wrong
