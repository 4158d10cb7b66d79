"""`offhook webhooks`: events reach a local URL over the API, signed as Offhook signs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import uvicorn

from control_plane.app import Resources, create_public_app, open_resources
from control_plane.db.models.call_order import CallOrder
from control_plane.sessions.history import announce
from control_plane.settings import ApiSettings, Settings, StorageSettings
from sip.settings import LiveKitSettings
from tests import factories
from tests.webhooks.conftest import Receiver, verified

pytestmark = pytest.mark.db


class Home:
    """A data folder whose API is up, and the command line that uses it."""

    def __init__(self, resources: Resources, folder: Path, port: int):
        self.resources = resources
        credentials = (folder / "credentials.toml").read_bytes()
        self.owner = msgspec.toml.decode(credentials, type=dict[str, str])["organization_id"]
        self._environ = {
            **os.environ,
            "OFFHOOK_DATA": str(folder),
            "OFFHOOK_API_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }

    async def command(self, *words: str) -> asyncio.subprocess.Process:
        """Return `offhook webhooks …`, started."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "offhook", "webhooks", *words,
            env=self._environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def happen(self, kind: str) -> str:
        """Let something happen to a new order."""
        database = self.resources.database
        order = await factories.order(database, self.resources.vault, self.owner)
        async with database.transaction() as session:
            row = await session.get_one(CallOrder, order.id)
            announce(session, row, None, kind, at=datetime.now(UTC))
        return order.id


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    """A first start with its API on a port."""
    settings = Settings(
        storage=StorageSettings(data=str(tmp_path / "data")),
        api=ApiSettings(embedded=True, worker_health_url="http://127.0.0.1:1/worker"),
        livekit=LiveKitSettings(url="ws://127.0.0.1:1", api_key="key", api_secret="s" * 32),
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # whoever comes before the server is up waits for it
        async with open_resources(settings) as resources:
            server = uvicorn.Server(
                uvicorn.Config(
                    create_public_app(resources),
                    ws="none",
                    log_config=None,
                    timeout_graceful_shutdown=1,
                )
            )
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            yield Home(resources, settings.storage.folder, listening.getsockname()[1])
            server.should_exit = True
            await serving


async def test_events_reach_a_local_url(home: Home, receiver: Receiver) -> None:
    listening = await home.command(
        "listen", "--forward", receiver.url, "--types", "call.ringing", "--types", "campaign.*"
    )
    assert listening.stdout is not None
    secret = (await listening.stdout.readline()).decode().split()[-1]
    await listening.stdout.readline()
    receiver.then(204)
    while not receiver.arrived.is_set():  # it follows from its connection on, whenever that is
        await home.happen("call.completed")
        await home.happen("call.ringing")
        await asyncio.wait([asyncio.ensure_future(receiver.arrived.wait())], timeout=0.5)
    body = verified(receiver.messages[0], secret)
    assert body["type"] == "call.ringing"
    shown = (await listening.stdout.readline()).decode()
    assert shown.split() == ["call.ringing", body["data"]["call_id"], "204"]
    listening.send_signal(signal.SIGINT)
    assert await listening.wait() == 130


async def test_what_is_not_there_is_said(home: Home) -> None:
    nothing = await home.command("replay", "01900000-0000-7000-8000-000000000000")
    said, _ = await nothing.communicate()
    assert nothing.returncode == 1
    assert b"there is no delivery" in said
