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


def speaker_of(talk: AgentSession[Any], said: list[str]) -> Speaker:
    """Return one that notes what it is to say."""

    async def say(text: str) -> None:
        said.append(text)

    speaker = Speaker(talk)
    speaker.say = say  # type: ignore[method-assign, assignment]
    return speaker


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


async def test_nobody_is_asked_while_the_person_is_waited_for() -> None:
    session, away = Session(), True
    talk = cast("AgentSession[Any]", session)
    said: list[str] = []
    speaker = speaker_of(talk, said)
    impatient = spec(silence_timeout_secs=0)
    ending = Ending()
    watch = asyncio.create_task(
        SilenceWatch(impatient, talk, speaker, ending, is_away=lambda: away).run()
    )
    await turn_of_the_loop(50)
    assert (said, ending.done) == ([], False)
    away = False
    async with asyncio.timeout(10):
        await watch
    assert (len(said), ending.done) == (3, True)


async def test_silence_that_somebody_else_deals_with_is_not_asked_about() -> None:
    session = Session()
    talk = cast("AgentSession[Any]", session)
    said: list[str] = []
    told: list[int] = []
    ending = Ending()

    def is_dealt_with(asked: int) -> bool:
        told.append(asked)
        return asked == 1 and len(told) < 5

    impatient, speaker = spec(silence_timeout_secs=0), speaker_of(talk, said)
    watch = SilenceWatch(impatient, talk, speaker, ending, is_dealt_with=is_dealt_with)
    async with asyncio.timeout(10):
        await watch.run()
    assert told == [0, 1, 1, 1, 1, 2]
    assert (len(said), ending.done) == (3, True)
