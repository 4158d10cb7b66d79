"""What an order tells of itself: the number it showed, when it began, and how it ended."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from control_plane.assistants import versions
from control_plane.db.models.assistant import Assistant
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import OutboxRow
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.delivery import CALL_EVENTS
from control_plane.domain.events import AttemptResult, CallEnded, EndedBy, EndReason
from control_plane.domain.ids import new_id
from control_plane.domain.recording import RecordingState
from control_plane.domain.retry import END_EVENTS
from control_plane.internal import inbound
from control_plane.internal.arrivals import Arrival
from control_plane.keys.join_tokens import Join
from control_plane.orders import repository
from control_plane.orders.schemas import CallView
from control_plane.orders.service import cancel
from control_plane.sessions.calls import Owner
from scheduler.expire import Expirer
from sip.ports import Answered, DialFailure, DialFailureKind
from tests import arrivals, call_rows, factories
from tests.call_rows import CallRow
from tests.scheduler.conftest import Desk
from tests.scheduler.fakes import report

pytestmark = pytest.mark.db

K = DialFailureKind
ANSWERED = Answered("SCL_1")
ONCE = factories.always(max_retry_attempts=1)
TWICE = factories.always(max_retry_attempts=2, call_twice_in_a_row=True)


def refused(sip_status: int) -> DialFailure:
    return DialFailure(kind=K.BAD_REQUEST, sip_status=sip_status)


NOBODY = DialFailure(kind=K.RING_TIMEOUT)


async def dial(desk: Desk, order: CallOrder, answer: Answered | DialFailure) -> CallRow:
    """Carry out the order's next attempt; whoever answers says nothing and hangs up."""
    desk.sip.answer = answer
    await desk.dispatcher.dispatch_due()
    await desk.dispatcher.finish(10)
    attempt = await last(desk, order)
    if answer is ANSWERED:
        await hung_up(desk, attempt)
    return await factories.reload_attempt(desk.database, attempt.id)


async def last(desk: Desk, order: CallOrder) -> CallRow:
    async with desk.database.reading() as session:
        return CallRow((await repository.calls_of(session, [order]))[order.id][0])


async def hung_up(desk: Desk, attempt: CallRow, **said: Any) -> None:
    """Report that the person hung up, as the agent does."""
    given = {"ended_by": EndedBy.USER, "end_reason": None, "result": AttemptResult.UNKNOWN}
    event = CallEnded(seq=attempt.last_event_seq + 1, at=0.0, **{**given, **said})
    await report(desk.database, attempt.id, attempt.epoch, event)


async def told(desk: Desk, order: Owner) -> list[str]:
    """Return the events that others were told of the order, in their order."""
    async with desk.database.reading() as session:
        rows = await session.scalars(
            select(OutboxRow.type).where(OutboxRow.call_id == order.id).order_by(OutboxRow.sequence)
        )
        return list(rows)


async def ending(desk: Desk, order: Owner) -> str:
    """Return the event that told of the order's end; there is one, and nothing follows it."""
    events = await told(desk, order)
    assert [each for each in events if each in END_EVENTS] == events[-1:]
    return events[-1]


async def shown(desk: Desk, order: Owner) -> CallView:
    """Return the order as `GET /call/{id}` and the `webhook_url` have it."""
    async with desk.database.reading() as session:
        row = (await repository.owners_of(session, [order.id]))[order.id]
        [view] = await factories.views().load(session, [row])
    return view


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (ANSWERED, "call.completed"),
        (NOBODY, "call.no_answer"),
        (refused(408), "call.no_answer"),
        (refused(480), "call.no_answer"),
        (refused(487), "call.no_answer"),
        (refused(486), "call.failed"),
        (refused(600), "call.failed"),
        (refused(603), "call.failed"),
        (refused(607), "call.failed"),
        (refused(404), "call.failed"),
        (DialFailure(kind=K.OUTCOME_UNKNOWN), "call.failed"),
    ],
)
async def test_one_event_tells_how_an_order_ended(
    desk: Desk, answer: Answered | DialFailure, kind: str
) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner, call_retry_config=ONCE)
    await dial(desk, order, answer)
    assert await ending(desk, order) == kind


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (ANSWERED, refused(486), "call.completed"),
        (ANSWERED, NOBODY, "call.completed"),
        (refused(486), ANSWERED, "call.completed"),
        (refused(486), NOBODY, "call.no_answer"),
        (NOBODY, refused(486), "call.failed"),
    ],
)
async def test_an_order_of_two_attempts_ends_as_the_last_one_unless_one_was_answered(
    desk: Desk, first: Answered | DialFailure, second: Answered | DialFailure, kind: str
) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner, call_retry_config=TWICE)
    await dial(desk, order, first)
    assert not set(await told(desk, order)) & set(END_EVENTS), "it is not over yet"
    await dial(desk, order, second)
    assert await ending(desk, order) == kind


async def test_an_order_that_expired_has_failed(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    await dial(desk, order, NOBODY)
    async with desk.database.transaction() as session:
        row = await session.get_one(CallOrder, order.id)
        row.deadline_at = factories.ago(seconds=1)
    await Expirer(desk.database).expire()
    assert await ending(desk, order) == "call.failed"


async def test_a_caller_who_hung_up_before_the_answer_got_none(desk: Desk) -> None:
    now = factories.ago(seconds=5)
    stored = msgspec.to_builtins(factories.spec())
    who = Assistant(id=new_id(), organization_id=desk.owner, name="Ann", spec=stored, version=1)
    who.is_default, who.created_at, who.updated_at = True, now, now
    await factories.inbound_trunk(desk.database, desk.owner, sip_trunk_id=arrivals.TRUNK)
    async with desk.database.transaction() as session:
        session.add(who)
        await versions.add_current(session, who, now=now)
    caller = arrivals.caller(called_number="100", calling_number=factories.NUMBER)
    came = Arrival(Join("room", "agent"), (caller,))
    call = await inbound.receive(desk.database, came, now=now)
    await hung_up(desk, CallRow(call), end_reason=EndReason.NOT_ANSWERED)
    assert await ending(desk, call.session) == "call.no_answer"
    view = await shown(desk, call.session)
    assert (view.call_attempts[0].started_at, view.from_phone_number) == (now, factories.NUMBER)


async def test_every_event_of_a_call_that_can_be_asked_for_is_sent(desk: Desk) -> None:
    seen: set[str] = set()
    for answer in (ANSWERED, NOBODY, refused(486)):
        order = await factories.order(desk.database, desk.vault, desk.owner, call_retry_config=ONCE)
        await dial(desk, order, answer)
        seen |= set(await told(desk, order))
    order = await factories.order(
        desk.database, desk.vault, desk.owner, scheduled_at=factories.ago(hours=-1)
    )
    await cancel(desk.database, desk.owner, order.id)
    assert await ending(desk, order) == "call.cancelled"
    # The agent tells of what else happens: test_internal_api.py, test_calls_that_came_in.py.
    during = {"call.voicemail", "call.transferred"}
    assert seen | {"call.cancelled"} | during == set(CALL_EVENTS)


async def test_the_caller_number_is_the_one_that_was_used(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner, call_retry_config=ONCE)
    assert (await shown(desk, order)).from_phone_number is None, "nobody knows it yet"
    await dial(desk, order, ANSWERED)
    view = await shown(desk, order)
    assert (view.status, view.from_phone_number) == (OrderStatus.COMPLETED, factories.OURS)
    stored = await factories.reload_order(desk.database, order.id)
    assert stored.from_phone_number == factories.OURS, "GET /call?number= finds it"


async def test_a_second_attempt_is_free_to_show_another_default_number(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner, call_retry_config=TWICE)
    await dial(desk, order, refused(486))
    view = await shown(desk, order)
    assert view.from_phone_number == factories.OURS
    stored = await factories.reload_order(desk.database, order.id)
    assert stored.from_phone_number is None, "the order asked for none"


async def test_a_call_began_with_its_invite(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    attempt = await dial(desk, order, NOBODY)
    async with desk.database.transaction() as session:
        early = factories.ago(seconds=30)  # it took long to get ready
        await call_rows.write(session, attempt.id, created_at=early)
    [view] = (await shown(desk, order)).call_attempts
    assert view.started_at == attempt.dialing_at != view.created_at


async def test_an_attempt_without_an_invite_did_not_begin(desk: Desk) -> None:
    desk.rooms.agent = None
    order = await factories.order(desk.database, desk.vault, desk.owner)
    await dial(desk, order, NOBODY)
    [view] = (await shown(desk, order)).call_attempts
    assert (view.end_reason, view.started_at) == ("agent_not_ready", None)


@pytest.mark.parametrize("agent_first", [True, False])
async def test_an_answer_the_agent_did_not_see_is_an_answer_all_the_same(
    desk: Desk, agent_first: bool
) -> None:
    """The person answers and hangs up at once: the agent sees them come and go."""
    order = await factories.order(desk.database, desk.vault, desk.owner, call_retry_config=ONCE)
    gone = {"end_reason": EndReason.NOT_ANSWERED}
    arrive = desk.rooms.agent
    assert arrive is not None
    if agent_first:
        original = desk.sip.dial

        async def dial_late(request: Any) -> Any:
            attempt = await last(desk, order)
            await hung_up(desk, attempt, **gone)
            return await original(request)

        desk.sip.dial = dial_late  # type: ignore[method-assign]
    desk.sip.answer = ANSWERED
    await desk.dispatcher.dispatch_due()
    await desk.dispatcher.finish(10)
    if not agent_first:
        await hung_up(desk, await last(desk, order), **gone)
    attempt = await last(desk, order)
    assert (attempt.status, attempt.dial_error) == (AttemptStatus.COMPLETED, None)
    assert (attempt.ended_by, attempt.end_reason) == (EndedBy.USER, None)
    assert attempt.answered_at is not None
    recording = await factories.reload_recording(desk.database, attempt.id)
    assert recording.state is RecordingState.ABSENT, "the agent had not begun one"
    assert await ending(desk, order) == "call.completed"
