"""The API of one database with clients of several organizations, and the rows behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
from litestar import Litestar
from sqlalchemy import select

from control_plane.app import Resources, create_public_app, open_resources
from control_plane.db.models.trunk import Trunk
from control_plane.domain.brief import Direction
from control_plane.domain.ids import new_id
from control_plane.keys.making import SCOPES, make_key
from control_plane.settings import ApiSettings, Settings, StorageSettings
from sip.settings import LiveKitSettings
from tests.apps import application


class Office:
    """A client of the first organization; `another` makes more of them."""

    def __init__(self, app: Litestar, resources: Resources, key: str, stack: AsyncExitStack):
        self.app = app
        self.resources = resources
        self.database = resources.database
        self.vault = resources.vault
        self.client = self.client_of(key)
        self._stack = stack

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int = 200,
        client: httpx.AsyncClient | None = None,
    ) -> Any:
        """Return the decoded answer, which must have this status; text is sent as CSV."""
        how: dict[str, Any] = {"json": body} if body is not None else {}
        if isinstance(body, str | bytes):
            how = {"content": body, "headers": {"Content-Type": "text/csv"}}
        answer = await (client or self.client).request(method, path, **how)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def another(self) -> httpx.AsyncClient:
        """Return a client of a new organization."""
        made = await self.ask("POST", "/organizations", {"name": new_id()}, status=201)
        return await self._stack.enter_async_context(self.client_of(made["key"]["key"]))

    async def with_key(self, owner: str, *, scopes: tuple[str, ...] = SCOPES) -> httpx.AsyncClient:
        """Return a client of an organization with a new key."""
        row, key = make_key(owner, name="k", scopes=list(scopes), now=datetime.now(UTC))
        async with self.database.transaction() as session:
            session.add(row)
        return await self._stack.enter_async_context(self.client_of(key))

    async def owner(self) -> str:
        """Return the first organization's id."""
        found: str = (await self.ask("GET", "/organization"))["id"]
        return found

    async def open_trunk(self) -> None:
        """Let the first organization's trunk take many calls."""
        async with self.database.transaction() as session:
            outbound = select(Trunk).where(Trunk.direction == Direction.OUTBOUND)
            row = (await session.scalars(outbound)).one()
            row.calls_per_second, row.max_concurrent_calls = 1_000.0, 1_000
            row.sip_trunk_id = "ST_1"

    def client_of(self, key: str) -> httpx.AsyncClient:
        """Return a client with a key; enter it to use it."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://api",
            headers={"Authorization": f"Bearer {key}"},
            timeout=None,
        )


@asynccontextmanager
async def office(folder: Path, database_url: str = "") -> AsyncIterator[Office]:
    """Yield the API after a first start; nothing listens at LiveKit's address."""
    settings = Settings(
        storage=StorageSettings(data=str(folder / "data"), database_url=database_url),
        api=ApiSettings(
            embedded=True,
            worker_health_url="http://127.0.0.1:1/worker",
            requests_per_minute=1_000_000,
        ),
        livekit=LiveKitSettings(url="ws://127.0.0.1:1", api_key="key", api_secret="s" * 32),
    )
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_resources(settings))
        content = (settings.storage.folder / "credentials.toml").read_bytes()
        key = msgspec.toml.decode(content, type=dict[str, str])["api_key"]
        app = stack.enter_context(application(create_public_app, resources))
        made = Office(app, resources, key, stack)
        await stack.enter_async_context(made.client)
        yield made
