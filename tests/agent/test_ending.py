"""The first reason to end a call wins."""

from __future__ import annotations

import asyncio

import pytest

from agent.ending import Ending, Verdict
from control_plane.domain.events import EndedBy, EndReason

pytestmark = pytest.mark.unit


async def test_the_first_reason_wins() -> None:
    ending = Ending()
    ending.end(EndedBy.USER)
    ending.end(EndedBy.SYSTEM, EndReason.MAX_DURATION)
    assert await ending.wait() == Verdict(EndedBy.USER)


async def test_a_cancelled_waiter_leaves_the_ending_open() -> None:
    ending = Ending()
    waiter = asyncio.create_task(ending.wait())
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert not ending.done
    ending.end(EndedBy.AGENT, EndReason.SILENCE, "nobody spoke")
    assert await ending.wait() == Verdict(EndedBy.AGENT, EndReason.SILENCE, "nobody spoke")
