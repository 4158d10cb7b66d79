"""Whose number a human sees who is called in, and humans for who came by a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from control_plane.assistants.schemas import InlineAssistant
from control_plane.browser import asking as sessions
from control_plane.browser.asking import Asked
from control_plane.browser.schemas import StartSession
from control_plane.db.base import read_clock
from control_plane.domain.assistant import TransferCallerId
from control_plane.domain.transitions import AgentSent, DialAnswered
from control_plane.sessions import leases, lifecycle
from tests import factories
from tests.scheduler.conftest import Desk
from tests.scheduler.test_humans import COLLEAGUE, Call, answering, asking

pytestmark = [pytest.mark.db, pytest.mark.engines]


@asynccontextmanager
async def visiting(desk: Desk) -> AsyncIterator[Call]:
    """Somebody who talks to the agent in a browser."""
    given = StartSession(assistant=InlineAssistant(prompt="Be kind."))
    asked = Asked(desk.owner, None, given)
    started = await sessions.start(desk.database, desk.vault, asked)
    async with desk.database.transaction() as db:
        _, call = await leases.lock(db, started.call.id, epoch=None)
        for fact in (AgentSent, DialAnswered):
            await lifecycle.apply(db, call, fact(at=await read_clock(db)))
    async with asking(desk, None, await factories.reload_attempt(desk.database, call.id)) as made:
        yield made


@pytest.mark.shows("transfer_caller_id")
async def test_the_human_sees_the_persons_number_where_that_is_wanted(desk: Desk) -> None:
    shown = factories.spec(transfer_caller_id=TransferCallerId.PERSON)
    async with answering(desk, assistant=shown) as call:
        leg_id = await call.asked_and_dialled()
        [request] = desk.sip.dialled
        assert (request.to_number, request.from_number) == (COLLEAGUE, factories.NUMBER)
        assert (await call.leg(leg_id)).trunk_id == call.attempt.trunk_id  # ours, all the same


async def test_who_came_by_a_browser_is_handed_over_and_watched(desk: Desk) -> None:
    """The human sees the assistant's number; whichever of them leaves ends it for the other."""
    async with visiting(desk) as call:
        leg_id = await call.asked_and_dialled()
        [request] = desk.sip.dialled
        assert (request.to_number, request.from_number) == (COLLEAGUE, factories.OURS)
        assert request.room_name == f"web-{call.attempt.id}"
        [told] = await call.events("session.transferred")
        assert (told["to_phone_number"], told["status"]) == (COLLEAGUE, "in_progress")
        call.seen(human=leg_id)
        watch = call.watch
        for _ in range(3):
            await watch.check()
        assert (await call.reloaded()).closed_at is None
        call.seen(human=None)
        for _ in range(2):
            await watch.check()
        after = await call.reloaded()
        assert (after.end_reason, after.detail) == ("transfer", "the human hung up")
        assert len(await call.events("session.completed")) == 1
