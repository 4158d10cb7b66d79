"""Planted bugs: each must make the simulator report violations, which shows that it can."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import select

from control_plane.compliance import repository as compliance
from control_plane.db.models.call_order import CallOrder
from control_plane.domain import calling_times, dial_errors, transitions, wall_clock
from control_plane.domain.dial_errors import DialError, Meaning, Policy
from control_plane.domain.gate import Decision, Go
from control_plane.orders import closing, gatekeeper, lifecycle, repository, slots
from control_plane.sessions import history, leases
from control_plane.trunks import pace
from scheduler import claim, dispatch, expire, room_cleanup
from sip.ports import DialRequest
from tests.simulator.outside import SipService

_undo: list[Callable[[], object]] = []


def _replace(owner: Any, name: str, value: Any) -> None:
    _undo.append(partial(setattr, owner, name, getattr(owner, name)))
    setattr(owner, name, value)


def _put(table: dict[Any, Any], key: Any, value: Any) -> None:
    _undo.append(partial(table.__setitem__, key, table[key]))
    table[key] = value


def _no_fence() -> None:
    """The epoch is not checked."""
    held = leases.lock

    async def hold(session: Any, attempt_id: str, *, epoch: int | None) -> Any:
        return await held(session, attempt_id, epoch=None)

    _replace(leases, "lock", hold)


def _blind_redial() -> None:
    """An unknown result is a failure, without a look, and the order is tried again."""

    async def still_there(_self: Any, _attempt: Any) -> bool:
        return False

    _replace(dispatch.Dispatcher, "_still_there", still_there)


def _late_invite() -> None:
    """A process that stood still after the mark dials all the same."""

    async def is_late(_self: Any, _marked_at: datetime) -> bool:
        return False

    _replace(dispatch.Dispatcher, "_is_late", is_late)
    _no_dial_deadline()


def _no_dial_deadline() -> None:
    """The SIP service is not told until when an INVITE may leave."""
    dial = SipService.dial

    async def forgetful(self: SipService, request: DialRequest) -> Any:
        return await dial(self, msgspec.structs.replace(request, dial_before=None))

    _replace(SipService, "dial", forgetful)


def _gate_without(change: Callable[[Decision], Decision]) -> None:
    asked = gatekeeper.Gatekeeper.decide

    async def ask(self: Any, order: CallOrder) -> Decision:
        decision = await asked(self, order)
        return change(decision) if order.status == "calling" else decision

    _replace(gatekeeper.Gatekeeper, "decide", ask)


def _no_second_gate() -> None:
    """Nothing is asked again right before the INVITE."""
    _gate_without(lambda _decision: Go())


def _cancel_ignored() -> None:
    """A cancel is not seen at the last gate, and the order ends as cancelled all the same."""
    view = gatekeeper.view

    def blind(order: CallOrder) -> Any:
        return msgspec.structs.replace(view(order), cancel_requested=False)

    async def cancelled(session: Any, order: Any, attempt: Any, fact: Any) -> None:
        order.cancel_requested_at = order.cancel_requested_at or fact.at
        if order.deadline_at is not None:
            await closing.finish(session, order, None, closing.OrderStatus.CANCELLED, fact)

    _replace(gatekeeper, "view", blind)
    _put(lifecycle._RULES, transitions.CancelRequested, cancelled)


def _slot_leak() -> None:
    """An order that has been called keeps its slot, and nobody is told of a free one."""

    async def nobody(_session: Any, _order: Any, _now: datetime) -> None:
        pass

    live = compliance.live_calls

    async def with_ended(session: Any, organization_id: str, key: str) -> int:
        leaked = await session.scalars(
            select(CallOrder.id).where(
                CallOrder.organization_id == organization_id,
                CallOrder.concurrency_key == key,
                CallOrder.calls_count > 0,
            )
        )
        return await live(session, organization_id, key) + len(leaked.all())

    _replace(slots, "call_next", nobody)
    _replace(compliance, "live_calls", with_ended)


def _slots_ignored() -> None:
    """Live calls of a key are not counted."""

    async def none(_session: Any, _organization_id: str, _key: str) -> int:
        return 0

    _replace(compliance, "live_calls", none)


def _lost_outbox_row() -> None:
    """A happening is recorded, and its message is forgotten."""

    def announce(
        session: Any, order: Any, attempt: Any, kind: str, *, at: datetime, **more: Any
    ) -> None:
        history.record(session, order, attempt, kind, at=at, **more)

    _replace(closing, "announce", announce)


def _double_claim() -> None:
    """A claim leaves the order due, so that it is claimed again."""
    claimed = repository.claim_due

    async def claim_due(session: Any, trunk_id: str | None, *, now: datetime, limit: int) -> Any:
        orders = list(await claimed(session, trunk_id, now=now, limit=limit))
        live = await session.scalars(
            select(CallOrder)
            .where(CallOrder.trunk_id == trunk_id, CallOrder.status == "calling")
            .limit(1)
        )
        return orders + list(live)

    _replace(repository, "claim_due", claim_due)


def _wrong_zone() -> None:
    """Windows are those of a clock three hours off."""
    piece = wall_clock.piece

    def shifted(key: str, second: int) -> tuple[int, int]:
        offset, until = piece(key, second)
        return offset + 3 * 3_600, until

    _replace(wall_clock, "piece", shifted)
    forget = calling_times._week.cache_clear
    forget()
    _undo.append(forget)


def _faults_burn_attempts() -> None:
    """The trunk's trouble counts as an attempt."""
    for status in (429, 503, 500, 502, 504):
        burnt = Meaning(DialError.TOO_MANY_CALLS, Policy.RETRY)
        _put(dial_errors._BY_STATUS, status, burnt)


def _no_deadline() -> None:
    """Nobody looks for orders whose time has run out."""

    async def expire_some(_self: Any) -> int:
        return 0

    _replace(expire.Expirer, "_expire_some", expire_some)


def _pace_ignored() -> None:
    """An INVITE leaves as soon as its agent is ready."""

    async def at_once(_session: Any, _leg: Any, _now: datetime) -> timedelta:
        return timedelta(0)

    _replace(pace, "time_to_invite", at_once)


def _trunk_overfilled() -> None:
    """The trunk's limit of calls is not asked."""

    async def free(_session: Any, _trunk_id: str, _now: datetime) -> int:
        return 10

    _replace(claim, "_free", free)


def _lease_never_expires() -> None:
    """A dead scheduler's attempts are never looked into."""
    _replace(leases, "LEASE", timedelta(days=3_650))


def _twice_final() -> None:
    """The end is announced again by the next to close the books."""
    finish = closing.finish

    async def twice(
        session: Any, order: Any, call: Any, status: Any, fact: Any, **more: Any
    ) -> None:
        await finish(session, order, call, status, fact, **more)
        if call is not None and call.session.answered_at is not None:
            await finish(session, order, call, status, fact, **more)

    _replace(closing, "finish", twice)


def _rooms_left() -> None:
    """Rooms of calls that are over are not deleted."""

    async def delete_rooms(_self: Any) -> None:
        pass

    _replace(room_cleanup.RoomCleanup, "delete_rooms", delete_rooms)


def _pause_forgotten() -> None:
    """No gate sees that an order is paused."""
    asked = gatekeeper.Gatekeeper.decide

    async def ask(self: Any, order: CallOrder) -> Decision:
        paused, order.paused_at = order.paused_at, None
        try:
            return await asked(self, order)
        finally:
            order.paused_at = paused

    _replace(gatekeeper.Gatekeeper, "decide", ask)


def _lists_unread() -> None:
    """The do-not-call list is read when an order is placed, never again."""
    asked = gatekeeper.Gatekeeper.prepare

    async def prepare(self: Any, orders: Any) -> None:
        await asked(self, orders)
        for owner, numbers in self._numbers.items():
            self._numbers[owner] = msgspec.structs.replace(numbers, do_not_call=frozenset())

    _replace(gatekeeper.Gatekeeper, "prepare", prepare)


MUTANTS: dict[str, Callable[[], None]] = {
    "no_fence": _no_fence,
    "blind_redial": _blind_redial,
    "late_invite": _late_invite,
    "no_dial_deadline": _no_dial_deadline,
    "no_second_gate": _no_second_gate,
    "cancel_ignored": _cancel_ignored,
    "slot_leak": _slot_leak,
    "slots_ignored": _slots_ignored,
    "lost_outbox_row": _lost_outbox_row,
    "double_claim": _double_claim,
    "wrong_zone": _wrong_zone,
    "faults_burn_attempts": _faults_burn_attempts,
    "no_deadline": _no_deadline,
    "pace_ignored": _pace_ignored,
    "trunk_overfilled": _trunk_overfilled,
    "lease_never_expires": _lease_never_expires,
    "twice_final": _twice_final,
    "rooms_left": _rooms_left,
    "pause_forgotten": _pause_forgotten,
    "lists_unread": _lists_unread,
}


def plant(name: str | None) -> None:
    """Plant a bug in this process; None plants nothing."""
    if name is not None:
        MUTANTS[name]()


@contextlib.contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Plant a bug while the context is open."""
    plant(name)
    try:
        yield
    finally:
        while _undo:
            _undo.pop()()
