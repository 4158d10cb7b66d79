"""Finals that come twice are heard once; words that are said twice are heard twice."""

from __future__ import annotations

import pytest
from livekit.agents import stt
from livekit.agents.language import LanguageCode

from agent.hearing import ECHO_S, Echoes

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
