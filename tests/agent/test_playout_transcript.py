"""How many words of a speech were heard."""

from __future__ import annotations

import pytest

from agent.playout_transcript import PACE, PlayoutTranscript, Segment

pytestmark = pytest.mark.unit

TEXT = "Let me tell you all about it."


def speech(seconds: float, *, whole: bool = True) -> Segment:
    made = Segment()
    made.given_s, made.is_whole = seconds, whole
    return made


def heard(made: PlayoutTranscript, seconds: float, of: Segment) -> str | None:
    return made.heard_of(of, seconds, broken_off=True)


async def said(*parts: str, whole: bool = True) -> PlayoutTranscript:
    made = PlayoutTranscript()
    for part in parts:
        await made.capture_text(part)
    if whole:
        made.flush()
    return made


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, ""),
        (0.1, ""),  # in the first word
        (0.5, "Let me"),
        (1.0, "Let me tell"),
        (1.95, "Let me tell you all about"),
        (2.0, TEXT),
        (2.5, TEXT),
    ],
)
async def test_a_share_of_a_whole_speech_is_that_share_of_its_words(
    seconds: float, words: str
) -> None:
    made = await said("Let me tell ", "you all ", "about it.")
    assert heard(made, seconds, speech(2.0)) == words


async def test_a_voice_that_has_not_ended_is_judged_by_the_pace_of_what_was_heard_whole() -> None:
    made = await said(TEXT, whole=False)
    assert heard(made, 1.0, speech(1.5, whole=False)) == TEXT[: round(PACE)].rsplit(" ", 1)[0]
    made.flush()
    seconds = len(TEXT) / 20
    assert made.heard_of(speech(seconds), seconds, broken_off=False) is None
    await made.capture_text("One two three four five six seven")
    assert heard(made, 0.7, speech(1.0, whole=False)) == "One two three"


async def test_each_speech_has_its_own_words_or_none() -> None:
    made = await said("The first one.")
    await made.capture_text("Another")
    assert heard(made, 1.0, speech(1.0)) == "Another"
    made.flush()
    made.flush()  # of a speech without words
    assert heard(made, 1.0, speech(1.0)) == ""


async def test_a_script_without_spaces_is_cut_anywhere() -> None:
    made = await said("何かお手伝いできますか")
    assert heard(made, 1.0, speech(2.0)) == "何かお手伝い"


async def test_a_voice_that_failed_leaves_the_words_that_came() -> None:
    made = await said(TEXT)
    assert made.heard_of(speech(1.0, whole=False), 1.0, broken_off=False) == "Let me tell"
