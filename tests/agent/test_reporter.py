"""Events arrive once, in order, through failures; a refused epoch ends the call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from agent.internal_api import Refused, Unreachable
from agent.reporter import Reporter
from control_plane.domain.events import (
    AgentAlive,
    AgentReady,
    CallAnswered,
    CallEvent,
    EventBatch,
    EventReceipt,
)

pytestmark = pytest.mark.unit


class StoredEvents:
    """A control plane that follows a script of failures and stores the rest."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.events: list[CallEvent] = []
        self.epochs: set[int] = set()
        self.stored = asyncio.Event()

    async def post_events(self, session_id: str, batch: EventBatch) -> EventReceipt:
        if self.failures:
            raise self.failures.pop(0)
        self.epochs.add(batch.epoch)
        known = {event.seq for event in self.events}
        self.events += [event for event in batch.events if event.seq not in known]
        self.stored.set()
        return EventReceipt(through=batch.events[-1].seq)

    async def post_recording(self, session_id: str, offset: int, page: bytes) -> int:
        raise AssertionError("no recording here")


Start = Callable[..., Reporter]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    started: list[Reporter] = []

    def _start(api: StoredEvents, heartbeat_s: float = 60.0) -> Reporter:
        reporter = Reporter(api, "session", 7, heartbeat_s=heartbeat_s, clock=lambda: 5.0)
        started.append(reporter)
        return reporter

    yield _start
    for reporter in started:
        await reporter.aclose(limit_s=1.0)


async def test_events_are_numbered_and_fenced(start: Start) -> None:
    api = StoredEvents()
    reporter = start(api)
    reporter.report(AgentReady)
    reporter.report(CallAnswered, sip_call_id="abc")
    await reporter.aclose(limit_s=5.0)
    assert api.events == [
        AgentReady(seq=1, at=5.0),
        CallAnswered(seq=2, at=5.0, sip_call_id="abc"),
    ]
    assert api.epochs == {7}


async def test_an_unreachable_control_plane_loses_and_doubles_nothing(start: Start) -> None:
    api = StoredEvents(Unreachable("down"), Unreachable("down"))
    reporter = start(api)
    reporter.report(AgentReady)
    reporter.report(CallAnswered)
    await reporter.aclose(limit_s=5.0)
    assert [event.seq for event in api.events] == [1, 2]


async def test_silence_is_filled_with_proof_of_life(start: Start) -> None:
    api = StoredEvents()
    start(api, heartbeat_s=0.01)
    await asyncio.wait_for(api.stored.wait(), 5.0)
    assert isinstance(api.events[0], AgentAlive)


async def test_a_refused_epoch_is_told_to_the_call(start: Start) -> None:
    reporter = start(StoredEvents(Refused("another owner")))
    reporter.report(AgentReady)
    await asyncio.wait_for(reporter.lost.wait(), 5.0)
    await reporter.aclose(limit_s=0.1)


async def test_closing_does_not_wait_for_ever(start: Start) -> None:
    reporter = start(StoredEvents(*[Unreachable("down")] * 1000))
    reporter.report(AgentReady)
    await asyncio.wait_for(reporter.aclose(limit_s=0.05), 5.0)
