"""Provider servers for a test, and the embedded recogniser to hear what their voices say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from livekit import rtc
from livekit.agents.utils import http_context

from tests.providers.servers import ProviderServers, serving
from tests.providers.sound import Sound, samples_of

Hear = Callable[[rtc.AudioFrame], Awaitable[str]]


@pytest.fixture
async def servers() -> AsyncIterator[ProviderServers]:
    """Return running servers, and give the plugins the HTTP session that a job would."""
    async with serving() as started, http_context.open():
        yield started


@pytest.fixture
async def sound() -> AsyncIterator[Sound]:
    """Return a voice and a recogniser of the test's own."""
    made = Sound()
    yield made
    made.close()


@pytest.fixture
def hear(sound: Sound) -> Hear:
    """Return a function that tells what is said in some audio."""

    async def heard(frame: rtc.AudioFrame) -> str:
        return await sound.hear(samples_of(bytes(frame.data), frame.sample_rate))

    return heard


def next_event(session: Any, name: str) -> asyncio.Future[Any]:
    """Return a future of the next event of this name."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def happened(event: Any) -> None:
        if not future.done():
            future.set_result(event)

    session.once(name, happened)
    return future
