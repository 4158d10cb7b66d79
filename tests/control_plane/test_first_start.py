"""What a start finds, keeps and puts right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import select

from control_plane.app import create_public_app, open_resources
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.models.organization import ApiKey, Organization
from control_plane.db.models.trunk import Purpose, Trunk
from control_plane.domain.ids import new_id
from control_plane.first_start import prepare, write_credentials
from control_plane.keys.making import make_key
from control_plane.settings import ApiSettings, Settings
from control_plane.trunks import pace

pytestmark = [pytest.mark.db, pytest.mark.engines]
SECOND = timedelta(seconds=1)


async def start(database: Database, vault: Vault, folder: Path, **settings: str) -> Trunk:
    await prepare(database, vault, folder, ApiSettings(embedded=True, **settings))  # type: ignore[arg-type]
    async with database.reading() as session:
        found = await session.scalars(select(Trunk).where(Trunk.purpose == Purpose.SIMULATOR))
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


async def scopes_of(database: Database) -> dict[str, list[str]]:
    async with database.reading() as session:
        return {row.name: row.scopes for row in await session.scalars(select(ApiKey))}


async def test_the_first_key_is_the_operators(
    database: Database, vault: Vault, tmp_path: Path
) -> None:
    await start(database, vault, tmp_path)
    assert await scopes_of(database) == {"first start": ["calls", "admin", "operator"]}


@pytest.mark.parametrize(
    ("used", "operator"),
    [
        ("second", "second"),
        ("revoked", "first start"),
        ("calls", "first start"),
        ("another's", "first start"),
        ("", "first start"),
    ],
)
async def test_after_an_upgrade_the_key_in_use_is_the_operators(
    database: Database, vault: Vault, tmp_path: Path, used: str, operator: str
) -> None:
    """The key of credentials.toml, or else the first organization's oldest that can do as much."""
    await start(database, vault, tmp_path)
    both, now = ["admin", "calls"], datetime.now(UTC)
    whole: dict[str, str] = {}
    async with database.transaction() as session:
        owner = (await session.scalars(select(Organization))).one()
        (await session.scalars(select(ApiKey))).one().scopes = both
        other = Organization(id=new_id(), name="b", created_at=owner.created_at + SECOND)
        session.add(other)
        await session.flush()
        for name, scopes in (
            ("second", both), ("revoked", both), ("calls", ["calls"]), ("another's", both)
        ):  # fmt: skip
            belongs_to = other.id if name == "another's" else owner.id
            row, whole[name] = make_key(belongs_to, name=name, scopes=scopes, now=now)
            row.revoked_at = now if name == "revoked" else None
            session.add(row)
    credentials = tmp_path / "credentials.toml"
    if used:
        write_credentials(credentials, "http://api", whole[used], owner.id)
    else:
        credentials.write_text("not what we wrote")
    for _ in range(2):  # the second start finds one and gives the scope to nobody else
        await start(database, vault, tmp_path)
        having = [name for name, has in (await scopes_of(database)).items() if "operator" in has]
        assert having == [operator]
        credentials.write_text("")


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


LAN = {"sip_lan_username": "softphone", "sip_lan_password": "secret of the network"}


@asynccontextmanager
async def started(settings: Settings, **changes: str) -> AsyncIterator[httpx.AsyncClient]:
    """Start the installation; yields a client with its first key."""
    told = msgspec.structs.replace(settings, api=msgspec.structs.replace(settings.api, **changes))
    content = settings.storage.folder / "credentials.toml"
    async with open_resources(told) as resources:
        key = msgspec.toml.decode(content.read_bytes(), type=dict[str, str])["api_key"]
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(create_public_app(resources)),
            base_url="http://api",
            headers={"Authorization": f"Bearer {key}"},
        ) as client:
            yield client


async def trunk_called(api: httpx.AsyncClient, name: str) -> dict[str, Any]:
    [found] = [t for t in (await api.get("/trunk")).json()["trunks"] if t["name"] == name]
    return dict(found)


async def test_a_start_leaves_a_carriers_trunk_its_name_login_and_addresses(
    settings: Settings,
) -> None:
    carrier = {
        "direction": "inbound",
        "name": "inbound",
        "username": "carrier",
        "password": "the carrier's",
        "allowed_addresses": ["192.0.2.0/24"],
    }
    out = {"name": "simulator", "address": "192.0.2.1", "numbers": ["+14155552671"]}
    async with started(settings) as api:
        for trunk in (await api.get("/trunk")).json()["trunks"]:
            await api.patch(f"/trunk/{trunk['id']}", json={"name": f"our {trunk['direction']}"})
        ours = await trunk_called(api, "our inbound")
        assert (await api.delete(f"/trunk/{ours['id']}")).status_code == 204
        for body in (carrier, out):
            made = await api.post("/trunk", json=body)
            assert made.status_code == 201, made.text
        before = [await trunk_called(api, name) for name in ("inbound", "simulator")]
    async with started(settings, carrier_address="127.0.0.1:5190", **LAN) as api:
        assert [await trunk_called(api, name) for name in ("inbound", "simulator")] == before
        assert (await trunk_called(api, "our outbound"))["address"] == "127.0.0.1:5190"


async def test_our_line_follows_the_login_whatever_it_is_called(settings: Settings) -> None:
    async with started(settings) as api:
        ours = await trunk_called(api, "inbound")
        await api.patch(f"/trunk/{ours['id']}", json={"name": "front desk"})
    async with started(settings, **LAN) as api:
        line = await trunk_called(api, "front desk")
        assert (line["username"], line["allowed_addresses"]) == ("softphone", [])
    async with started(settings) as api:
        line = await trunk_called(api, "front desk")
        assert (line["username"], line["allowed_addresses"]) == (None, ["127.0.0.0/8"])


@pytest.mark.parametrize(
    "change",
    [
        {"allowed_addresses": ["192.0.2.0/24"]},
        {"username": "carrier", "password": "the carrier's"},
    ],
)
async def test_our_line_given_to_a_carrier_is_the_carriers(
    settings: Settings, change: dict[str, Any]
) -> None:
    async with started(settings) as api:
        ours = await trunk_called(api, "inbound")
        assert ours["purpose"] == "local_line"
        given = await api.patch(f"/trunk/{ours['id']}", json=change)
        assert (given.status_code, given.json()["purpose"]) == (200, None), given.text
    async with started(settings, **LAN) as api:
        assert await trunk_called(api, "inbound") == given.json()
