"""Both applications over real SQLite files, with clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from control_plane.app import Resources, create_internal_app, create_public_app, open_resources
from control_plane.settings import ApiSettings, Settings, StorageSettings
from sip.settings import LiveKitSettings
from tests import arrivals
from tests.apps import application
from tests.arrivals import FakeCallRooms


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings of a first start; nothing listens at LiveKit's address."""
    return Settings(
        storage=StorageSettings(data=str(tmp_path / "data"), database_url=database_url),
        api=ApiSettings(embedded=True, worker_health_url="http://127.0.0.1:1/worker"),
        livekit=LiveKitSettings(
            url="ws://127.0.0.1:1", api_key=arrivals.KEY, api_secret=arrivals.SECRET
        ),
    )


@pytest.fixture
def call_rooms() -> FakeCallRooms:
    """The rooms that calls come into."""
    return FakeCallRooms()


@pytest.fixture
async def resources(settings: Settings, call_rooms: FakeCallRooms) -> AsyncIterator[Resources]:
    """What the applications work with, after a first start."""
    async with open_resources(settings) as opened:
        yield call_rooms.known_to(opened)


@pytest.fixture
def credentials(resources: Resources, settings: Settings) -> dict[str, str]:
    """The content of credentials.toml."""
    content = (settings.storage.folder / "credentials.toml").read_bytes()
    return msgspec.toml.decode(content, type=dict[str, str])


@pytest.fixture
async def api(
    resources: Resources, credentials: dict[str, str]
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the first key."""
    headers = {"Authorization": f"Bearer {credentials['api_key']}"}
    with application(create_public_app, resources) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://api", headers=headers
        ) as client:
            yield client


@pytest.fixture
async def internal(resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the internal listener; each request brings its own token."""
    with application(create_internal_app, resources) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://internal") as client:
            yield client


@pytest.fixture
def suspend(api: httpx.AsyncClient) -> Callable[[], Awaitable[str]]:
    """Suspends the first organization, and returns how it is resumed, as refusals say it."""

    async def now() -> str:
        owner = (await api.get("/organization")).json()["id"]
        assert (await api.post(f"/organizations/{owner}/suspend")).status_code == 200
        return f"`offhook org resume {owner}`"

    return now
