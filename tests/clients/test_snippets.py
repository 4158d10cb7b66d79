"""The snippets of the how-to page, run as they stand against a running API, judged by its rows."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from offhook import widget
from tests.clients.conftest import Api
from tests.clients.running import run

pytestmark = pytest.mark.system

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "api.md"
LANGUAGES = ("sh", "python", "js")


def snippets() -> dict[str, dict[str, str]]:
    """Return the snippets of each section that has some, by language."""
    found: dict[str, dict[str, str]] = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        title = section.partition("\n")[0]
        for language, text in re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL):
            assert language not in found.setdefault(title, {}), title
            found[title][language] = text
    return found


async def placed_a_call(api: Api, _: str) -> None:
    """Check that the order is there."""
    [call] = (await api.get("/call"))["calls"]
    assert call["to_phone_number"] == "+12025550123"
    assert call["metadata"] == {"order": "4711"}
    assert call["prompt_variables"]["name"] == "Ada"


async def took_a_number(api: Api, assistant: str) -> None:
    """Check that calls to the number are taken, and by whom."""
    trunks = (await api.get("/trunk"))["trunks"]
    [trunk] = [each for each in trunks if each["name"] == "Carrier"]
    assert trunk["direction"] == "inbound"
    assert trunk["numbers"] == ["+12025550177"]
    numbers = (await api.get("/number"))["numbers"]
    [number] = [each for each in numbers if each["phone_number"] == "+12025550177"]
    assert number["assistant_id"] == assistant


async def started_a_session(api: Api, assistant: str) -> None:
    """Check that the session waits for the person."""
    [session] = (await api.get("/session"))["sessions"]
    assert session["metadata"] == {"cart": "17"}
    assert session["assistant"]["id"] == assistant


USES: dict[str, Callable[[Api, str], Awaitable[None]]] = {
    "Place a call": placed_a_call,
    "Take calls": took_a_number,
    "Talk in a browser": started_a_session,
}


def test_each_use_has_a_snippet_in_each_language() -> None:
    assert {use: tuple(found) for use, found in snippets().items()} == dict.fromkeys(
        USES, LANGUAGES
    )


def command(language: str) -> list[str]:
    """Return what runs a file of that language."""
    if language == "sh":
        if shutil.which("curl") is None:
            pytest.skip("there is no curl on this machine: `apt-get install curl`")
        return ["sh", "-eu"]
    return [sys.executable] if language == "python" else [widget.find_node(os.environ, print).node]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("use", USES)
async def test_a_snippet_does_what_the_page_says(
    api: Api, tmp_path: Path, use: str, language: str
) -> None:
    wanted: dict[str, Any] = {"name": "Reception", "prompt": "Greet {{name}}."}
    made = (await api.client.post("/assistant", json=wanted)).raise_for_status().json()
    assistant = made["assistant"]["id"]
    script = tmp_path / {"sh": "it.sh", "python": "it.py", "js": "it.mjs"}[language]
    script.write_text(snippets()[use][language])
    environ = {**api.environ, "ASSISTANT_ID": assistant}
    assert await run([*command(language), str(script)], environ, tmp_path)
    await USES[use](api, assistant)
