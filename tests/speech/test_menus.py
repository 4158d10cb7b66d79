"""Telephone menus: what the scripted dialogue makes of what a machine reads out."""

from __future__ import annotations

import pytest

from speech.offline.dialogue import ToolCall, Turn, reply
from speech.offline.meaning import Words
from speech.offline.menus import Option, Step, options, step

pytestmark = pytest.mark.unit

TOOLS = ("end_call", "send_dtmf", "skip_turn")
BILLING = "You are Ann. Ask the billing department about the invoice of May."


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            "Welcome to Example Bank. For sales, press one. For support, press two.",
            [Option("1", "sales"), Option("2", "support")],
        ),
        ("Press 3 to speak to an operator.", [Option("3", "speak to an operator")]),
        ("To repeat this menu, press star.", [Option("*", "repeat this menu")]),
        ("For billing please press 4, or dial 0 for reception.",
         [Option("4", "billing"), Option("0", "reception")]),
        ("For support press to. For sales, press for.",
         [Option("2", "support"), Option("4", "sales")]),
        ("How much does a cleaning cost?", []),
    ],
)  # fmt: skip
def test_what_a_menu_offers(said: str, found: list[Option]) -> None:
    assert options(said) == found


@pytest.mark.parametrize(
    ("said", "then"),
    [
        ("For sales, press one. For billing, press two. For an operator, press zero.", Step("2")),
        ("For sales, press one. For an operator, press zero.", Step("0")),
        ("For sales, press one.", Step(None)),
        ("Please listen carefully, as our menu options have changed.", Step(None)),
        ("All our agents are busy. Please hold the line.", Step(None)),
        ("To continue, please press the pound key.", Step("#")),
        ("Hello, this is Dana. How can I help you?", None),
    ],
)
def test_what_is_done_about_it(said: str, then: Step | None) -> None:
    assert step(said, BILLING) == then


def heard(said: str, tools: tuple[str, ...] = TOOLS) -> tuple[str, tuple[ToolCall, ...]]:
    found = reply([Turn("caller", said)], BILLING, tools, meaning=Words())
    return found.text, found.tool_calls


def test_keys_are_pressed_where_that_is_offered() -> None:
    menu = "For sales, press one. For billing, press two."
    assert heard(menu) == ("", (ToolCall("send_dtmf", {"keys": "2"}),))
    assert heard("Please hold.") == ("", (ToolCall("skip_turn"),))
    text, calls = heard(menu, ("end_call",))
    assert text
    assert not calls


def test_keys_that_lead_nowhere_are_given_up() -> None:
    history = [
        Turn("caller", "For billing, press two."),
        Turn("tool", "did nothing", name="send_dtmf", failed=True),
    ]
    assert "somebody" in reply(history, BILLING, TOOLS, meaning=Words()).text
