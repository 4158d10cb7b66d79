"""Humans whom people are passed on to: called once at most, handed over to, watched to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from control_plane.compliance import entries
from control_plane.db.base import read_clock
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow
from control_plane.db.models.organization import Organization
from control_plane.db.models.session import Leg
from control_plane.db.models.trunk import Trunk
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.events import AttemptResult, CallEnded, EndedBy, HandedOver
from control_plane.domain.human_leg import (
    LINE_WITHIN,
    TALK_LIMIT,
    HumanAsked,
    HumanResult,
    HumanState,
    HumanView,
)
from control_plane.domain.ids import new_id
from control_plane.domain.leg import LegKind
from control_plane.orders.service import cancel
from control_plane.sessions import humans, leases
from control_plane.sessions.making import Person, Speaker, begin
from control_plane.trunks import pace
from scheduler.cancel import Canceller
from scheduler.humans import HumanDialer
from scheduler.reconciler import Reconciler
from scheduler.rooms import Present
from scheduler.talks import TalkWatch
from sip.ports import DialFailure, DialFailureKind, TooLate
from tests import factories
from tests.call_rows import CallRow
from tests.scheduler.conftest import Desk
from tests.scheduler.fakes import report
from tests.statements import noted

pytestmark = pytest.mark.db

COLLEAGUE = "+12025550142"


class Clock:
    """A clock whose waiting is over at once; told of each."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def now(self) -> float:
        return 1_000.0

    async def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        await asyncio.sleep(0.001)


@dataclass
class Call:
    """An answered call, from which a human is asked in."""

    desk: Desk
    order: CallOrder | None
    attempt: CallRow
    dialer: HumanDialer
    clock: Clock

    @property
    def watch(self) -> TalkWatch:
        return TalkWatch(self.desk.database, self.desk.rooms, self.dialer)

    async def ask(self, *, first: bool = False) -> str:
        """Ask for a human, who is to be asked first or not; returns the leg's id."""
        asked = HumanAsked(
            id=new_id(),
            to_phone_number=COLLEAGUE,
            reason="why",
            because="no_refer",
            is_asked_first=first,
        )
        async with self.desk.database.transaction() as db:
            order, call = await leases.lock(db, self.attempt.id, epoch=None)
            now = await read_clock(db)
            leg = await humans.request(
                db, order or call.session, call, asked, ring_secs=17, now=now
            )
            return leg.id

    async def dial(self) -> None:
        """Dial what waits, to the end."""
        await self.dialer.dial_due()
        await self.dialer.finish(10)

    async def asked_and_dialled(self) -> str:
        leg_id = await self.ask()
        await self.dial()
        return leg_id

    async def leg(self, leg_id: str) -> Leg:
        async with self.desk.database.reading() as db:
            return await db.get_one(Leg, leg_id)

    async def view(self, leg_id: str) -> HumanView:
        return humans.view(await self.leg(leg_id))

    async def change(self, leg_id: str, **columns: Any) -> None:
        async with self.desk.database.transaction() as db:
            await db.execute(update(Leg).where(Leg.id == leg_id).values(**columns))

    async def reloaded(self) -> CallRow:
        return await factories.reload_attempt(self.desk.database, self.attempt.id)

    def seen(self, *, person: bool = True, human: str | None = None, active: bool = True) -> None:
        """Set who is in the room; the agent has left."""
        there = [self.attempt.participant_identity] if person else []
        there += [f"human-{human}"] if human is not None else []
        status = "active" if active else "ringing"
        self.desk.rooms.present[self.attempt.room_name] = [
            Present(identity=each, is_agent=False, is_phone=True, call_status=status)
            for each in there
        ]

    async def events(self, kind: str) -> list[dict[str, Any]]:
        async with self.desk.database.reading() as db:
            rows = await db.scalars(select(CallEventRow).where(CallEventRow.type == kind))
            return [row.data for row in rows]


@asynccontextmanager
async def answering(desk: Desk, **fields: Any) -> AsyncIterator[Call]:
    order = await factories.order(desk.database, desk.vault, desk.owner, **fields)
    await desk.dispatcher.dispatch_due()
    await desk.dispatcher.finish(10)
    [request] = desk.sip.dialled
    desk.sip.dialled.clear()
    desk.sip.ringing.clear()
    attempt = await factories.reload_attempt(desk.database, request.room_name.removeprefix("call-"))
    async with asking(desk, order, attempt) as call:
        yield call


@asynccontextmanager
async def asking(desk: Desk, order: CallOrder | None, attempt: CallRow) -> AsyncIterator[Call]:
    async with asyncio.TaskGroup() as tasks:
        clock = Clock()
        dialer = HumanDialer(
            desk.database, rooms=desk.rooms, dialer=desk.sip, tasks=tasks, clock=clock
        )
        yield Call(desk, order, attempt, dialer, clock)


@pytest.fixture
async def call(desk: Desk) -> AsyncIterator[Call]:
    async with answering(desk) as made:
        yield made


async def test_a_human_is_called_into_the_room_and_handed_the_call(call: Call) -> None:
    leg_id = await call.ask()
    assert (await call.view(leg_id)).state is HumanState.ASKED
    await call.dial()
    [request] = call.desk.sip.dialled
    assert (request.to_number, request.from_number) == (COLLEAGUE, factories.OURS)
    assert request.room_name == call.attempt.room_name
    assert request.participant_identity == f"human-{leg_id}"
    assert request.ringing_timeout_s == 17
    assert not request.held
    assert request.max_call_duration_s == TALK_LIMIT.total_seconds()
    assert (await call.view(leg_id)).state is HumanState.ANSWERED
    after = await call.reloaded()
    assert after.status is AttemptStatus.ONGOING
    assert after.handed_over_at is not None
    assert (after.ended_by, after.end_reason) == (EndedBy.AGENT, "transfer")
    [told] = await call.events("call.transferred")
    assert (told["to_phone_number"], told["reason"]) == (COLLEAGUE, "why")
    assert (told["bridged"], told["recorded"]) == (True, False)


async def test_who_is_asked_first_is_not_handed_the_call_by_answering(call: Call) -> None:
    leg_id = await call.ask(first=True)
    await call.dial()
    view = await call.view(leg_id)
    assert (view.state, view.result) == (HumanState.ANSWERED, None)
    [request] = call.desk.sip.dialled
    assert request.held, "neither hears the other, however soon it is answered"
    assert (await call.reloaded()).handed_over_at is None
    assert await call.events("call.transferred") == []
    [told] = await call.events("human_answered")
    assert told["to_phone_number"] == COLLEAGUE
    await call.watch.check()  # it is the agent's until they take it
    assert (await call.view(leg_id)) == view
    await ended(call)
    view = await call.view(leg_id)
    assert (view.state, view.result) == (HumanState.OVER, HumanResult.CALLER_LEFT)
    assert (await call.reloaded()).end_reason is None


async def test_who_is_asked_when_a_scheduler_died_is_found_in_the_room(call: Call) -> None:
    leg_id = await call.ask(first=True)
    past = factories.ago(seconds=1)
    await call.change(leg_id, dialing_at=past, lease_until=past)
    call.seen(human=leg_id)
    await call.watch.check()
    view = await call.view(leg_id)
    assert (view.state, view.result) == (HumanState.ANSWERED, None)
    assert (await call.reloaded()).handed_over_at is None


async def test_one_is_called_once_whoever_looks(call: Call) -> None:
    call.desk.sip.hold = asyncio.Event()
    await call.ask()
    async with asyncio.TaskGroup() as tasks:
        other = HumanDialer(
            call.desk.database, rooms=call.desk.rooms, dialer=call.desk.sip, tasks=tasks
        )
        await asyncio.gather(call.dialer.dial_due(), other.dial_due())
        await call.desk.sip.ringing.wait()
        await asyncio.gather(call.dialer.dial_due(), other.dial_due())
        call.desk.sip.hold.set()
    await call.dialer.finish(10)
    assert len(call.desk.sip.dialled) == 1


async def test_the_same_wish_is_one_leg_and_a_second_one_is_refused(call: Call) -> None:
    asked = HumanAsked(id=new_id(), to_phone_number=COLLEAGUE, reason="", because="")
    async with call.desk.database.transaction() as db:
        order, held = await leases.lock(db, call.attempt.id, epoch=None)
        assert order is not None
        now = await read_clock(db)
        first = await humans.request(db, order, held, asked, now=now)
        again = await humans.request(db, order, held, asked, now=now)
        assert first.id == again.id
    with pytest.raises(humans.Conflict):
        await call.ask()


@pytest.mark.parametrize(
    ("status", "kind", "result"),
    [
        (486, "bad_request", HumanResult.BUSY),
        (603, "bad_request", HumanResult.DECLINED),
        (480, "bad_request", HumanResult.NO_ANSWER),
        (None, "ring_timeout", HumanResult.NO_ANSWER),
        (404, "bad_request", HumanResult.UNREACHABLE),
        (503, "bad_request", HumanResult.NO_LINE),
        (None, "service_unavailable", HumanResult.FAILED),
        (None, "outcome_unknown", HumanResult.FAILED),
    ],
)
async def test_who_is_not_reached_is_told_by_a_word(
    call: Call, status: int | None, kind: str, result: HumanResult
) -> None:
    call.desk.sip.answer = DialFailure(
        kind=DialFailureKind(kind), sip_status=status, sip_reason="said"
    )
    leg_id = await call.asked_and_dialled()
    view = await call.view(leg_id)
    assert (view.state, view.result, view.sip_status) == (HumanState.OVER, result, status)
    assert (await call.reloaded()).handed_over_at is None
    call.desk.sip.answer = TooLate()  # type: ignore[assignment]
    second = await call.asked_and_dialled()  # another may be asked in
    assert (await call.view(second)).result is HumanResult.FAILED


async def test_do_not_call_and_countries_hold_and_windows_do_not(call: Call) -> None:
    never = {"allowed_days": []}
    async with call.desk.database.transaction() as db:
        await db.execute(
            update(CallOrder).values(retry_config={**call.order.retry_config, **never})
        )
        await db.execute(update(Organization).values(attempts_per_day=0))
    assert (await call.view(await call.asked_and_dialled())).state is HumanState.ANSWERED


@pytest.mark.parametrize("rule", ["do_not_call", "country", "organization_suspended"])
async def test_a_number_that_may_not_be_called_is_not(call: Call, rule: str) -> None:
    async with call.desk.database.transaction() as db:
        now = await read_clock(db)
        if rule == "do_not_call":
            await entries.never_call(
                db, call.desk.owner, COLLEAGUE, reason="", source="test", now=now
            )
        elif rule == "country":
            await db.execute(update(Organization).values(allowed_countries=["FR"]))
        else:
            await db.execute(update(Organization).values(suspended_at=now))
    view = await call.view(await call.asked_and_dialled())
    assert (view.state, view.result) == (HumanState.OVER, HumanResult.FORBIDDEN)
    assert call.desk.sip.dialled == []
    [told] = await call.events("human_not_reached")
    assert told["rule"] == rule


async def test_a_full_trunk_is_waited_for_a_while(call: Call) -> None:
    async with call.desk.database.transaction() as db:
        await db.execute(update(Trunk).values(max_concurrent_calls=1))
    leg_id = await call.ask()
    await call.dialer.dial_due()
    while len(call.clock.waited) < 3:
        await asyncio.sleep(0.01)
    assert call.desk.sip.dialled == []
    await call.change(leg_id, created_at=factories.ago(seconds=LINE_WITHIN.total_seconds() + 1))
    await call.dialer.finish(10)
    assert (await call.view(leg_id)).result is HumanResult.NO_LINE


async def test_a_stopped_trunk_calls_no_human(call: Call) -> None:
    async with call.desk.database.transaction() as db:
        await pace.stop(db, call.attempt.trunk_id, "401", await read_clock(db))
    view = await call.view(await call.asked_and_dialled())
    assert view.result is HumanResult.NO_LINE
    assert call.desk.sip.dialled == []


async def test_a_scheduler_that_died_before_the_result_is_looked_after(call: Call) -> None:
    """Its INVITE may or may not have left: none follows, and the room says what came of it."""
    for is_there, result in ((False, HumanResult.FAILED), (True, HumanResult.ANSWERED)):
        leg_id = await call.ask()
        past = factories.ago(seconds=1)
        await call.change(leg_id, dialing_at=past, lease_until=past)
        call.seen(human=leg_id if is_there else None)
        watch = call.watch
        await call.dial()
        await watch.check()
        if not is_there:
            assert (await call.view(leg_id)).state is HumanState.RINGING, "one look is not enough"
            await watch.check()
        assert (await call.view(leg_id)).result is result
    assert call.desk.sip.dialled == []
    assert (await call.reloaded()).handed_over_at is not None


async def test_who_dies_before_the_mark_leaves_the_leg_to_another(call: Call) -> None:
    leg_id = await call.ask()
    async with call.desk.database.transaction() as db:
        assert await humans.claim(db, leg_id, await read_clock(db))
    await call.dial()
    assert call.desk.sip.dialled == [], "somebody has it"
    await call.change(leg_id, lease_until=factories.ago(seconds=1))
    await call.dial()
    assert len(call.desk.sip.dialled) == 1


async def ended(call: Call) -> None:
    """The agent's last word, when the person hung up."""
    word = CallEnded(
        seq=2, at=0.0, ended_by=EndedBy.USER, end_reason=None, result=AttemptResult.HUMAN
    )
    await report(call.desk.database, call.attempt.id, call.attempt.epoch, word)


async def test_nobody_is_called_for_a_person_who_left(call: Call) -> None:
    leg_id = await call.ask()
    await ended(call)
    await call.dial()
    assert (await call.view(leg_id)).result is HumanResult.CALLER_LEFT
    assert call.desk.sip.dialled == []


async def test_a_human_who_answers_nobody_is_hung_up(call: Call) -> None:
    call.desk.sip.hold = asyncio.Event()
    leg_id = await call.ask()
    await call.dialer.dial_due()
    await call.desk.sip.ringing.wait()
    await ended(call)
    call.desk.rooms.journal.clear()
    await call.watch.check()  # a dial that is late makes the room anew
    assert call.desk.rooms.journal == ["room closed"]
    call.desk.sip.hold.set()
    await call.dialer.finish(10)
    assert call.desk.rooms.journal == ["room closed"] * 2
    assert (await call.view(leg_id)).result is HumanResult.CALLER_LEFT
    after = await call.reloaded()
    assert (after.ended_by, after.end_reason) == (EndedBy.USER, None)


async def test_a_human_who_answers_when_given_up_is_hung_up_alone(call: Call) -> None:
    """A SIP service that dials late, when another scheduler has looked and found nobody."""
    call.desk.sip.hold = asyncio.Event()
    leg_id = await call.ask()
    await call.dialer.dial_due()
    await call.desk.sip.ringing.wait()
    await call.change(leg_id, closed_at=factories.ago(), result=HumanResult.FAILED)
    call.seen(human=leg_id)
    call.desk.sip.hold.set()
    await call.dialer.finish(10)
    assert call.desk.rooms.journal[-1] == f"human-{leg_id} put out"
    assert (await call.reloaded()).handed_over_at is None


async def test_who_stood_still_after_the_mark_calls_nobody(call: Call) -> None:
    leg_id = await call.ask()
    request = await call.dialer.mark(call.attempt.id, leg_id)
    assert request is not None
    await call.change(leg_id, dialing_at=factories.ago(seconds=5))
    await call.dialer.place(call.attempt.id, leg_id, request)
    assert call.desk.sip.dialled == []
    assert (await call.view(leg_id)).result is HumanResult.FAILED


async def test_a_talk_goes_on_without_its_agent(call: Call) -> None:
    leg_id = await call.asked_and_dialled()
    gone = HandedOver(seq=2, at=0.0, result=AttemptResult.HUMAN)
    await report(call.desk.database, call.attempt.id, call.attempt.epoch, gone)
    call.seen(human=leg_id)
    watch, reconciler = call.watch, Reconciler(call.desk.database, call.desk.rooms)
    for _ in range(3):
        await watch.check()
        await reconciler.reconcile()
    after = await call.reloaded()
    assert after.status is AttemptStatus.ONGOING
    assert after.call_lease_until is None
    assert (await factories.reload_order(call.desk.database, call.order.id)).status == "calling"


@pytest.mark.parametrize(
    ("person", "human", "hours", "why"),
    [
        (False, True, 0, "the person hung up"),
        (True, False, 0, "the human hung up"),
        (True, True, 4.01, "the longest talk after a transfer is over"),
    ],
)
async def test_either_of_the_two_ends_it(
    call: Call, person: bool, human: bool, hours: float, why: str
) -> None:
    leg_id = await call.asked_and_dialled()
    gone = HandedOver(seq=2, at=0.0, result=AttemptResult.HUMAN)
    await report(call.desk.database, call.attempt.id, call.attempt.epoch, gone)
    call.seen(person=person, human=leg_id if human else None)
    if hours:
        since = factories.ago(seconds=hours * 3600)
        async with call.desk.database.transaction() as db:
            held = (await leases.lock(db, call.attempt.id, epoch=None))[1]
            held.session.handed_over_at = since
    watch = call.watch
    await watch.check()
    assert (await call.reloaded()).status is AttemptStatus.ONGOING, "one look is not enough"
    await watch.check()
    after = await call.reloaded()
    assert (after.status, after.result) == (AttemptStatus.COMPLETED, AttemptResult.HUMAN)
    assert (after.ended_by, after.end_reason, after.detail) == (EndedBy.AGENT, "transfer", why)
    assert (await call.leg(leg_id)).closed_at is not None
    order = await factories.reload_order(call.desk.database, call.order.id)
    assert order.status is OrderStatus.COMPLETED


async def test_an_agent_that_ends_it_at_the_same_moment_does_not_unsay_it(call: Call) -> None:
    leg_id = await call.asked_and_dialled()
    await ended(call)
    after = await call.reloaded()
    assert (after.status, after.end_reason) == (AttemptStatus.COMPLETED, "transfer")
    assert after.ended_by is EndedBy.AGENT
    assert (await call.leg(leg_id)).closed_at is not None


async def test_a_sip_service_that_is_gone_ends_talks_too(call: Call) -> None:
    leg_id = await call.asked_and_dialled()
    await Reconciler(call.desk.database, call.desk.rooms).end_ongoing()
    after = await call.reloaded()
    assert (after.status, after.end_reason) == (AttemptStatus.COMPLETED, "transfer")
    assert after.detail == "sip_service_lost"
    assert (await call.leg(leg_id)).closed_at is not None


async def test_a_cancel_ends_a_talk(call: Call) -> None:
    leg_id = await call.asked_and_dialled()
    await cancel(call.desk.database, call.desk.owner, call.order.id)
    await Canceller(call.desk.database, call.desk.rooms).end_cancelled()
    after = await call.reloaded()
    assert (after.status, after.end_reason, after.detail) == (
        AttemptStatus.COMPLETED,
        "transfer",
        "cancelled",
    )
    order = await factories.reload_order(call.desk.database, call.order.id)
    assert order.status is OrderStatus.CANCELLED
    assert call.desk.rooms.journal[-1] == "room closed"
    assert (await call.leg(leg_id)).closed_at is not None


async def test_the_minutes_of_both_legs_are_paid_for(call: Call) -> None:
    leg_id = await call.asked_and_dialled()
    async with call.desk.database.transaction() as db:
        await db.execute(update(Trunk).values(price_per_minute=3.0))
        now = await read_clock(db)
        since = now - timedelta(minutes=2)
        await db.execute(update(Leg).where(Leg.kind == LegKind.HUMAN).values(answered_at=since))
    async with call.desk.database.reading() as db:
        assert await humans.spend(db, call.attempt.id, now) == pytest.approx(6.0)
    # Who declined has cost until then.
    await call.change(leg_id, closed_at=since + timedelta(seconds=30))
    async with call.desk.database.reading() as db:
        assert await humans.spend(db, call.attempt.id, now) == pytest.approx(1.5)


async def test_a_call_that_may_be_passed_on_may_last_as_long_as_its_talk(desk: Desk) -> None:
    """The SIP service's own limit is that of the person's side, whoever they talk to."""
    spec = factories.spec(transfer_phone_number=COLLEAGUE, max_call_duration_secs=60)
    await factories.order(desk.database, desk.vault, desk.owner, assistant=spec)
    await desk.dispatcher.dispatch_due()
    await desk.dispatcher.finish(10)
    [request] = desk.sip.dialled
    assert request.max_call_duration_s == 60 + TALK_LIMIT.total_seconds()


async def test_whom_an_agent_died_on_was_reached_all_the_same(call: Call) -> None:
    leg_id = await call.asked_and_dialled()
    call.seen(person=False, human=leg_id)
    watch = call.watch
    await watch.check()
    await watch.check()
    assert (await call.reloaded()).result is AttemptResult.HUMAN
    order = await factories.reload_order(call.desk.database, call.order.id)
    assert order.status is OrderStatus.COMPLETED, "it is not tried again"


async def test_for_somebody_who_called_us_the_human_sees_the_number_that_they_called(
    desk: Desk,
) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    person = Person(
        kind=LegKind.CALLER,
        identity="sip_caller",
        to_phone_number=factories.OURS,
        from_phone_number=factories.NUMBER,
    )
    async with desk.database.transaction() as db:
        now = await read_clock(db)
        session, leg = begin(
            new_id(),
            desk.owner,
            Speaker(assistant_id=None, version=0, version_id=order.assistant_version_id),
            person,
            room_name="inbound-1",
            status=AttemptStatus.ONGOING,
            epoch=1,
            now=now,
            answered_at=now,
        )
        db.add(session)
        await db.flush()
        db.add(leg)
    asked = HumanAsked(id=new_id(), to_phone_number=COLLEAGUE, reason="", because="silent")
    async with desk.database.transaction() as db:
        nobody, call = await leases.lock(db, session.id, epoch=1)
        assert nobody is None
        await humans.request(db, call.session, call, asked, now=now)
    async with asyncio.TaskGroup() as tasks:
        dialer = HumanDialer(desk.database, rooms=desk.rooms, dialer=desk.sip, tasks=tasks)
        await dialer.dial_due()
    [request] = desk.sip.dialled
    assert (request.to_number, request.from_number) == (COLLEAGUE, factories.OURS)
    assert request.room_name == "inbound-1"
    watch = TalkWatch(desk.database, desk.rooms, dialer)
    await watch.check()
    await watch.check()  # nobody is in the room any more
    after = await factories.reload_attempt(desk.database, session.id)
    assert (after.status, after.end_reason) == (AttemptStatus.COMPLETED, "transfer")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_looked_for_all_the_time_is_found_without_a_scan(call: Call) -> None:
    engine = call.desk.database.engine
    with noted(engine) as idle:
        await call.watch.check()
    assert sum("leg" in sql for sql in dict(idle)) == 1, (
        "nobody is called, and nothing more is asked"
    )
    await call.asked_and_dialled()
    with noted(engine) as asked:
        await call.dialer.dial_due()
        await call.watch.check()
    steps = []
    async with engine.connect() as connection:
        for sql, values in dict(asked).items():
            if "leg" in sql:
                rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
                steps += [row[3] for row in rows]
    assert any("leg_open" in step for step in steps)
    assert [step for step in steps if step.startswith("SCAN") and "INDEX" not in step] == []
