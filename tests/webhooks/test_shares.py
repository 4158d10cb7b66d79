"""Receivers that hang take their own share of the tries, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import web

from scheduler.deliver import MOST_PER_RECEIVER, MOST_UNDER_WAY
from tests import factories
from tests.webhooks.conftest import Desk, Receiver

pytestmark = [pytest.mark.db, pytest.mark.engines]
Make = Callable[[], Awaitable[Receiver]]
HANGING = 30  # with as many as one may have at a time, more than there are
ON_TIME_S = 5.0


async def let_everything_hang(desk: Desk, stuck: Receiver) -> None:
    """Have more due to receivers that never answer than may be under way."""

    async def hang(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    stuck.replies = [hang] * (2 * MOST_UNDER_WAY)
    for number in range(HANGING):
        await desk.endpoint(f"{stuck.url}/{number}")
    for _ in range(MOST_PER_RECEIVER):
        await desk.announce(await desk.order(), "call.ringing")
    await begin(desk)
    assert await desk.deliverers[0].deliver_due() == 0


async def begin(desk: Desk) -> None:
    """Begin every try that may be begun."""
    await desk.relay()
    desk.now = datetime.now(UTC)
    while await desk.deliverers[0].deliver_due():
        pass


async def test_another_organizations_event_does_not_wait(
    desk: Desk, receiver: Receiver, make_receiver: Make
) -> None:
    await let_everything_hang(desk, await make_receiver())
    desk.owner = await factories.organization(desk.database)
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing")
    await begin(desk)
    async with asyncio.timeout(ON_TIME_S):
        await receiver.arrived.wait()


async def test_another_receiver_of_the_same_organization_does_not_wait(
    desk: Desk, receiver: Receiver, make_receiver: Make
) -> None:
    await let_everything_hang(desk, await make_receiver())
    await desk.endpoint(receiver.url, "call.completed")
    await desk.announce(await desk.order(), "call.completed")
    await begin(desk)
    async with asyncio.timeout(ON_TIME_S):
        await receiver.arrived.wait()


@pytest.mark.parametrize("try_limit_s", [1.0])
async def test_what_was_held_back_goes_on_by_itself(desk: Desk, make_receiver: Make) -> None:
    """Nobody rings but the deliverer: room comes as tries end."""
    await let_everything_hang(desk, await make_receiver())
    async with asyncio.timeout(20):
        while any(delivery.claim == 0 for delivery in await desk.deliveries()):
            await desk.room.wait()
            desk.room.clear()
            await desk.deliverers[0].deliver_due()
