"""Whose turn it is, judged by the words."""

from __future__ import annotations

from typing import Any, cast

import pytest
from livekit.agents import AgentSession
from livekit.agents.llm import ChatContext
from livekit.agents.voice.turn import EndpointingOptions

from agent.turn_taking import (
    DETECTION_LAG_S,
    PROFILES,
    UNLIKELY,
    TurnJudge,
    finished,
    is_backchannel,
    turn_handling,
)
from agent.turn_words import BACKCHANNELS, COURTESIES, FILLERS, HOLDERS, THANKS, WHOLE_ENDINGS
from control_plane.domain.assistant import Language, TurnTaking

pytestmark = pytest.mark.unit


class Waits:
    """What the judge tells a session."""

    longest_s = 0.0

    def update_options(self, *, endpointing_opts: EndpointingOptions) -> None:
        self.longest_s = endpointing_opts["max_delay"]


WHOLE = """\
Yes.
No, thank you.
I would like to book an appointment for tomorrow.
What are your opening hours
It is.
Yes, I am.
Can you call me back later
I think so.
Not really
Hold on
That is all
My name is Peter Miller
half past seven"""
PARTS = """\
I would like to
I would like to book
My name is
I want to cancel the
Could you tell me if
I am calling because
My number is four two seven,
Tomorrow at
Well
I need, um"""


@pytest.mark.parametrize("said", WHOLE.splitlines())
def test_a_whole_is_answered_soon(said: str) -> None:
    assert finished(said, Language.EN_US) > UNLIKELY


@pytest.mark.parametrize("said", PARTS.splitlines())
def test_a_part_is_waited_for(said: str) -> None:
    assert finished(said, Language.EN_US) < UNLIKELY


@pytest.mark.parametrize(
    ("language", "part", "whole"),
    [
        (Language.ES_MX, "quiero cambiar la", "quiero cambiar la cita"),
        (Language.ES_ES, "necesito hablar con", "necesito hablar con Ana"),
        (Language.PT_PT, "eu queria falar com a", "eu queria falar com a Maria"),
        (Language.DE_DE, "ich möchte einen", "ich möchte einen Termin"),
        (Language.FR_FR, "je voudrais parler à", "je voudrais parler à Marie"),
        (Language.PL_PL, "dzwonię ponieważ", "dzwonię w sprawie faktury"),
        (Language.RO_RO, "aș vrea să vorbesc cu", "aș vrea să vorbesc cu Ion"),
        (Language.IT_IT, "vorrei parlare con", "vorrei parlare con Marco"),
        (Language.EN_GB, "I'd like to speak with", "I'd like to speak with Ann"),
    ],
)
def test_every_language_has_its_words(language: Language, part: str, whole: str) -> None:
    assert finished(part, language) < UNLIKELY < finished(whole, language)


def test_no_language_is_forgotten() -> None:
    bases = {language.base for language in Language}
    tables = (HOLDERS, WHOLE_ENDINGS, FILLERS, BACKCHANNELS, THANKS, COURTESIES)
    assert all(set(table) == bases for table in tables)


THANKED = {
    "en": "Great, thank you.",
    "es": "Muy bien, muchas gracias.",
    "pt": "Perfeito, muito obrigado.",
    "de": "Sehr gut, vielen Dank.",
    "fr": "Très bien, merci beaucoup.",
    "it": "Perfetto, grazie mille.",
    "pl": "Świetnie, dziękuję bardzo.",
    "ro": "Foarte bine, mulțumesc.",
}


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("turn_taking", TurnTaking)
async def test_more_may_follow_thanks(language: Language, turn_taking: TurnTaking) -> None:
    """The wait is longer than after a whole, shorter than after a part; LiveKit is told of it."""
    profile = PROFILES[turn_taking]
    judge = TurnJudge(language, profile)
    session = Waits()
    judge.attach(cast("AgentSession[Any]", session))
    context = ChatContext()
    context.add_message(role="user", content=THANKED[language.base])
    assert await judge.predict_end_of_turn(context) < UNLIKELY
    assert session.longest_s == pytest.approx(profile.open_s - DETECTION_LAG_S)
    context.add_message(role="user", content="…")
    assert await judge.predict_end_of_turn(context) < UNLIKELY
    assert session.longest_s == pytest.approx(profile.unfinished_s - DETECTION_LAG_S)


def test_an_answer_is_not_waited_for_though_it_is_kind() -> None:
    asked = "Shall I book it for nine?"
    for said in ("Great.", "Perfect, yes.", "No, thank you.", "Okay, that's fine."):
        assert finished(said, Language.EN_US, asked=asked) > UNLIKELY
    for said in ("Great, thank you.", "Thank you so much."):
        assert finished(said, Language.EN_US, asked=asked) < UNLIKELY
    assert finished("Thank you, goodbye.", Language.EN_US) > UNLIKELY


def test_a_number_that_was_asked_for_comes_in_pieces() -> None:
    asked = "What is your phone number?"
    assert finished("two oh two", Language.EN_US, asked=asked) < UNLIKELY
    assert finished("202 555", Language.EN_US, asked=asked) < UNLIKELY
    assert finished("202 555 0199", Language.EN_US, asked=asked) > UNLIKELY
    assert finished("two", Language.EN_US, asked="How many guests?") > UNLIKELY


async def test_the_judge_hears_the_whole_turn_and_the_question() -> None:
    context = ChatContext()
    context.add_message(role="user", content="Hello and")
    context.add_message(role="assistant", content="What is your phone number?")
    context.add_message(role="user", content="two oh two")
    judge = TurnJudge(Language.EN_US, PROFILES[TurnTaking.BALANCED])
    assert await judge.predict_end_of_turn(context) < UNLIKELY
    context.add_message(role="user", content="five five five oh one nine nine")
    assert await judge.predict_end_of_turn(context) > UNLIKELY
    assert await judge.unlikely_threshold(None) == UNLIKELY
    assert await judge.supports_language(None)


@pytest.mark.parametrize("said", ["Mm-hm.", "Okay.", "uh-huh, okay", "Right."])
def test_a_backchannel_is_no_turn(said: str) -> None:
    assert is_backchannel(said, Language.EN_US)


@pytest.mark.parametrize("said", ["Yes.", "No.", "Okay, stop.", "", "Right now?"])
def test_an_answer_is_one(said: str) -> None:
    assert not is_backchannel(said, Language.EN_US)


def test_profiles_are_ordered_and_reach_livekit() -> None:
    fast, balanced, patient = (PROFILES[each] for each in TurnTaking)
    for name in fast.__struct_fields__:
        assert getattr(fast, name) <= getattr(balanced, name) <= getattr(patient, name)
    options = turn_handling(TurnTaking.PATIENT, Language.DE_DE)
    assert options["endpointing"]["min_delay"] == patient.finished_s - DETECTION_LAG_S
    assert options["endpointing"]["max_delay"] == patient.unfinished_s - DETECTION_LAG_S
    assert options["interruption"]["min_duration"] == patient.interrupt_s
