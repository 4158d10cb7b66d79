"""`python -m sip.carrier` as a program: a call from one process to the carrier in another."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from sip.carrier.scenarios import SCENARIOS
from tests.carrier.conftest import Running

pytestmark = [
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(60),
]

NUMBER = {scenario.name: scenario.number for scenario in SCENARIOS}


async def run(*args: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sip.carrier", *args,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def place(running: Running, scenario: str) -> tuple[int | None, list[dict[str, Any]]]:
    uri = "sip:{}@{}:{}".format(NUMBER[scenario], *running.address)
    code, out = await run("call", uri, "--persona", "kim", "--max-seconds", "20")
    return code, [json.loads(line) for line in out.splitlines()]


async def test_a_call_that_is_answered_and_heard_ends_well(running: Running) -> None:
    code, lines = await place(running, "hangs-up")
    assert code == 0
    assert "very sorry" in next(line["pii_text"] for line in lines if line["event"] == "heard")
    call_id = lines[0]["call_id"]
    assert [line["event"] for line in running.lines(call_id, "invite")] == ["invite"]


async def test_a_refused_call_says_why(running: Running) -> None:
    code, lines = await place(running, "busy")
    assert code == 1
    assert "486" in lines[-1]["reason"]


async def test_the_list_needs_no_engines() -> None:
    code, out = await run("--list")
    assert code == 0
    assert len(out.splitlines()) == len(SCENARIOS)
