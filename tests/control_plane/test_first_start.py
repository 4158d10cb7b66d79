"""What a start finds, keeps and puts right."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.models.organization import ApiKey, Organization
from control_plane.db.models.trunk import Trunk
from control_plane.first_start import prepare
from control_plane.settings import ApiSettings
from control_plane.trunks import pace
from control_plane.trunks.routing import SIMULATOR

pytestmark = pytest.mark.db


async def start(database: Database, vault: Vault, folder: Path, **settings: str) -> Trunk:
    await prepare(database, vault, folder, ApiSettings(embedded=True, **settings))  # type: ignore[arg-type]
    async with database.reading() as session:
        found = await session.scalars(select(Trunk).where(Trunk.name == SIMULATOR))
        return found.one()


async def test_a_second_start_makes_nothing_twice(
    database: Database, vault: Vault, tmp_path: Path
) -> None:
    await start(database, vault, tmp_path)
    credentials = (tmp_path / "credentials.toml").read_text()
    moved = await start(database, vault, tmp_path, carrier_address="127.0.0.1:5190")
    assert moved.address == "127.0.0.1:5190"
    assert (tmp_path / "credentials.toml").read_text() == credentials
    async with database.reading() as session:
        assert len((await session.scalars(select(Organization))).all()) == 1
        assert len((await session.scalars(select(ApiKey))).all()) == 1


async def test_a_start_opens_the_simulator_again(
    database: Database, vault: Vault, tmp_path: Path
) -> None:
    trunk, now = await start(database, vault, tmp_path), datetime.now(UTC)
    async with database.transaction() as session:
        await pace.stop(session, trunk.id, "401", now)
        await pace.stop_destination(session, trunk.id, "US", "403", now)
    await start(database, vault, tmp_path)
    async with database.reading() as session:
        assert await pace.stopped_destinations(session, trunk.id) == {}
        state = await session.get_one(pace.TrunkPace, trunk.id)
        assert state.stopped_at is None
