"""The API over files of its own, for modules whose tests may share one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import uvicorn
from litestar import Litestar
from msgspec import Struct

from control_plane.app import Resources, create_public_app, open_resources
from control_plane.http.limits import LimitedProtocol
from control_plane.http.server import listener_config
from control_plane.recordings.settings import RecordingSettings
from control_plane.settings import ApiSettings, Settings, StorageSettings
from sip.settings import LiveKitSettings
from tests.apps import application


class Served(Struct, frozen=True):
    """A running API, what it works with, and a client with the first key."""

    app: Litestar
    resources: Resources
    client: httpx.AsyncClient


@asynccontextmanager
async def served(
    folder: Path, recordings: RecordingSettings | None = None
) -> AsyncIterator[Served]:
    """Yield the API after a first start in `folder`; nothing listens at LiveKit's address."""
    settings = Settings(
        storage=StorageSettings(data=str(folder)),
        api=ApiSettings(
            embedded=True,
            worker_health_url="http://127.0.0.1:1/worker",
            requests_per_minute=1_000_000,
        ),
        livekit=LiveKitSettings(url="ws://127.0.0.1:1", api_key="key", api_secret="s" * 32),
        recordings=recordings or RecordingSettings(),
    )
    async with open_resources(settings) as resources:
        content = (folder / "credentials.toml").read_bytes()
        key = msgspec.toml.decode(content, type=dict[str, str])["api_key"]
        with application(create_public_app, resources) as app:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://api",
                headers={"Authorization": f"Bearer {key}"},
            ) as client:
                yield Served(app, resources, client)


@asynccontextmanager
async def listening(
    app: Litestar, *, protocol: type[LimitedProtocol] = LimitedProtocol
) -> AsyncIterator[int]:
    """Yield the port at which `app` is served as in the product."""
    config = listener_config(app, "127.0.0.1", 0, protocol=protocol)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        await server.shutdown()
