"""Browser sessions get an agent once, and another when it is lost; rooms of theirs are no leak."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from control_plane.assistants.schemas import InlineAssistant
from control_plane.browser import asking
from control_plane.browser.asking import Asked
from control_plane.browser.schemas import StartSession
from control_plane.db.models.organization import Organization
from control_plane.db.models.session import Session
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import DispatchMetadata
from control_plane.domain.errors import StaleEpoch
from control_plane.domain.events import (
    AgentAlive,
    AgentLeft,
    AgentReady,
    CallAnswered,
    CallEvent,
    UsageCounted,
)
from control_plane.domain.transitions import CancelRequested
from control_plane.domain.usage import Capability, ProviderUsage
from control_plane.keys.tokens import TokenSigner
from control_plane.sessions import leases, lifecycle
from control_plane.sessions.usage import usage_of
from scheduler.browser import Opener
from scheduler.cancel import Canceller
from scheduler.reconciler import Reconciler
from scheduler.room_cleanup import RoomCleanup
from scheduler.rooms import Present
from tests import factories
from tests.scheduler.conftest import Desk
from tests.scheduler.fakes import report

pytestmark = pytest.mark.db

LATER = timedelta(hours=1)


class Door:
    """Sessions of a desk, and the one who opens them; `sent` are the agents so far."""

    def __init__(self, desk: Desk, signer: TokenSigner):
        self.desk = desk
        self.sent: list[DispatchMetadata] = []
        self.opener = Opener(desk.database, desk.rooms, signer, ready_timeout_s=2.0)
        desk.rooms.agent = self._take

    async def _take(self, metadata: DispatchMetadata) -> None:
        self.sent.append(metadata)

    async def ask(self, **fields: Any) -> str:
        """Return the id of a new session."""
        given: dict[str, Any] = {"assistant": InlineAssistant(prompt="Be kind."), **fields}
        asked = Asked(self.desk.owner, None, StartSession(**given))
        return (await asking.start(self.desk.database, self.desk.vault, asked)).call.id

    async def row(self, session_id: str) -> Session:
        """Return the session as it is stored now."""
        async with self.desk.database.reading() as db:
            return await db.get_one(Session, session_id)

    async def write(self, session_id: str, **columns: Any) -> None:
        """Set columns of the session."""
        async with self.desk.database.transaction() as db:
            await db.execute(update(Session).where(Session.id == session_id).values(**columns))

    async def say(self, session_id: str, *events: CallEvent) -> None:
        """Report as the agent that was sent last."""
        await report(self.desk.database, session_id, self.sent[-1].epoch, *events)

    async def end(self, session_id: str) -> None:
        """End the session as its API does."""
        async with self.desk.database.transaction() as db:
            _, call = await leases.lock(db, session_id, epoch=None)
            await lifecycle.apply(db, call, CancelRequested(at=datetime.now(UTC)))


@pytest.fixture
def door(desk: Desk, signer: TokenSigner) -> Door:
    """Who opens sessions."""
    return Door(desk, signer)


def person(session_id: str) -> Present:
    return Present(identity=f"browser-{session_id}", is_agent=False, is_phone=False)


AGENT = Present(identity="agent-1", is_agent=True, is_phone=False)
READY = AgentReady(seq=1, at=0.0)


async def test_a_new_session_gets_one_agent(door: Door) -> None:
    session_id = await door.ask()
    assert await door.opener.open_due() is None
    await door.opener.open_due()
    [sent] = door.sent
    assert (sent.attempt_id, sent.epoch, sent.room_stays) == (session_id, 1, True)
    assert list(door.desk.rooms.present) == [f"web-{session_id}"]
    row = await door.row(session_id)
    assert (row.status, row.due_at, row.epoch) == (AttemptStatus.RINGING, None, 1)
    await door.opener.check()
    await Reconciler(door.desk.database, door.desk.rooms).reconcile()  # nobody is in the room yet
    assert len(door.sent) == 1
    assert (await door.row(session_id)).closed_at is None


async def test_a_later_session_opens_at_its_time(door: Door) -> None:
    session_id = await door.ask(scheduled_at=datetime.now(UTC) + LATER)
    wait = await door.opener.open_due()
    assert wait is not None
    assert timedelta(minutes=59) < wait <= LATER
    assert door.sent == []
    await Reconciler(door.desk.database, door.desk.rooms).reconcile()
    assert (await door.row(session_id)).closed_at is None
    await door.write(session_id, due_at=factories.ago(), scheduled_at=factories.ago())
    await door.opener.open_due()
    assert len(door.sent) == 1


async def test_who_dies_before_the_room_is_open_loses_nothing(door: Door) -> None:
    """Its claim lapses; the agent that it may have sent is shut out."""
    session_id = await door.ask()
    [claimed] = await door.opener._claim()
    assert claimed.id == session_id
    await door.opener.open_due()
    assert door.sent == []  # the claim holds
    await door.write(session_id, due_at=factories.ago())
    await door.opener.open_due()
    [sent] = door.sent
    assert sent.epoch == 2
    with pytest.raises(StaleEpoch):
        await report(door.desk.database, session_id, 1, READY)
    await door.say(session_id, READY)


async def test_who_dies_after_sending_an_agent_sends_no_second_one(door: Door) -> None:
    session_id = await door.ask()
    [claimed] = await door.opener._claim()
    await report(door.desk.database, session_id, claimed.session.epoch, READY)
    await door.write(session_id, due_at=factories.ago())
    await door.opener.open_due()
    row = await door.row(session_id)
    assert (door.sent, row.status, row.due_at, row.epoch) == ([], AttemptStatus.RINGING, None, 1)


async def test_two_schedulers_send_one_agent(door: Door, signer: TokenSigner) -> None:
    await door.ask()
    other = Opener(door.desk.database, door.desk.rooms, signer, ready_timeout_s=2.0)
    await asyncio.gather(door.opener.open_due(), other.open_due())
    assert len(door.sent) == 1


async def test_livekit_is_asked_again_for_a_while(door: Door) -> None:
    session_id = await door.ask()
    door.desk.rooms.broken = True
    wait = await door.opener.open_due()
    assert wait is not None
    assert wait <= timedelta(seconds=1)
    door.desk.rooms.broken = False
    await door.write(session_id, due_at=factories.ago())
    await door.opener.open_due()
    assert len(door.sent) == 1
    second = await door.ask()
    door.desk.rooms.broken = True
    await door.write(second, created_at=factories.ago(seconds=3))
    await door.opener.open_due()
    row = await door.row(second)
    assert (row.status, row.end_reason) == (AttemptStatus.ERROR, "livekit_unavailable")
    assert row.due_at is None


async def test_without_an_agent_the_session_fails_within_the_limit(door: Door) -> None:
    session_id = await door.ask()
    await door.opener.open_due()
    await door.opener.check()
    assert (await door.row(session_id)).closed_at is None
    await door.write(session_id, agent_sent_at=factories.ago(seconds=3))
    await door.opener.check()
    row = await door.row(session_id)
    assert (row.status, row.end_reason) == (AttemptStatus.ERROR, "agent_not_ready")
    await RoomCleanup(door.desk.database, door.desk.rooms).delete_rooms()
    assert door.desk.rooms.present == {}


async def test_an_agent_is_asked_for_again_when_none_took_the_session(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiveKit asks its workers once; the same agent may come of either asking."""
    monkeypatch.setattr("scheduler.browser._ASK_AGAIN", timedelta(seconds=1))
    session_id = await door.ask()
    await door.opener.open_due()
    await door.write(session_id, agent_sent_at=factories.ago(seconds=1.5))
    await door.opener.check()
    assert len(door.sent) == 2
    assert door.sent[0].epoch == door.sent[1].epoch
    await door.opener.check()
    assert len(door.sent) == 2  # that was just now
    door.opener._asked_at[session_id] = factories.ago(seconds=1.5)
    await door.write(session_id, brief_taken_at=factories.ago())
    await door.opener.check()
    assert len(door.sent) == 2  # one has it


async def test_an_agent_that_dies_before_anybody_spoke_is_replaced(door: Door) -> None:
    session_id = await door.ask()
    await door.opener.open_due()
    await door.say(session_id, READY)
    door.desk.rooms.present[f"web-{session_id}"] = [AGENT]
    await door.write(session_id, call_lease_until=factories.ago())
    await door.opener.check()
    assert (await door.row(session_id)).due_at is None  # LiveKit sees it
    door.desk.rooms.present[f"web-{session_id}"] = [person(session_id)]
    await door.opener.check()
    await door.opener.open_due()
    assert [each.epoch for each in door.sent] == [1, 2]
    assert door.desk.rooms.present[f"web-{session_id}"] == [person(session_id)]  # not sent away
    await door.say(session_id, READY, CallAnswered(seq=2, at=0.0))
    assert (await door.row(session_id)).status is AttemptStatus.ONGOING


def used(tokens: int) -> UsageCounted:
    part = ProviderUsage(
        capability=Capability.LLM, provider="openai", model="gpt-4.1", input_tokens=tokens
    )
    return UsageCounted(seq=2, at=0.0, parts=[part])


async def test_an_agent_that_left_comes_back_with_the_person(door: Door) -> None:
    """What it had used before counts as well."""
    session_id = await door.ask()
    await door.opener.open_due()
    await door.say(session_id, READY, used(10), AgentLeft(seq=3, at=0.0))
    await door.opener.check()
    assert (await door.row(session_id)).due_at is None
    door.desk.rooms.present[f"web-{session_id}"] = [person(session_id)]
    await door.opener.check()
    await door.opener.open_due()
    assert [each.epoch for each in door.sent] == [1, 2]
    await door.say(session_id, READY, used(7))
    row = await door.row(session_id)
    counted = usage_of(row)
    assert counted is not None
    assert [part.input_tokens for part in counted.parts] == [17]
    assert row.agent_ended_at is None


async def test_once_the_token_is_over_nobody_is_waited_for(door: Door) -> None:
    session_id = await door.ask()
    await door.opener.open_due()
    await door.say(session_id, READY, AgentLeft(seq=2, at=0.0))
    await door.write(session_id, token_until=factories.ago())
    await door.opener.check()
    row = await door.row(session_id)
    assert (row.status, row.end_reason) == (AttemptStatus.ERROR, "nobody_joined")


@pytest.mark.parametrize("present", [[], [AGENT]])
async def test_a_person_who_lost_the_connection_is_left_to_the_agent(
    door: Door, present: list[Present]
) -> None:
    session_id = await door.ask()
    await door.opener.open_due()
    await door.say(session_id, READY, CallAnswered(seq=2, at=0.0))
    door.desk.rooms.present[f"web-{session_id}"] = present
    reconciler = Reconciler(door.desk.database, door.desk.rooms)
    for _ in range(3):
        await reconciler.reconcile()
    await reconciler.end_ongoing()  # no SIP service carries it
    assert (await door.row(session_id)).closed_at is None


async def test_a_dead_agent_ends_the_conversation(door: Door) -> None:
    session_id = await door.ask()
    await door.opener.open_due()
    await door.say(session_id, READY, CallAnswered(seq=2, at=0.0))
    await door.write(session_id, call_lease_until=factories.ago(), dispatch_lease_until=None)
    await Reconciler(door.desk.database, door.desk.rooms).reconcile()
    row = await door.row(session_id)
    assert (row.status, row.end_reason) == (AttemptStatus.COMPLETED, "agent_lost")


async def test_its_own_limit_is_held_for_an_agent_that_does_not(door: Door) -> None:
    session_id = await door.ask(max_duration_secs=20)
    await door.opener.open_due()
    await door.say(session_id, READY, CallAnswered(seq=2, at=0.0))
    reconciler = Reconciler(door.desk.database, door.desk.rooms)
    await door.write(session_id, answered_at=factories.ago(seconds=28))
    await reconciler.reconcile()
    assert (await door.row(session_id)).closed_at is None
    await door.write(session_id, answered_at=factories.ago(seconds=31))
    await reconciler.reconcile()
    assert (await door.row(session_id)).end_reason == "max_duration"


async def test_ending_it_while_they_talk_closes_the_room(door: Door) -> None:
    session_id = await door.ask()
    await door.opener.open_due()
    await door.say(session_id, READY, CallAnswered(seq=2, at=0.0))
    await door.end(session_id)
    await Canceller(door.desk.database, door.desk.rooms).end_cancelled()
    row = await door.row(session_id)
    assert (row.status, row.end_reason) == (AttemptStatus.COMPLETED, "cancelled")
    assert door.desk.rooms.present == {}


async def suspend(door: Door, session_id: str) -> None:
    async with door.desk.database.transaction() as db:
        await db.execute(update(Organization).values(suspended_at=datetime.now(UTC)))


async def end(door: Door, session_id: str) -> None:
    await door.end(session_id)


@pytest.mark.parametrize(
    ("change", "reason"), [(suspend, "organization_suspended"), (end, "cancelled")]
)
async def test_what_may_not_be_opened_any_more_is_not(
    door: Door, change: Callable[..., Any], reason: str
) -> None:
    session_id = await door.ask(scheduled_at=datetime.now(UTC) + LATER)
    await change(door, session_id)
    if (await door.row(session_id)).due_at is not None:
        await door.write(session_id, due_at=factories.ago())
    await door.opener.open_due()
    row = await door.row(session_id)
    assert (door.sent, row.end_reason, row.due_at) == ([], reason, None)


async def test_a_room_that_a_late_token_made_anew_is_closed(door: Door) -> None:
    live, over, later = await door.ask(), await door.ask(), await door.ask()
    await door.opener.open_due()
    await door.end(over)
    room_cleanup = RoomCleanup(door.desk.database, door.desk.rooms)
    await room_cleanup.delete_rooms()
    door.desk.rooms.present |= {
        f"web-{over}": [person(over)],
        "web-of-others": [],
        "call-1": [],
        "inbound_1": [],
    }
    await room_cleanup.close_strays()
    left = {f"web-{live}", f"web-{later}", "web-of-others", "call-1", "inbound_1"}
    assert set(door.desk.rooms.present) == left


async def test_an_event_of_a_closed_session_changes_nothing(door: Door) -> None:
    session_id = await door.ask()
    await door.opener.open_due()
    await door.say(session_id, READY)
    await door.end(session_id)
    await door.say(session_id, AgentAlive(seq=2, at=0.0), AgentLeft(seq=3, at=0.0))
    row = await door.row(session_id)
    assert (row.end_reason, row.agent_ended_at) == ("cancelled", None)
