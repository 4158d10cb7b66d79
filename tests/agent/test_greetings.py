"""Whose words a greeting is like, by what it means: in each language, none of these is a sample."""

from __future__ import annotations

import numpy as np
import pytest

from agent.answering.greetings import GreetingComparison, Kind, learned
from agent.session import Engines
from control_plane.domain.events import AttemptResult
from speech.offline.meaning import Embeddings, Meaning, Words
from tools.greetings.__main__ import digest, left_out, sentences

pytestmark = pytest.mark.unit

VOICEMAIL, IVR, UNKNOWN = AttemptResult.VOICEMAIL, AttemptResult.IVR, AttemptResult.UNKNOWN
PEOPLE = (
    "Hi, it's great that you call, I have been trying to reach you since the morning.",
    "Yes hello, my wife told me that you would ring, one moment, I'll get her.",
    "Sorry, I missed your call earlier because I was mowing the lawn, what was it about?",
    "Good evening, Bellevue restaurant, this is Marco, would you like to reserve a table?",
    "Yeah this is he, and who is this, if I may ask?",
    "Guten Tag, Bäckerei Schmidt, Sie sprechen mit Frau Krause, was kann ich für Sie tun?",
    "Meine Frau ist leider nicht da, soll ich ihr etwas ausrichten?",
    "Bonjour, cabinet dentaire du parc, Sophie à l'appareil, que puis-je faire pour vous ?",
    "Hola, ahora no puedo hablar, ¿me puede llamar más tarde?",
    "Buongiorno, studio Rossi, parla Giulia, come posso aiutarla?",
    "Halo, nie mogę teraz rozmawiać, proszę zadzwonić później.",
    "Bună ziua, cabinet medical, cu ce vă pot ajuta?",
    "Olá, estou no trabalho, pode ligar mais tarde?",
)
MACHINES = (
    ("This voice mailbox belongs to the sales team of Northern Tools. All are busy.", VOICEMAIL),
    ("We're closed for renovation until May. Visit our website to make a reservation.", VOICEMAIL),
    ("If you are a new customer, say new. For existing contracts, say existing.", IVR),
    ("The party you have called is forwarded to a number that does not answer.", UNKNOWN),
    ("Leider rufen Sie außerhalb der Geschäftszeiten an. Wir sind ab Montag wieder da.", VOICEMAIL),
    ("Ich bin bis Ende der Woche im Urlaub. Eilt es, hilft meine Kollegin.", VOICEMAIL),
    ("Nos bureaux sont fermés. Nous sommes ouverts de neuf à dix-huit heures.", VOICEMAIL),
    ("Il cliente da lei chiamato non è al momento raggiungibile.", UNKNOWN),
    ("Abonent jest czasowo niedostępny, prosimy spróbować później.", UNKNOWN),
)


@pytest.fixture
def comparison(engines: Engines) -> GreetingComparison:
    return engines.greetings


@pytest.mark.parametrize("said", PEOPLE)
def test_what_a_person_says_at_length_is_like_no_machine(
    comparison: GreetingComparison, said: str
) -> None:
    assert comparison.likeness(said) is None


@pytest.mark.parametrize(("said", "result"), MACHINES)
def test_a_machine_is_known_without_its_phrases(
    comparison: GreetingComparison, said: str, result: AttemptResult
) -> None:
    found = comparison.likeness(said)
    assert found is not None
    assert found.result is result


async def test_a_full_mailbox_takes_no_message(comparison: GreetingComparison) -> None:
    found = await comparison.get_likeness("The customer's mailbox has no room for messages. Bye.")
    assert found is not None
    assert not found.takes_message


def test_who_asks_for_a_name_may_be_a_receptionist(comparison: GreetingComparison) -> None:
    said = "Please say who you are and why you are calling, and I'll ask whether she is free."
    assert comparison.likeness(said) is None


@pytest.mark.parametrize("kind", [each for each in Kind if each is not Kind.SCREENING])
def test_what_was_learned_is_of_the_sentences(kind: Kind) -> None:
    assert learned().of == digest(), "learn it anew: python -m tools.greetings"
    meaning = Meaning.load()
    assert isinstance(meaning, Embeddings)
    first = sentences(kind)[0]
    assert learned().kind(meaning.vector(first)) is kind, "learn it anew, the model is another"


def test_what_is_learned_tells_people_from_machines() -> None:
    chance = np.random.default_rng(1)
    people, machines = (chance.normal(at, 0.1, (40, 8)) for at in (0.0, 0.2))
    of_people, of_machines = left_out(people, machines)
    assert (of_people < 0).mean() > 0.9
    assert (of_machines > 0).mean() > 0.9


def test_a_machine_without_embeddings_tells_nothing(engines: Engines) -> None:
    bare = GreetingComparison(Words(), engines.offline.thinking)
    assert bare.likeness(MACHINES[0][0]) is None
