"""The voice gets the first clause before the sentence is there, and every word once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.clauses import LEAST, Clauses

pytestmark = pytest.mark.unit


def given_away(*parts: str) -> list[list[str]]:
    """Return which pieces came after each part of the text; the last: once it was over."""

    async def run() -> list[list[str]]:
        stream = Clauses().stream()
        found: list[list[str]] = []
        pieces: list[str] = []
        note = pieces.append

        async def read() -> None:
            async for piece in stream:
                note(piece.token)

        reader = asyncio.create_task(read())
        for part in parts:
            stream.push_text(part)
            for _ in range(5):  # the reader's turns
                await asyncio.sleep(0)
            found.append(list(pieces))
            pieces.clear()
        stream.end_input()
        await reader
        return [*found, pieces]

    return asyncio.run(run())


def test_the_first_clause_does_not_wait_for_its_sentence() -> None:
    assert given_away("We open at nine,", " and we", " close at five. We") == [
        [],
        ["We open at nine,"],
        ["and we close at five."],
        ["We"],
    ]


def test_later_sentences_are_whole() -> None:
    *_, last = given_away("That is fine. On Monday morning, as always, we open at nine.")
    assert last == ["On Monday morning, as always, we open at nine."]


@pytest.mark.parametrize(
    "text",
    [
        "Yes, we open at nine in the morning on Monday",  # too short to stand alone
        "It costs 12,500 euros and 50 cents",  # no clause
        "Please ask for Dr. Miller at the desk there",  # no sentence
    ],
)
def test_what_is_no_clause_is_kept_together(text: str) -> None:
    assert given_away(*text) == [[] for _ in text] + [[text]]


def test_a_whole_text_is_cut_the_same_way() -> None:
    assert Clauses().tokenize("Good evening to you, Ada. How are you, and who is there?") == [
        "Good evening to you,",
        "Ada.",
        "How are you, and who is there?",
    ]


@given(
    words=st.lists(
        st.sampled_from(["nine", "we", "open,", "close.", "Then;", "why?"]), max_size=40
    ),
    size=st.integers(1, 30),
)
def test_every_word_is_given_once_and_in_order(words: list[str], size: int) -> None:
    text = " ".join(words)
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    pieces = [piece for after in given_away(*parts) for piece in after]
    assert " ".join(pieces).split() == words
    assert all(len(piece) >= LEAST or piece == pieces[-1] for piece in pieces[:1])
