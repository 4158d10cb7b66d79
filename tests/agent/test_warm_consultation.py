"""A human who has answered: told, asked, and what each of their answers is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest
from livekit import rtc

from agent.audio.frames import SAID_RATE, frame_of
from agent.warm import consultation
from agent.warm.consultation import ASKED_AT_MOST, Consultation
from agent.warm.phrases import is_taken, phrases
from control_plane.domain.assistant import Language
from control_plane.domain.human_leg import HumanResult

pytestmark = pytest.mark.unit


def sound(seconds: float) -> list[rtc.AudioFrame]:
    return [frame_of(bytes(2 * round(SAID_RATE * seconds)))]


TOLD, QUESTION = sound(0.04), sound(0.02)


class Human:
    """A private line with a human at its end, who does `then` when they have heard so much."""

    def __init__(self, then: Callable[[Human], None] = lambda _: None, *, after: int = 1) -> None:
        self.on_words: Callable[[str], None] | None = None
        self.on_key: Callable[[str], None] | None = None
        self.on_left: Callable[[], None] | None = None
        self.heard: list[list[rtc.AudioFrame]] = []
        self._then, self._after = then, after

    def say(self, frames: Iterable[rtc.AudioFrame]) -> float:
        self.heard.append(list(frames))
        if len(self.heard) == self._after:
            asyncio.get_running_loop().call_soon(self._then, self)
        return sum(frame.duration for frame in self.heard[-1])

    async def isolate(self) -> None: ...
    async def connect(self) -> None: ...
    async def put_out(self) -> None: ...

    def presses(self, key: str) -> None:
        assert self.on_key is not None
        self.on_key(key)

    def says(self, words: str) -> None:
        assert self.on_words is not None
        self.on_words(words)

    def leaves(self) -> None:
        assert self.on_left is not None
        self.on_left()


async def asked(human: Human, language: Language = Language.EN_US) -> HumanResult:
    return await Consultation(human, language).run(TOLD, QUESTION)


@pytest.mark.parametrize(
    ("key", "result"), [("1", HumanResult.ANSWERED), ("2", HumanResult.DECLINED)]
)
async def test_a_key_counts_while_they_are_still_told(key: str, result: HumanResult) -> None:
    human = Human(lambda human: human.presses(key), after=1)
    assert await asked(human) is result
    assert human.heard == [TOLD], "nothing is said after it"


async def test_another_key_is_none() -> None:
    def presses(human: Human) -> None:
        human.presses("5")
        human.presses("1")

    assert await asked(Human(presses)) is HumanResult.ANSWERED


@pytest.mark.parametrize(
    ("words", "result"),
    [
        ("Yes.", HumanResult.ANSWERED),
        ("Okay, put her through!", HumanResult.ANSWERED),
        ("I'll take it.", HumanResult.ANSWERED),
        ("No, I can't.", HumanResult.DECLINED),
        ("No, I cannot take it now.", HumanResult.DECLINED),
        ("Please leave a message after the tone.", HumanResult.VOICEMAIL),
    ],
)
async def test_words_answer_the_question(words: str, result: HumanResult) -> None:
    assert await asked(Human(lambda human: human.says(words), after=2)) is result


async def test_a_yes_before_the_question_is_a_greeting() -> None:
    human = Human(lambda human: human.says("Yes?"), after=1)
    human_asked = asyncio.create_task(asked(human))
    while len(human.heard) < 2:
        await asyncio.sleep(0)
    assert not human_asked.done()
    human.says("Yes.")
    assert await human_asked is HumanResult.ANSWERED


async def test_a_voicemail_is_told_by_its_greeting() -> None:
    greeting = "Hello, you have reached my voicemail."
    human = Human(lambda human: human.says(greeting), after=1)
    assert await asked(human) is HumanResult.VOICEMAIL


async def test_who_hangs_up_has_left() -> None:
    assert await asked(Human(lambda human: human.leaves(), after=2)) is HumanResult.LEFT


async def test_who_says_neither_is_asked_again_and_then_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consultation, "ANSWER_WITHIN_S", 0.02)
    human = Human()
    assert await asked(human) is HumanResult.NOT_TAKEN
    assert human.heard == [TOLD] + [QUESTION] * ASKED_AT_MOST


async def test_who_does_not_understand_is_asked_again_at_once() -> None:
    human = Human()
    result = asyncio.create_task(asked(human))
    async with asyncio.timeout(5):
        while not result.done():
            if len(human.heard) == 2:
                human.says("What do you mean?")
            elif len(human.heard) == 3:
                human.says("Yes, sure.")
            await asyncio.sleep(0.005)
    assert result.result() is HumanResult.ANSWERED


async def test_nobody_is_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consultation, "LIMIT_S", 0.05)
    assert await asked(Human()) is HumanResult.NOT_TAKEN


@pytest.mark.parametrize(
    ("language", "yes", "no"),
    [
        (Language.EN_GB, "Yes, go ahead.", "Not now."),
        (Language.ES_MX, "Sí, claro.", "No, ahora no."),
        (Language.PT_PT, "Sim, pode passar.", "Não."),
        (Language.DE_DE, "Ja, gern.", "Nein, keine Zeit."),
        (Language.FR_FR, "Oui, d'accord.", "Non, plus tard."),
        (Language.IT_IT, "Sì, va bene.", "No, sono occupato."),
        (Language.PL_PL, "Tak, dobrze.", "Nie, później."),
        (Language.RO_RO, "Da, sigur.", "Nu, mai târziu."),
    ],
)
def test_each_language_has_its_words(language: Language, yes: str, no: str) -> None:
    assert is_taken(yes, language) is True
    assert is_taken(no, language) is False
    assert phrases(language).question


@pytest.mark.parametrize(
    "words",
    [
        "",
        "Hello?",
        "One moment, please.",
        "No problem, yes.",
        "Yes I was just telling them that we had a very long day at the office today.",
    ],
)
def test_what_is_neither_takes_nothing(words: str) -> None:
    assert is_taken(words, Language.EN_US) is None


def test_one_moment_takes_nothing_anywhere() -> None:
    moments = {
        Language.ES_ES: "Un momento.",
        Language.PT_PT: "Um momento.",
        Language.FR_FR: "Un instant.",
        Language.IT_IT: "Un momento.",
        Language.DE_DE: "Einen Moment.",
        Language.RO_RO: "Un moment.",
        Language.PL_PL: "Chwileczkę.",
    }
    assert all(is_taken(words, language) is None for language, words in moments.items())
