"""The watchdogs of a live call end with it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from livekit import rtc
from livekit.agents import AgentSession, UserInputTranscribedEvent

from agent.ending import Ending
from agent.limits import SilenceWatch
from agent.speaker import Speaker
from tests.factories import spec

pytestmark = pytest.mark.unit


class Session(rtc.EventEmitter[str]):
    """What the watch looks at of a session."""

    agent_state = user_state = "listening"


async def turn_of_the_loop(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(6))
async def test_a_watch_is_over_although_words_come_as_the_call_ends(turns: int) -> None:
    session = Session()
    talk = cast("AgentSession[Any]", session)
    watch = asyncio.create_task(SilenceWatch(spec(), talk, Speaker(talk), Ending()).run())
    await turn_of_the_loop(3)
    session.emit(
        "user_input_transcribed", UserInputTranscribedEvent(transcript="Bye.", is_final=True)
    )
    await turn_of_the_loop(turns)
    watch.cancel()
    done, _ = await asyncio.wait([watch], timeout=10)
    assert done
    assert watch.cancelled()
