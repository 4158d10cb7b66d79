"""Groups: whoever comes together is handed over together, and who comes alone does not wait."""

from __future__ import annotations

import asyncio

import pytest

from control_plane.orders.batch_queue import BatchQueue

pytestmark = pytest.mark.unit

LONG_S = 600.0  # nothing here waits for it


def queue(max_wait_s: float = LONG_S, most: int = 64) -> BatchQueue[int]:
    return BatchQueue(most=most, most_waiting=100, max_wait_s=max_wait_s)


async def grouped(waiting: BatchQueue[int], *items: int) -> list[int]:
    for item in items:
        waiting.put(item)
    return await waiting.next()


async def test_who_comes_alone_is_handed_over_at_once() -> None:
    waiting = queue()
    assert await grouped(waiting, 1) == [1]
    assert await grouped(waiting, 2) == [2]


async def test_a_group_waits_for_as_many_as_came_lately() -> None:
    waiting = queue()
    assert await grouped(waiting, *range(10)) == list(range(10))
    coming = asyncio.create_task(waiting.next())
    for item in range(10):
        assert not coming.done()
        waiting.put(item)
        await asyncio.sleep(0)
    assert await coming == list(range(10))


async def test_those_who_stay_away_are_waited_for_less_and_less() -> None:
    waiting = queue(max_wait_s=0.001)
    await grouped(waiting, *range(5))
    for _ in range(5):  # 5, 4, 3.2, 2.6, 2: the patience runs out each time
        assert await grouped(waiting, 7) == [7]
    waiting.max_wait_s = LONG_S
    assert await grouped(waiting, 8) == [8]


async def test_a_group_is_no_larger_than_it_may_be_and_the_rest_follows() -> None:
    waiting = queue(most=3)
    assert await grouped(waiting, *range(7)) == [0, 1, 2]
    assert await waiting.next() == [3, 4, 5]
    assert waiting.now(10) == [6]
    assert waiting.now(10) == []


async def test_too_many_are_refused() -> None:
    waiting = queue()
    for item in range(100):
        waiting.put(item)
    with pytest.raises(asyncio.QueueFull):
        waiting.put(100)
