"""Waiting in a queue: what is said there, and when silence counts again."""

from __future__ import annotations

import asyncio

import pytest

from agent.answering import hold
from agent.answering.hold import Hold, Said
from control_plane.domain.assistant import Language

pytestmark = pytest.mark.unit

QUEUE = "All our representatives are busy. Please stay on the line."
TAKEN = "Thank you for waiting. This is Kim. How can I help you?"
AN_OFFER = (
    "Did you know that you can also look after your account on our new website, at any time of the "
    "day, with the number of your card and the word that you chose when you opened it."
)


class Silence:
    """Notes whether it watches."""

    is_held = False

    def pause(self) -> None:
        self.is_held = True

    def go_on(self) -> None:
        self.is_held = False


def waiting(words: str = QUEUE, *, is_machine: bool = True) -> tuple[Hold, Silence]:
    """Return who has just heard these words."""
    held, silence = Hold(Language.EN_US), Silence()
    held.watch(silence)
    assert held.hear(words, is_machine=is_machine) is Said.ANNOUNCEMENT
    return held, silence


async def test_an_announcement_wants_no_answer_and_silence_is_no_end() -> None:
    held, silence = waiting()
    assert silence.is_held
    assert held.hear("Your call is important to us.", is_machine=True) is Said.ANNOUNCEMENT
    assert silence.is_held
    held.end()


async def test_who_takes_the_call_is_a_person() -> None:
    held, silence = waiting()
    assert held.hear(TAKEN, is_machine=True) is Said.PERSON
    assert not silence.is_held


async def test_an_offer_is_no_person() -> None:
    held, _ = waiting()
    assert held.hear(AN_OFFER, is_machine=True) is Said.OTHER


async def test_a_menu_that_offers_to_wait_is_the_models() -> None:
    held, silence = Hold(Language.EN_US), Silence()
    held.watch(silence)
    words = "For cards, press one. For all else, stay on the line."
    assert held.hear(words, is_machine=True) is Said.OTHER
    assert silence.is_held
    held.end()


async def test_without_waiting_words_are_the_models() -> None:
    held, silence = Hold(Language.EN_US), Silence()
    held.watch(silence)
    assert held.hear("For cards, press one.", is_machine=True) is Said.OTHER
    assert held.hear("Hello, this is Dana.", is_machine=True) is Said.OTHER
    assert not silence.is_held


@pytest.mark.parametrize(("is_machine", "limit"), [(True, "LIMIT_S"), (False, "PERSON_LIMIT_S")])
async def test_a_queue_without_a_word_is_left_in_the_end(
    monkeypatch: pytest.MonkeyPatch, is_machine: bool, limit: str
) -> None:
    monkeypatch.setattr(hold, limit, 0.0)
    _, silence = waiting(is_machine=is_machine)
    assert silence.is_held
    await asyncio.sleep(0.01)
    assert not silence.is_held
