"""The first call is judged by what each side understood."""

from __future__ import annotations

from typing import Any

import pytest

from offhook.first_call import misunderstood

pytestmark = pytest.mark.unit

SAID = ("What are your opening hours?", "How much is it?", "Goodbye.")


def _transcript(*agent: str, heard: tuple[str, ...] = SAID) -> list[dict[str, Any]]:
    items = [{"role": "user", "content": text} for text in heard]
    return items + [{"role": "assistant", "content": text} for text in agent]


def _phone(*heard: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{"event": "said", "pii_text": text} for text in SAID]
    return [*lines, {"event": "established"}] + [
        {"event": "heard", "pii_text": text} for text in heard
    ]


def test_a_good_call_has_no_problem() -> None:
    transcript = _transcript("We are open from nine to five.", "A cleaning costs eighty dollars.")
    phone = _phone("We are open from 9 to 5.", "a cleaning costs $80")
    assert misunderstood(transcript, phone) == []


def test_what_the_agent_missed_is_named() -> None:
    transcript = _transcript("Hello.", heard=(SAID[0], SAID[2]))
    assert misunderstood(transcript, _phone("Hello.")) == [
        f"the agent did not understand the callee's “{SAID[1]}”"
    ]


def test_what_the_callee_missed_is_named() -> None:
    problems = misunderstood(_transcript("Please hold the line for a moment."), _phone("mumble"))
    assert problems == [
        "the callee did not understand the agent's “Please hold the line for a moment.”"
    ]


def test_two_sentences_are_no_conversation() -> None:
    lines = _phone("Hello.")[1:]
    assert "a conversation has three" in misunderstood(_transcript("Hello."), lines)[0]
