"""Messages reach their receivers: signed, in order, again when they must, and never by detours."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from sqlalchemy import select, update
from standardwebhooks.webhooks import WebhookVerificationError

from control_plane.db.models.history import OutboxRow
from control_plane.db.models.webhook import Delivery, WebhookEndpoint, WebhookSigner
from control_plane.db.sealed import unseal
from control_plane.domain.delivery import WAITS, DeliveryState
from control_plane.domain.order_request import EventReceiver
from control_plane.webhooks import queue
from control_plane.webhooks.signing import new_secret, rotate
from tests import factories
from tests.webhooks.conftest import Desk, Receiver, verified

pytestmark = [pytest.mark.db, pytest.mark.engines]

Make = Callable[[], Awaitable[Receiver]]


async def test_an_event_arrives_signed_and_whole(desk: Desk, receiver: Receiver) -> None:
    _, secret = await desk.endpoint(receiver.url)
    order = await desk.order(metadata={"crm": "7"})
    await desk.announce(order, "call.ringing", status="calling", trunk="x")
    assert await desk.go() == 1
    [message] = receiver.messages
    body = verified(message, secret)
    assert message.headers["content-type"] == "application/json"
    assert body["type"] == "call.ringing"
    assert body["id"] == message.id
    assert body["sequence"] >= 1
    assert body["data"] == {
        "call_id": order,
        "attempt_id": None,
        "status": "calling",
        "trunk": "x",
        "metadata": {"crm": "7"},
    }
    [delivery] = await desk.deliveries()
    assert (delivery.state, delivery.tries, delivery.next_at) == (DeliveryState.DELIVERED, 1, None)
    [tried] = await desk.tries()
    assert (tried.number, tried.status, tried.error, tried.body) == (1, 200, None, "taken")
    with pytest.raises(WebhookVerificationError):
        verified(message, new_secret())


async def test_only_what_was_asked_for_and_only_ones_own(desk: Desk, receiver: Receiver) -> None:
    other = await factories.organization(desk.database)
    await desk.endpoint(receiver.url, "call.completed")
    await desk.endpoint(f"{receiver.url}?other", owner=other)
    order = await desk.order()
    await desk.announce(order, "call.ringing", "call.in_progress", "call.completed")
    assert await desk.go() == 1
    assert b"call.completed" in receiver.messages[0].body
    async with desk.database.reading() as session:
        left = await session.scalars(select(OutboxRow.id).where(OutboxRow.done_at.is_(None)))
        assert left.all() == []


async def test_an_endpoint_is_not_told_of_what_was_before_it(
    desk: Desk, receiver: Receiver
) -> None:
    order = await desk.order()
    await desk.announce(order, "call.ringing")  # no scheduler relays it for a while
    await desk.endpoint(receiver.url)
    await desk.announce(order, "call.completed")
    assert await desk.go() == 1
    assert b"call.completed" in receiver.messages[0].body


@pytest.mark.shows("webhook_url")
async def test_the_assistants_own_url_gets_the_whole_call_once(
    desk: Desk, receiver: Receiver
) -> None:
    order = await desk.order(assistant=factories.spec(webhook_url=f"{receiver.url}/own"))
    await desk.announce(order, "call.ringing", status="calling")
    await desk.announce(order, "call.completed", "call.completed", status="completed")
    assert await desk.go() == 1
    [message] = receiver.messages
    async with desk.database.reading() as session:
        signer = await session.get_one(WebhookSigner, desk.owner)
        secret = await unseal(session, desk.vault, signer.secret_id)
    body = verified(message, secret)
    assert list(body) == ["call"]
    assert body["call"]["id"] == order
    assert {"call_attempts", "assistant", "metadata", "to_phone_number"} <= set(body["call"])
    await desk.announce(order, "call.completed", status="completed")
    assert await desk.go() == 0, "a call ends once"


async def test_the_url_of_an_order_gets_the_events_that_it_asks_for(
    desk: Desk, receiver: Receiver
) -> None:
    url = desk.vault.seal_url(f"{receiver.url}/events")
    told = EventReceiver(url, ("call.ringing", "call.completed"))
    order = await desk.order(events_to=told, metadata={"a": "b"})
    other = await desk.order()
    for each in (order, other):
        await desk.announce(each, "call.initiating", "call.ringing", status="calling")
        await desk.announce(each, "call.completed", status="completed")
    assert await desk.go() == 2
    async with desk.database.reading() as session:
        signer = await session.get_one(WebhookSigner, desk.owner)
        secret = await unseal(session, desk.vault, signer.secret_id)
    bodies = [verified(message, secret) for message in receiver.messages]
    assert [body["type"] for body in bodies] == ["call.ringing", "call.completed"]
    assert {body["data"]["call_id"] for body in bodies} == {order}
    assert bodies[0]["data"]["metadata"] == {"a": "b"}
    assert await desk.go() == 0


async def test_a_large_event_stays_below_20_kb_and_says_what_is_missing(
    desk: Desk, receiver: Receiver
) -> None:
    _, secret = await desk.endpoint(receiver.url)
    order = await desk.order(metadata={str(n): "x" * 10_000 for n in range(9)})
    await desk.announce(order, "call.ringing", status="calling")
    await desk.announce(order, "call.failed", status="errored", detail="y" * 50_000)
    await desk.go()
    first, second = (verified(message, secret) for message in receiver.messages)
    assert all(len(message.body) < 20_000 for message in receiver.messages)
    assert first["data"]["left_out"] == ["metadata"]
    assert second["data"]["left_out"] == ["metadata", "detail"]
    assert second["data"]["status"] == "errored"


async def test_a_failing_receiver_is_tried_by_the_schedule_with_the_same_id_and_bytes(
    desk: Desk, receiver: Receiver
) -> None:
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing")
    receiver.then(*[500] * 10)
    assert await desk.go() == 1
    for wait in WAITS:
        assert await desk.pass_time(seconds=wait.total_seconds() - 1) == 0
        assert await desk.pass_time(seconds=2) == 1
    [delivery] = await desk.deliveries()
    assert (delivery.state, delivery.tries) == (DeliveryState.EXHAUSTED, 10)
    assert await desk.pass_time(days=30) == 0
    assert len(set(receiver.ids)) == 1
    assert len({message.body for message in receiver.messages}) == 1
    assert [each.number for each in await desk.tries()] == list(range(1, 11))


async def test_a_receiver_that_comes_back_gets_it(desk: Desk, receiver: Receiver) -> None:
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing")
    receiver.then(500)
    await desk.go()
    assert await desk.pass_time(seconds=6) == 1
    [delivery] = await desk.deliveries()
    assert (delivery.state, delivery.tries) == (DeliveryState.DELIVERED, 2)


async def test_retry_after_is_obeyed(desk: Desk, receiver: Receiver) -> None:
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing")
    receiver.then(503, headers={"Retry-After": "600"})
    await desk.go()
    assert await desk.pass_time(seconds=590) == 0
    assert await desk.pass_time(seconds=20) == 1


async def test_410_disables_the_endpoint_and_cancels_what_waits(
    desk: Desk, receiver: Receiver
) -> None:
    key, _ = await desk.endpoint(receiver.url)
    order = await desk.order()
    await desk.announce(order, "call.ringing", "call.in_progress")
    receiver.then(410)
    assert await desk.go() == 1
    first, second = await desk.deliveries()
    assert (first.state, second.state) == (DeliveryState.EXHAUSTED, DeliveryState.CANCELLED)
    async with desk.database.reading() as session:
        endpoint = await session.get_one(WebhookEndpoint, key)
    assert endpoint.disabled_at is not None
    assert "410" in (endpoint.disabled_reason or "")
    await desk.announce(order, "call.completed", status="completed")
    assert await desk.go() == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(
    desk: Desk, receiver: Receiver, status: int
) -> None:
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing")
    receiver.then(status, headers={"Location": f"{receiver.url}/elsewhere"})
    await desk.go()
    assert len(receiver.messages) == 1
    [tried] = await desk.tries()
    assert tried.status == status
    assert (await desk.deliveries())[0].state is DeliveryState.PENDING


async def test_receivers_that_are_down_or_private_fail_with_a_reason(
    desk: Desk, receiver: Receiver
) -> None:
    await desk.endpoint("http://127.0.0.1:1/")
    await desk.endpoint("http://169.254.169.254/latest")
    await desk.endpoint("http://[bad/")
    await desk.announce(await desk.order(), "call.ringing")
    assert await desk.go() == 3
    errors = " ".join(str(each.error) for each in await desk.tries())
    for words in ("OFFHOOK_ALLOW_PRIVATE", "is not a host name", "the connection failed"):
        assert words in errors


@pytest.mark.parametrize("try_limit_s", [3.0])
async def test_a_hanging_receiver_delays_nobody(
    desk: Desk, receiver: Receiver, make_receiver: Make
) -> None:
    stuck = await make_receiver()
    release = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    stuck.replies = [hang] * 100
    await desk.endpoint(stuck.url)
    await desk.endpoint(receiver.url)
    for _ in range(30):
        await desk.announce(await desk.order(), "call.ringing")
    await desk.relay()
    desk.now = datetime.now(UTC)
    [deliverer] = desk.deliverers
    async with asyncio.timeout(10):
        while len(receiver.messages) < 30:
            desk.room.clear()
            if not await deliverer.deliver_due():
                await desk.room.wait()
    assert len(stuck.messages) <= 16, "as many as one receiver may have at a time"
    await deliverer.settled()
    timed_out = [each for each in await desk.tries() if each.error]
    assert {each.error for each in timed_out} == {"no complete answer within 3 s"}
    release.set()


@pytest.mark.parametrize("try_limit_s", [3.0])
async def test_a_bomb_or_an_endless_body_does_no_harm_after_the_status(
    desk: Desk, receiver: Receiver
) -> None:
    bomb = gzip.compress(b"\x00x" * 50_000_000)

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        await asyncio.Event().wait()
        return response

    await desk.endpoint(receiver.url)
    receiver.then(200, body=bomb, headers={"Content-Encoding": "gzip"})
    receiver.replies.append(stall)
    for _ in range(2):
        await desk.announce(await desk.order(), "call.ringing")
        await desk.go()
    assert {each.state for each in await desk.deliveries()} == {DeliveryState.DELIVERED}
    bodies = [each.body or "" for each in await desk.tries()]
    assert bodies[0] == "x" * len(bodies[0])
    assert 0 < len(bodies[0]) <= 2_048


async def test_a_kill_between_post_and_write_sends_the_same_message_again(
    desk: Desk, receiver: Receiver
) -> None:
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing")
    await desk.relay()
    dying = desk.deliverer()
    held = asyncio.Event()

    async def hold(_request: web.Request) -> web.StreamResponse:
        held.set()
        await asyncio.Event().wait()
        return web.Response()

    receiver.replies.append(hold)
    desk.now = datetime.now(UTC)
    assert await dying.deliver_due() == 1
    await held.wait()
    await dying.finish(0.0)  # the message has arrived, and nobody writes it down
    assert await desk.tries() == []
    assert await desk.go() == 0, "its claim still holds"
    assert await desk.pass_time(seconds=queue.CLAIM.total_seconds() + 1) == 1
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1
    assert (await desk.deliveries())[0].state is DeliveryState.DELIVERED


async def test_a_deliverer_whose_claim_lapsed_changes_nothing(
    desk: Desk, receiver: Receiver
) -> None:
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing")
    await desk.relay()
    frozen, release = desk.deliverer(), asyncio.Event()

    async def late(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response(status=500)

    receiver.replies.append(late)
    desk.now = datetime.now(UTC)
    await frozen.deliver_due()
    await receiver.arrived.wait()
    assert await desk.pass_time(seconds=queue.CLAIM.total_seconds() + 1) == 1
    release.set()
    await frozen.settled()
    [delivery] = await desk.deliveries()
    assert (delivery.state, delivery.tries) == (DeliveryState.DELIVERED, 1)
    assert [each.status for each in await desk.tries()] == [200]


async def test_two_deliverers_share_the_work(desk: Desk, receiver: Receiver) -> None:
    await desk.endpoint(receiver.url)
    for _ in range(10):
        await desk.announce(await desk.order(), "call.ringing")
    await desk.relay()
    desk.now = datetime.now(UTC)
    second = desk.deliverer()
    begun = await asyncio.gather(desk.deliverers[0].deliver_due(), second.deliver_due())
    for deliverer in desk.deliverers:
        await deliverer.settled()
    assert sum(begun) == 10
    assert len(receiver.ids) == len(set(receiver.ids)) == 10


async def test_events_of_an_order_arrive_in_order_unless_one_fails(
    desk: Desk, receiver: Receiver
) -> None:
    _, secret = await desk.endpoint(receiver.url)
    order = await desk.order()
    kinds = ("call.initiating", "call.ringing", "call.in_progress")
    await desk.announce(order, *kinds)
    receiver.then(500)
    assert await desk.go() == 3
    seen = [verified(message, secret) for message in receiver.messages]
    assert [each["type"] for each in seen] == list(kinds)
    assert await desk.pass_time(seconds=6) == 1, "the failed one, later"
    last = verified(receiver.messages[-1], secret)
    assert last["type"] == "call.initiating"
    assert last["sequence"] < seen[1]["sequence"]


async def test_an_event_waits_for_the_first_try_of_the_one_before(
    desk: Desk, receiver: Receiver
) -> None:
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing", "call.completed")
    await desk.relay()
    desk.now = datetime.now(UTC)
    [deliverer] = desk.deliverers
    answered = asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        await answered.wait()
        return web.Response()

    receiver.replies.append(slow)
    assert await deliverer.deliver_due() == 1
    assert await deliverer.deliver_due() == 0
    answered.set()
    await deliverer.settled()
    assert await deliverer.deliver_due() == 1
    await deliverer.settled()
    kinds = [b"call.ringing" in message.body for message in receiver.messages]
    assert kinds == [True, False]


async def test_both_secrets_sign_until_the_grace_is_over(desk: Desk, receiver: Receiver) -> None:
    key, old = await desk.endpoint(receiver.url)
    async with desk.database.transaction() as session:
        row = await session.get_one(WebhookEndpoint, key)
        new = await rotate(
            session, desk.vault, row, grace=timedelta(hours=1), now=datetime.now(UTC)
        )
    await desk.announce(await desk.order(), "call.ringing")
    await desk.go()
    [message] = receiver.messages
    assert len(message.headers["webhook-signature"].split()) == 2
    assert verified(message, old) == verified(message, new)
    async with desk.database.transaction() as session:
        over = datetime.now(UTC) - timedelta(seconds=1)
        await session.execute(update(WebhookEndpoint).values(previous_until=over))
    await desk.announce(await desk.order(), "call.ringing")
    await desk.go()
    with pytest.raises(WebhookVerificationError):
        verified(receiver.messages[1], old)
    assert verified(receiver.messages[1], new)


async def test_a_replay_sends_the_same_message_with_a_schedule_of_its_own(
    desk: Desk, receiver: Receiver
) -> None:
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing")
    await desk.go()
    async with desk.database.transaction() as session:
        [row] = await desk.deliveries()
        count = await queue.replay(session, Delivery.id == row.id, url=None, now=desk.now)
    assert count == 1
    receiver.then(500)
    assert await desk.go() == 1
    assert await desk.pass_time(seconds=6) == 1
    assert len(set(receiver.ids)) == 1
    assert [each.number for each in await desk.tries()] == [1, 2, 3]


async def test_the_next_instant_is_known(desk: Desk, receiver: Receiver) -> None:
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing")
    receiver.then(500)
    await desk.go()
    due, now = await desk.deliverers[0].next_due()
    assert due is not None
    assert timedelta(seconds=4) < due - now <= timedelta(seconds=6)
