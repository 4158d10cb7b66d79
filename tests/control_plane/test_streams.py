"""Event streams: capped per key, ended with their key, fed by one look for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from control_plane.app import Resources, create_public_app
from control_plane.domain.errors import TooMany
from control_plane.http.auth import Principal
from control_plane.http.streams import CHECK_S, IDLE, OpenStreams
from control_plane.orders.stream import stream as follow_order
from control_plane.webhooks.feed import stream as follow_all
from tests.control_plane.test_call_api import place
from tests.statements import noted

pytestmark = [pytest.mark.db, pytest.mark.engines]


class Clock:
    """A clock that is told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def forever() -> AsyncGenerator[bytes, None]:
    """A stream on which something happens at once, always."""
    while True:
        yield b"data: x\n\n"


@pytest.fixture
async def principal(resources: Resources, credentials: dict[str, str]) -> Principal:
    return await resources.ring.check(credentials["api_key"], client="test")


async def new_key(api: httpx.AsyncClient, resources: Resources) -> tuple[str, Principal]:
    made = (await api.post("/keys", json={"name": "streams", "scopes": ["calls"]})).json()
    return made["id"], await resources.ring.check(made["key"], client="test")


async def test_a_stream_ends_within_the_time_after_its_key_was_revoked(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    clock = Clock()
    streams = OpenStreams(resources.ring, clock=clock)
    key_id, principal = await new_key(api, resources)
    stream, second = streams.begin(principal, forever()), streams.begin(principal, forever())
    assert await anext(stream)
    assert (await api.delete(f"/keys/{key_id}")).is_success
    clock.now += CHECK_S - 1
    assert await anext(stream)
    clock.now += 1
    for each in (stream, second):
        with pytest.raises(StopAsyncIteration):
            await anext(each)


async def test_a_stream_of_a_key_that_holds_goes_on_and_its_key_is_read_once(
    resources: Resources, principal: Principal
) -> None:
    clock = Clock()
    streams = OpenStreams(resources.ring, clock=clock)
    some = [streams.begin(principal, forever()) for _ in range(5)]
    with noted(resources.database._reader) as statements:
        for _ in range(3):
            clock.now += CHECK_S
            for stream in some:
                assert await anext(stream)
    assert sum("api_key" in text for text, _ in statements) == 3
    for stream in some:
        await stream.aclose()


async def test_an_idle_stream_is_checked_too(api: httpx.AsyncClient, resources: Resources) -> None:
    clock = Clock()
    streams = OpenStreams(resources.ring, clock=clock)
    key_id, principal = await new_key(api, resources)
    call = await place(api)
    owner = principal.organization_id
    database = resources.database
    idle = [
        streams.begin(principal, follow_all(database, resources.feed, owner, after=None, types=[])),
        streams.begin(principal, follow_order(database, resources.watch, call["id"], after=10_000)),
    ]
    waiting = [asyncio.ensure_future(anext(each, None)) for each in idle]
    assert (await api.delete(f"/keys/{key_id}")).is_success
    clock.now += CHECK_S
    async with asyncio.timeout(10):
        assert await asyncio.gather(*waiting) == [None, None]


async def test_a_key_has_so_many_streams_and_no_more(
    resources: Resources, principal: Principal
) -> None:
    streams = OpenStreams(resources.ring, most=2)
    begun, unused = streams.begin(principal, forever()), streams.begin(principal, forever())
    assert await anext(begun)
    with pytest.raises(TooMany, match="2 event streams open: close one"):
        streams.begin(principal, forever())
    await begun.aclose()
    again = streams.begin(principal, forever())
    with pytest.raises(TooMany):
        streams.begin(principal, forever())
    del unused  # its client was gone before the first byte
    more = streams.begin(principal, forever())
    for stream in (again, more):
        await stream.aclose()


async def test_the_api_says_that_a_key_has_too_many(
    resources: Resources, credentials: dict[str, str]
) -> None:
    none = replace(resources, streams=OpenStreams(resources.ring, most=0))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_public_app(none)),
        base_url="http://api",
        headers={"Authorization": f"Bearer {credentials['api_key']}"},
    ) as api:
        call = await place(api)
        for path in ("/webhook/events", f"/call/{call['id']}/events"):
            said = await api.get(path, headers={"Accept": "text/event-stream"})
            assert said.status_code == 429
            assert said.headers["retry-after"] == "5"
            assert (await api.get(path)).status_code == 200


@contextlib.asynccontextmanager
async def following(
    resources: Resources, owner: str, count: int, **given: Any
) -> AsyncIterator[list[asyncio.Queue[bytes]]]:
    """Follow the organization `count` times; each queue gets what its stream yields."""
    heard: list[asyncio.Queue[bytes]] = [asyncio.Queue() for _ in range(count)]

    async def follow(queue: asyncio.Queue[bytes]) -> None:
        options = {"after": None, "types": [], **given}
        async for chunk in follow_all(resources.database, resources.feed, owner, **options):
            queue.put_nowait(chunk)

    tasks = [asyncio.create_task(follow(queue)) for queue in heard]
    try:
        yield heard
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def first(queue: asyncio.Queue[bytes]) -> bytes:
    """The next event on a stream."""
    async with asyncio.timeout(10):
        while (chunk := await queue.get()) == IDLE:
            pass
    return chunk


async def test_many_streams_cost_one_look(
    api: httpx.AsyncClient, resources: Resources, principal: Principal
) -> None:
    async with following(resources, principal.organization_id, 30) as heard:
        for queue in heard:  # each has read for itself, before and after the shared look began
            assert [await queue.get(), await queue.get()] == [IDLE, IDLE]
        with noted(resources.database._reader) as statements:
            call = await place(api)
            await api.post(f"/call/{call['id']}/cancel")
            said = [await first(queue) for queue in heard]
        assert len(set(said)) == 1
        outbox = [text for text, _ in statements if "FROM outbox" in text]
        assert 0 < len(outbox) < 15  # not one per stream


async def test_a_stream_that_resumes_misses_nothing_and_repeats_nothing(
    api: httpx.AsyncClient, resources: Resources, principal: Principal
) -> None:
    owner = principal.organization_id
    before = await place(api)
    await api.post(f"/call/{before['id']}/cancel")
    listed = (await api.get("/webhook/events")).json()["events"]
    async with (
        following(resources, owner, 1, after=listed[0]["id"]) as [resumed],
        following(resources, owner, 1) as [fresh],
    ):
        for each in listed[1:]:
            assert f"id: {each['id']}\n".encode() in await first(resumed)
        while await fresh.get() != IDLE:
            pass
        after = await place(api)
        await api.post(f"/call/{after['id']}/cancel")
        newer = (await api.get(f"/webhook/events?after={listed[-1]['id']}")).json()["events"]
        assert newer
        for queue in (resumed, fresh):
            said = [await first(queue) for _ in newer]
            for each, frame in zip(newer, said, strict=True):
                assert f"id: {each['id']}\n".encode() in frame


async def test_a_stream_that_fell_behind_reads_for_itself(
    api: httpx.AsyncClient,
    resources: Resources,
    principal: Principal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("control_plane.webhooks.feed._MOST_WAITING", 1)
    stream = follow_all(
        resources.database, resources.feed, principal.organization_id, after=None, types=[]
    )
    assert await anext(stream) == IDLE
    for _ in range(4):
        call = await place(api)
        await api.post(f"/call/{call['id']}/cancel")
    known = (await api.get("/webhook/events?limit=200")).json()["events"]
    await asyncio.sleep(0)
    got: list[bytes] = []
    async with asyncio.timeout(15):
        while len(got) < len(known):
            if (chunk := await anext(stream)) != IDLE:
                got.append(chunk)
    await stream.aclose()
    assert len(set(got)) == len(known)


async def test_streams_of_orders_cost_one_look(
    api: httpx.AsyncClient, resources: Resources, principal: Principal
) -> None:
    calls = [await place(api, phone_number=f"+1202555010{n}") for n in range(4)]
    streams = [
        follow_order(resources.database, resources.watch, call["id"], after=1)
        for call in calls
    ]  # fmt: skip
    for _ in range(2):  # each has read before and after the shared look began
        assert await asyncio.gather(*(anext(each) for each in streams)) == [IDLE] * 4
    waiting = [asyncio.ensure_future(anext(each)) for each in streams]
    with noted(resources.database._reader) as statements:
        await api.post(f"/call/{calls[2]['id']}/cancel")
        told = await waiting[2]
        while told == IDLE:  # on a slow machine
            told = await anext(streams[2])
        assert b"cancel" in told
    looks = [text for text, _ in statements if "FROM call_event" in text and "max(" not in text]
    assert len(looks) < 4  # only the stream whose order has changed reads
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for each in streams:
        await each.aclose()
