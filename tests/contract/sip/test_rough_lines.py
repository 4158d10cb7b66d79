"""What a line that loses, delays, reorders and pauses leaves of a voice, by each way of sound."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from livekit import api

from tests.contract.sip.near import NearAgent
from tests.contract.sip.peer import TONE, Phone, Talk
from tests.contract.sip.test_on_hold import Agent, agent, both_hear, passes, talking
from tests.contract.sip.test_outbound import dial
from tests.contract.sip.test_short_way import LOUD

__all__ = ["agent"]
pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]
SECONDS = 6
Packet = tuple[float, int]  # when it is sent (s), which of them it is


@pytest.fixture
async def talk(
    sip: api.SipService, phone: Phone, trunk: str, agent: Agent, room_name: str
) -> AsyncIterator[Talk]:
    """Both hear each other."""
    async with talking(sip, phone, agent, dial(room_name, trunk)) as dialog:
        yield dialog


def lossy(chance: random.Random) -> Iterator[Packet]:
    """5 % are lost."""
    return ((n * 0.02, n) for n in range(50 * SECONDS) if chance.random() >= 0.05)


def jittery(chance: random.Random) -> Iterator[Packet]:
    """Each is up to 200 ms late, so most of them overtake each other."""
    return ((n * 0.02 + chance.random() * 0.2, n) for n in range(50 * SECONDS))


def reordered(_chance: random.Random) -> Iterator[Packet]:
    """Every tenth comes after the two that follow it."""
    return ((n * 0.02 + (0.05 if n % 10 == 0 else 0.0), n) for n in range(50 * SECONDS))


@pytest.mark.parametrize("agent", ["room", "short way"], indirect=True)
@pytest.mark.parametrize("line", [lossy, jittery, reordered])
async def test_a_voice_is_heard_over_a_rough_line(
    talk: Talk, phone: Phone, agent: Agent, line: Callable[[random.Random], Iterator[Packet]]
) -> None:
    await phone.hush()
    loop = asyncio.get_running_loop()
    start = loop.time()
    for at, n in line(random.Random(7)):
        loop.call_at(start + at, phone.send_rtp, talk.rtp_to, 20_000 + n, 10**6 + 160 * n, TONE)
    heard = (await passes(agent, SECONDS))[50:-25]
    least = 0.9 if isinstance(agent, NearAgent) else 0.6  # in the room no hole is concealed
    assert sum(level >= LOUD for level in heard) / len(heard) > least
    assert phone.count("BYE") == 0


@pytest.mark.parametrize("agent", ["room", "short way"], indirect=True)
async def test_a_gap_of_eight_seconds_is_survived(talk: Talk, phone: Phone, agent: Agent) -> None:
    await phone.hush()
    silent = (await passes(agent, 8.0))[50:]
    assert max(silent) < 500
    phone.speak(talk.rtp_to)
    await both_hear(phone, agent)
    assert phone.count("BYE") == 0
