"""`offhook allow`: countries and types of numbers added to those that may be called."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from tests.offices import Office, office

pytestmark = pytest.mark.db


@asynccontextmanager
async def listening(made: Office) -> AsyncIterator[int]:
    """Yield the port that the API serves at."""
    config = uvicorn.Config(made.app, log_config=None, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        task = asyncio.create_task(server.serve([bound]))
        yield bound.getsockname()[1]
        server.should_exit = True
        await task


async def allow(folder: Path, port: int, *countries: str) -> tuple[int, str]:
    """Return the status and the words of `offhook allow`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "offhook", "allow", *countries,
        env={"OFFHOOK_DATA": str(folder / "data"), "OFFHOOK_API_PORT": str(port), "PATH": ""},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_more_countries_may_be_called(tmp_path: Path) -> None:
    number = {"phone_number": "+442079460123", "call_retry_config": {"timezone": "Europe/London"}}
    async with office(tmp_path) as made, listening(made) as port:
        refused = await made.ask("POST", "/call", number, status=422)
        assert "`offhook allow COUNTRY`" in refused["detail"]
        status, told = await allow(tmp_path, port, "gb", "DE")
        assert (status, "DE, GB, US" in told) == (0, True), told
        await made.ask("POST", "/call", number)
        status, told = await allow(tmp_path, port, "Atlantis")
        assert status == 1
        assert "allowed_countries[3]" in told
        shown = await made.ask("GET", "/organization")
        assert shown["allowed_countries"] == ["DE", "GB", "US"]


async def test_costly_types_may_be_called(tmp_path: Path) -> None:
    zone = {"timezone": "America/New_York"}
    number = {"phone_number": "+19002345678", "call_retry_config": zone}
    async with office(tmp_path) as made, listening(made) as port:
        refused = await made.ask("POST", "/call", number, status=422)
        assert "`offhook allow --type premium_rate`" in refused["detail"]
        status, told = await allow(tmp_path, port, "--type", "premium_rate", "--type", "pager")
        assert (status, "pager, premium_rate" in told) == (0, True), told
        await made.ask("POST", "/call", number)
        shown = await made.ask("GET", "/organization")
        assert shown["allowed_countries"] is None  # a type alone leaves the countries as they are
        status, told = await allow(tmp_path, port, "--type", "gold")
        assert status == 1
        assert "allowed_number_types[2]" in told
        status, told = await allow(tmp_path, port)
        assert (status, "--type" in told) == (2, True)
