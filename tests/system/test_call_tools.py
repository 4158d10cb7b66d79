"""What the model does on the line: keys in a menu, keys that it asks for, a caller passed on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from speech.offline.voice import Speaker
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers
from tests.system.far_end import FarEnd, phone, render
from tests.system.platform import Platform
from tests.system.test_conversation import number_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

MENU = "For sales, press one. For support, press two."
MODEL = {"type": "dedicated-instance", "name": "gpt-4.1"}
REALTIME = {"type": "realtime", "provider": "openai", "realtime_model_id": "gpt-realtime"}
_callees = itertools.count(800)
_Told = TypeVar("_Told")


class Desk:
    """Calls phones with assistants that have tools."""

    def __init__(self, platform: Platform, speaker: Speaker, folder: Path) -> None:
        self._platform = platform
        self._speaker = speaker
        self._folder = folder

    def says(self, text: str) -> dict[str, Any]:
        """Return the step that says `text`."""
        return {"say": render(self._speaker, self._folder, text, trimmed=True)}

    def call(
        self, *script: dict[str, Any], model: dict[str, Any] | None = None, **told: Any
    ) -> tuple[dict[str, Any], FarEnd]:
        """Call a phone that hangs up last of all; returns the call, and the phone."""
        with phone(self._folder, [*script, {"hangup": True}]) as far_end:
            assistant = {
                "name": "Tools",
                "prompt": "You want the support department of Example Bank.",
                "first_sentence_mode": "none",
                "llm_model": model,
                "from_phone_number": number_at(self._platform, "tools", far_end.port),
            } | told
            number = f"+1202555{next(_callees):04d}"
            placed = self._platform.order(number, assistant=assistant)
            far_end.wait("over", 60.0)
        return self._platform.finished(placed["id"]), far_end

    def events(self, call: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        """Return what of this kind happened to a call."""
        told = self._platform.api.get(f"/call/{call['id']}/events")["events"]
        return [each["data"] for each in told if each["type"] == kind]


@pytest.fixture
def desk(platform: Platform, providers: ProviderServers, speaker: Speaker, folder: Path) -> Desk:
    providers.controls.reset()
    return Desk(platform, speaker, folder)


def together(*calls: Callable[[], _Told]) -> Iterator[_Told]:
    """Hold calls at the same time; returns what each returns."""
    with ThreadPoolExecutor(len(calls)) as callers:
        return callers.map(lambda call: call(), calls)


def over(far_end: FarEnd) -> dict[str, Any]:
    """Return the phone's last words."""
    return next(each for each in far_end.events if each["event"] == "over")


def tools(call: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the calls of tools in a transcript, and what came of them."""
    items = call["last_call_attempt"]["transcript"]
    return [(item["tool_name"], item) for item in items if item["role"] == "tool"]


@pytest.mark.shows("ivr_navigation_enabled")
def test_a_menu_is_answered_by_keys(desk: Desk, providers: ProviderServers) -> None:
    press = ToolCall(name="send_dtmf", arguments={"keys": "2"})
    providers.controls.rules(Rule(when="press", tool=press), Rule(say="Yes."))
    script = ({"stay": 1.0}, desk.says(MENU), {"wait_keys": 1}, {"stay": 1.0})
    asked = {"ivr_navigation_enabled": True}
    held = together(
        lambda: desk.call(*script, model=MODEL, **asked),
        lambda: desk.call(*script, model=REALTIME, **asked),
        lambda: desk.call(*script, **asked),  # the embedded dialogue
    )
    for call, far_end in held:
        assert over(far_end)["keys"] == "2"
        assert [each["keys"] for each in desk.events(call, "keys_sent")] == ["2"]
        assert {name for name, _ in tools(call)} - {"skip_turn"} == {"send_dtmf"}


def test_a_secret_code_is_pressed_and_told_to_the_model_alone(
    desk: Desk, providers: ProviderServers
) -> None:
    asks = {"question": "Please enter your code.", "max_digits": 6, "is_secret": True}
    providers.controls.rules(
        Rule(when="4 4 0 7", say="Thank you, that is right."),
        Rule(when="code", tool=ToolCall(name="collect_digits", arguments=asks)),
        Rule(say="Yes."),
    )
    call, far_end = desk.call(
        {"stay": 1.0},
        desk.says("I have a code."),
        {"reply": 0.8},
        {"keys": "4407#"},
        {"reply": 0.8},
        model=MODEL,
    )
    said = [item["content"] for item in call["last_call_attempt"]["transcript"]]
    assert "Please enter your code." in said
    assert said[-2:] == ["(The person pressed secret telephone keys)", "Thank you, that is right."]
    pressed = desk.events(call, "key_pressed")
    assert [(each["digit"], each["is_secret"]) for each in pressed] == [("", True)] * 5
    assert over(far_end)["keys"] == ""
