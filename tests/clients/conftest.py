"""The API at a port of loopback, as its clients see it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from tests.served import listening, served


class Api(Struct, frozen=True):
    """Where the API listens, and what it shows to who has the key.

    Attributes:
        environ: what a client is started with: OFFHOOK_URL and OFFHOOK_API_KEY among it.
        document: the path of the native OpenAPI document.
    """

    client: httpx.AsyncClient
    environ: dict[str, str]
    document: Path

    async def get(self, path: str) -> Any:
        """Return the JSON at `path`."""
        return (await self.client.get(path)).raise_for_status().json()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """An API that listens."""
    async with served(tmp_path / "data") as running, listening(running.app) as port:
        url = f"http://127.0.0.1:{port}"
        headers = {"Authorization": running.client.headers["Authorization"]}
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            document = tmp_path / "openapi.json"
            document.write_text(json.dumps((await client.get("/schema/openapi.json")).json()))
            key = headers["Authorization"].removeprefix("Bearer ")
            given = {"OFFHOOK_URL": url, "OFFHOOK_API_KEY": key}
            yield Api(client, {**os.environ, **given}, document)
