"""Many rows in one upload: memory stays bounded, and all of them may become orders."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import psutil
import pytest

from tests.campaigns.conftest import Desk

pytestmark = [pytest.mark.db, pytest.mark.timeout(180)]

ROWS = int(os.environ.get("OFFHOOK_TEST_ROWS", "5000"))
MOST_BYTES = 40 * 1024 * 1024
CSV = {"Content-Type": "text/csv"}


def lines() -> list[bytes]:
    """Return lines of distinct valid numbers of one area, each with a name and an id."""
    exchanges = [number for number in range(200, 1000) if number % 100 != 11 and number != 555]
    numbers = (f"+1212{exchange}{line:04}" for exchange in exchanges for line in range(10_000))
    return [
        f"{number},Person {index},{index}\n".encode()
        for index, number in zip(range(ROWS), numbers, strict=False)
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_many_rows_in_one_upload(desk: Desk) -> None:
    made = await desk.campaign(assistant_id=await desk.assistant("Hi {{name}}."))
    given = lines()
    process = psutil.Process()
    before = most = process.memory_info().rss

    async def body() -> AsyncIterator[bytes]:
        yield b"phone_number,name,metadata.id\n"
        for at in range(0, ROWS, 1_000):
            yield b"".join(given[at : at + 1_000])

    async def watch() -> None:
        nonlocal most
        while True:
            await asyncio.sleep(0)
            most = max(most, process.memory_info().rss)

    watcher = asyncio.create_task(watch())
    answer = await desk.office.client.post(f"/campaign/{made}/rows", content=body(), headers=CSV)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["accepted"], told["errors"]) == (ROWS, [])
    dry = await desk.ask("GET", f"/campaign/{made}/dry-run")
    watcher.cancel()
    assert (dry["rows"], dry["now"]) == (ROWS, ROWS)
    assert most - before < MOST_BYTES
    assert (await desk.get(made))["rows"] == ROWS
