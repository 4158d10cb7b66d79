"""Finals that come twice are heard once; a turn waits for the words that are owed."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import stt
from livekit.agents.language import LanguageCode
from livekit.agents.llm import ChatContext

from agent.hearing import ECHO_S, WORDS_LIMIT_S, Echoes, Words
from agent.turn_taking import PROFILES, TurnJudge
from control_plane.domain.assistant import Language, TurnTaking

pytestmark = pytest.mark.unit

FINAL, INTERIM = stt.SpeechEventType.FINAL_TRANSCRIPT, stt.SpeechEventType.INTERIM_TRANSCRIPT


class Ear:
    """Echoes at a time that is told."""

    def __init__(self) -> None:
        self.now = 10.0
        self.echoes = Echoes(lambda: self.now)

    def is_echo(self, text: str, kind: stt.SpeechEventType = FINAL) -> bool:
        said = stt.SpeechData(language=LanguageCode("en"), text=text)
        return self.echoes.is_echo(stt.SpeechEvent(type=kind, alternatives=[said]))


def test_the_same_final_at_once_is_an_echo() -> None:
    ear = Ear()
    assert [ear.is_echo("Hello."), ear.is_echo("Hello."), ear.is_echo(" Hello. ")] == [
        False,
        True,
        True,
    ]


def test_the_same_words_said_anew_are_none() -> None:
    ear = Ear()
    assert not ear.is_echo("Yes.")
    ear.echoes.speech_began()
    assert not ear.is_echo("Yes.")


def test_the_same_words_later_are_none() -> None:
    ear = Ear()
    assert not ear.is_echo("Yes.")
    ear.now += ECHO_S
    assert not ear.is_echo("Yes.")


def test_other_words_and_what_is_no_final_are_none() -> None:
    ear = Ear()
    assert not ear.is_echo("Yes.")
    assert not ear.is_echo("Yes.", INTERIM)
    assert not ear.is_echo("No.")
    assert not ear.is_echo("")
    assert not ear.is_echo("")


START, END = stt.SpeechEventType.START_OF_SPEECH, stt.SpeechEventType.END_OF_SPEECH


def sent(kind: stt.SpeechEventType, text: str = "") -> stt.SpeechEvent:
    said = [stt.SpeechData(language=LanguageCode("en"), text=text)] if kind is FINAL else []
    return stt.SpeechEvent(type=kind, alternatives=said)


def judging(judge: TurnJudge) -> asyncio.Task[float]:
    context = ChatContext()
    context.add_message(role="user", content="I am a new patient.")
    return asyncio.create_task(judge.predict_end_of_turn(context))


async def settled(task: asyncio.Task[float]) -> bool:
    """Return whether it is done once everything has happened that waits for nothing."""
    for _ in range(5):
        await asyncio.sleep(0)
    return task.done()


@pytest.mark.parametrize("ended", [(), (END,)], ids=["before its end is told", "after"])
async def test_a_turn_is_not_judged_while_words_of_it_are_owed(
    ended: tuple[stt.SpeechEventType, ...],
) -> None:
    judge = TurnJudge(Language.EN_US, PROFILES[TurnTaking.BALANCED])
    for event in (sent(START), sent(END), sent(FINAL, "I am a new patient."), sent(START)):
        judge.words.receive(event)
    for kind in ended:
        judge.words.receive(sent(kind))
    first = judging(judge)
    assert not await settled(first)
    judge.words.receive(sent(FINAL, "How much does a cleaning cost?"))
    assert not await settled(first)  # LiveKit asks again, with these words, and drops this one
    first.cancel()
    assert await settled(judging(judge))


async def test_a_sound_without_words_holds_a_turn_up_until_that_is_known() -> None:
    judge = TurnJudge(Language.EN_US, PROFILES[TurnTaking.BALANCED])
    for event in (sent(FINAL, "I am a new patient."), sent(START), sent(END)):
        judge.words.receive(event)
    first = judging(judge)
    assert not await settled(first)
    judge.words.receive(sent(FINAL))
    assert await settled(first)


async def test_words_that_are_dropped_are_owed_no_more() -> None:
    judge = TurnJudge(Language.EN_US, PROFILES[TurnTaking.BALANCED])
    judge.words.receive(sent(START))
    first = judging(judge)
    assert not await settled(first)
    judge.words.receive(sent(FINAL, "Mm-hm."))
    judge.words.drop()
    assert await settled(first)


async def test_words_are_not_waited_for_for_ever() -> None:
    words = Words()
    words.receive(sent(START))
    async with asyncio.timeout(WORDS_LIMIT_S):
        await words.wait_none(0.01)
        await words.wait_none()
