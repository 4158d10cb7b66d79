"""Calls under way are in a file; what is unreadable or cannot be written stops no call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from sip.gateway.calls import Calls, Leg
from sip.gateway.ledger import Entry, Ledger

pytestmark = pytest.mark.unit


def test_a_call_without_an_end_is_lost_for_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "run" / "sip-calls.json"
    first = Ledger(path)
    assert first.lost == {}
    first.started("SCL_1", Entry("r", "a"))
    first.started("SCL_2", Entry("r", "b"))
    first.ended("SCL_2")
    assert path.stat().st_mode & 0o777 == 0o600
    second = Ledger(path)
    assert second.lost == {"SCL_1": Entry("r", "a")}
    second.started("SCL_3", Entry("r", "c"))
    assert set(Ledger(path).lost) == {"SCL_1", "SCL_3"}  # not reported yet, so still there
    second.settled("SCL_1")
    assert set(Ledger(path).lost) == {"SCL_3"}


def test_a_new_call_in_the_place_of_a_lost_one_settles_it(tmp_path: Path) -> None:
    path = tmp_path / "sip-calls.json"
    Ledger(path).started("SCL_1", Entry("r", "a"))
    second = Ledger(path)
    second.started("SCL_2", Entry("r", "a"))
    assert second.lost == {}
    assert set(Ledger(path).lost) == {"SCL_2"}


@pytest.mark.parametrize("text", ["{", "[]", '{"SCL_1": 5}', '{"SCL_1": ["r"]}'])
def test_an_unreadable_file_is_no_reason_to_stop(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sip-calls.json"
    path.write_text(text)
    assert Ledger(path).lost == {}


def test_a_disk_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    Ledger(tmp_path / "run" / "sip-calls.json").started("SCL_1", Entry("r", "a"))


class FakeLeg:
    """As much of a call as the table of calls looks at."""

    def __init__(self, name: str):
        self.call_id = name
        self.member = Entry("r", name)


async def test_only_a_call_that_ended_well_is_taken_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sip-calls.json"
    calls = Calls(5, Ledger(path))

    async def well() -> None:
        return

    async def badly() -> None:
        raise RuntimeError("the room was not left")

    async def stopped() -> None:
        await asyncio.Event().wait()

    for work in (well, badly, stopped):
        calls.start(cast("Leg", FakeLeg(work.__name__)), work())
    assert set(Ledger(path).lost) == {"well", "badly", "stopped"}
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.wait(tasks, timeout=0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert set(Ledger(path).lost) == {"badly", "stopped"}
    assert not calls.active
