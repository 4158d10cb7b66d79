"""Whose turn it is, judged by the words."""

from __future__ import annotations

from typing import Any, cast

import pytest
from livekit.agents import AgentSession
from livekit.agents.llm import ChatContext
from livekit.agents.voice.turn import EndpointingOptions

from agent.opening import GREETINGS
from agent.turn_grammar import GRAMMARS
from agent.turn_taking import (
    DETECTION_LAG_S,
    PROFILES,
    UNLIKELY,
    Ending,
    TurnJudge,
    ending_of,
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


CERTAIN = """\
What are your opening hours
Are you open on Sunday?
It is.
Yes, I am.
Can you call me back later
When are you open
Where do I have to sign"""
WHOLE = """\
Yes.
No, thank you.
I would like to book an appointment for tomorrow.
I think so.
Not really
Hold on
That is all
My name is Peter Miller
My tooth hurts.
The lamp in the kitchen broke.
A table for two please
That sounds good."""
OPEN = """\
My appointment
The problem with my car
When I called yesterday
If it rains tomorrow
Can you tell me
I was calling
On Saturday morning
I bought
Last Tuesday"""
HELD = """\
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
ENDINGS = [
    (said, ending)
    for ending, lines in (
        (Ending.CERTAIN, CERTAIN),
        (Ending.WHOLE, WHOLE),
        (Ending.OPEN, OPEN),
        (Ending.HELD, HELD),
    )
    for said in lines.splitlines()
]
GOES_ON = (Ending.OPEN, Ending.HELD)


@pytest.mark.parametrize(("said", "ending"), ENDINGS)
def test_what_was_said_tells_whether_more_comes(said: str, ending: Ending) -> None:
    assert ending_of(said, Language.EN_US) is ending


def test_an_answer_is_certain_and_a_story_is_not() -> None:
    day = "Which day suits you?"
    help_you = "Hello! How can I help you?"
    for asked, said, ending in (
        (day, "On Saturday morning", Ending.CERTAIN),
        ("Thank you. What is your name?", "Peter Miller.", Ending.CERTAIN),
        (help_you, "I want a table for two.", Ending.WHOLE),
        (help_you, "My appointment", Ending.OPEN),
        (day, "I was thinking of Monday, but my husband works.", Ending.WHOLE),
        (day, "On the", Ending.HELD),
    ):
        assert ending_of(said, Language.EN_US, asked=asked) is ending, said


async def test_the_judge_learns_how_long_the_person_pauses() -> None:
    profile, session = PROFILES[TurnTaking.BALANCED], Waits()
    judge = TurnJudge(Language.EN_US, profile)
    judge.attach(cast("AgentSession[Any]", session))
    context = ChatContext()
    context.add_message(role="user", content="My tooth hurts.")

    async def wait_s() -> float:
        await judge.predict_end_of_turn(context)
        return session.longest_s + DETECTION_LAG_S

    assert await wait_s() == pytest.approx(profile.whole_s)
    judge.went_on(0.6)
    assert profile.whole_s + 0.2 < await wait_s() < profile.open_s
    judge.went_on(5.0)
    assert await wait_s() == pytest.approx(profile.open_s)
    for _ in range(12):
        judge.ended()
    assert await wait_s() == pytest.approx(profile.whole_s)
    context.add_message(role="user", content="I need, um")
    assert await wait_s() == pytest.approx(profile.unfinished_s)
    judge.went_on(1.2)  # a search for a word tells nothing of the pause between two sentences
    context.add_message(role="assistant", content="I see.")
    context.add_message(role="user", content="It hurts.")
    assert await wait_s() == pytest.approx(profile.whole_s)


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
    assert ending_of(part, language) in GOES_ON
    assert ending_of(whole, language) not in GOES_ON


@pytest.mark.parametrize(
    ("language", "part", "whole", "question"),
    [
        (Language.ES_ES, "Cuando llamé ayer", "La lámpara no funciona.", "Cuánto cuesta"),
        (Language.PT_PT, "O problema com o carro", "Perdi o meu cartão.", "Quando abre a loja?"),
        (Language.DE_DE, "Der Termin am Montag", "Mein Zahn tut weh.", "Wann haben Sie offen"),
        (Language.FR_FR, "Mon rendez-vous de demain", "J'ai perdu ma carte.", "Combien ça coûte"),
        (Language.IT_IT, "Quando ho chiamato ieri", "Ho perso la carta.", "Quanto costa"),
        (Language.PL_PL, "Moja wizyta w poniedziałek", "Zgubiłem kartę.", "Ile to kosztuje"),
        (Language.RO_RO, "Programarea de luni", "Am pierdut cardul.", "Cât costă?"),
        (Language.EN_GB, "My appointment on Monday", "I have lost my card.", "What does it cost"),
    ],
)
def test_every_language_knows_a_clause(
    language: Language, part: str, whole: str, question: str
) -> None:
    assert ending_of(part, language) in GOES_ON
    assert ending_of(whole, language) is Ending.WHOLE
    assert ending_of(question, language) is Ending.CERTAIN


def test_no_language_is_forgotten() -> None:
    bases = {language.base for language in Language}
    words = (HOLDERS, WHOLE_ENDINGS, FILLERS, BACKCHANNELS, THANKS, COURTESIES)
    tables = (*words, GRAMMARS, GREETINGS)
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
    judge.sooner_by = lambda: 0.12  # the way is shorter, not the pause that a person makes
    assert await judge.predict_end_of_turn(context) < UNLIKELY
    assert session.longest_s == pytest.approx(profile.unfinished_s + 0.12 - DETECTION_LAG_S)


def test_an_answer_is_not_waited_for_though_it_is_kind() -> None:
    asked = "Shall I book it for nine?"
    for said in ("Great.", "Perfect, yes.", "No, thank you.", "Okay, that's fine."):
        assert ending_of(said, Language.EN_US, asked=asked) is Ending.CERTAIN
    for said in ("Great, thank you.", "Thank you so much."):
        assert ending_of(said, Language.EN_US, asked=asked) is Ending.OPEN
    assert ending_of("Thank you, goodbye.", Language.EN_US) is Ending.WHOLE


def test_a_number_that_was_asked_for_comes_in_pieces() -> None:
    asked = "What is your phone number?"
    assert ending_of("two oh two", Language.EN_US, asked=asked) is Ending.HELD
    assert ending_of("202 555", Language.EN_US, asked=asked) is Ending.HELD
    assert ending_of("202 555 0199", Language.EN_US, asked=asked) is Ending.CERTAIN
    assert ending_of("two", Language.EN_US, asked="How many guests?") is Ending.CERTAIN


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
