"""The bank's menus, queue and person, on a line that is told which keys are pressed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import cast

import pytest

from sip.carrier.bank import (
    ACCOUNTS,
    QUEUE,
    QUEUE_AGAIN,
    ROOT,
    SILENT,
    SOMEBODY,
    TAKEN,
    TIMES,
    WRONG,
    bank,
)
from sip.carrier.line import HungUp, Line
from sip.carrier.scenarios import scenario_of

pytestmark = pytest.mark.unit

NUMBER = "+12025550124"


class Pressed:
    """A line whose other end presses these keys, each when it is waited for; null: it does not."""

    def __init__(self, keys: Sequence[str | None]) -> None:
        self._keys = list(keys)
        self.said: list[str] = []
        self.is_over = False

    async def say(self, text: str) -> None:
        self.said.append(text)

    async def play(self, _: object, text: str) -> None:
        self.said.append(text)

    async def pause(self, _: float) -> None:
        return

    async def key(self, _: float) -> str | None:
        return self._keys.pop(0) if self._keys else None

    async def last_words(self) -> None:
        return

    async def hear(self, *_: float) -> None:
        raise HungUp("enough")

    async def hang_up(self) -> None:
        self.is_over = True


def call(*keys: str | None) -> Pressed:
    """Return the line after the bank was called with these keys."""
    line, scenario = Pressed(keys), scenario_of(NUMBER)
    assert scenario is not None
    with contextlib.suppress(HungUp):
        asyncio.run(bank(cast("Line", line), scenario))
    return line


def test_keys_lead_through_menus_and_a_queue_to_a_person() -> None:
    line = call("7", "*", "2", None, "3", "0")
    assert line.said == [
        *(ROOT.says, WRONG, ROOT.says),
        *(ACCOUNTS.says, ACCOUNTS.says, SOMEBODY.says),
        *(QUEUE, "[music]", QUEUE_AGAIN, "[music]", TAKEN),
    ]
    assert not line.is_over


@pytest.mark.parametrize("keys", [(), ("7", "7", None, "9")])
def test_who_finds_no_way_is_hung_up_on(keys: tuple[str | None, ...]) -> None:
    line = call(*keys)
    assert line.said.count(ROOT.says) == TIMES
    assert line.said[-1] == SILENT
    assert line.is_over
