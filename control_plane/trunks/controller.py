"""Trunks: rows here; the scheduler applies them to the SIP service."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.base import read_clock
from control_plane.db.crypto import Vault
from control_plane.db.engine import wake
from control_plane.db.models.trunk import Number, Purpose, Trunk
from control_plane.db.sealed import seal
from control_plane.domain.brief import Direction
from control_plane.domain.errors import BadInput, Conflict
from control_plane.domain.ids import new_id, parse_id
from control_plane.domain.phone import e164
from control_plane.domain.refer_uri import check_template
from control_plane.domain.sip_address import check_trunk_address
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenVault
from control_plane.trunks import pace, repository, taken
from control_plane.trunks.purposes import check_purpose, reach
from control_plane.trunks.schemas import TrunkCreate, TrunkList, TrunkPatch, TrunkView
from control_plane.trunks.views import trunk_view

_PLAIN = (
    "name",
    "address",
    "transport",
    "username",
    "allowed_addresses",
    "calls_per_second",
    "max_concurrent_calls",
    "price_per_minute",
    "takes_refer",
    "refer_to",
)


class TrunkController(Controller):
    """Ways into and out of the telephone network."""

    path = "/trunk"
    tags = ("trunks",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @post(operation_id="createTrunk", summary="Create a trunk", status_code=201)
    async def create(
        self,
        data: JSONBody[TrunkCreate],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> TrunkView:
        """Create a trunk; `applied` turns true once the SIP service has it."""
        now, owner = datetime.now(UTC), principal.organization_id
        row = Trunk(
            id=new_id(),
            organization_id=owner,
            direction=data.direction,
            purpose=data.purpose and Purpose(data.purpose),
            name=data.name,
            address=data.address,
            transport=data.transport,
            username=data.username,
            numbers=[e164(number, field="numbers") for number in data.numbers],
            allowed_addresses=data.allowed_addresses,
            is_default=data.is_default,
            calls_per_second=data.calls_per_second,
            max_concurrent_calls=data.max_concurrent_calls,
            price_per_minute=data.price_per_minute,
            takes_refer=data.takes_refer,
            refer_to=data.refer_to,
            created_at=now,
            updated_at=now,
        )
        async with database.transaction() as db:
            await taken.lock(db)
            if data.password is not None:
                secret = await seal(db, vault, owner, data.password, now=now)
                row.secret_id = secret.id
            await _check(db, row)
            if data.is_default:
                await repository.clear_default_trunk(db, owner, data.direction)
                await repository.prefer_numbers_of(db, row)
            db.add(row)
            wake(db)
            return await trunk_view(db, row)

    @get(operation_id="listTrunks", summary="List trunks")
    async def list_all(self, principal: GivenPrincipal, database: GivenDatabase) -> TrunkList:
        """List every trunk, newest first."""
        async with database.reading() as db:
            rows = await repository.list_trunks(db, principal.organization_id)
            return TrunkList([await trunk_view(db, row) for row in rows])

    @get("/{trunk_id:str}", operation_id="getTrunk", summary="Get a trunk")
    async def get_one(
        self, trunk_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> TrunkView:
        """Return one trunk, its password masked."""
        key = parse_id(trunk_id, what="trunk")
        async with database.reading() as db:
            row = await repository.get_trunk(db, principal.organization_id, key)
            return await trunk_view(db, row)

    @patch("/{trunk_id:str}", operation_id="updateTrunk", summary="Change a trunk")
    async def change(
        self,
        trunk_id: FromPath[str],
        data: JSONBody[TrunkPatch],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> TrunkView:
        """Change what is given; the scheduler applies it again."""
        key, now = parse_id(trunk_id, what="trunk"), datetime.now(UTC)
        async with database.transaction() as db:
            await taken.lock(db)
            row = await repository.get_trunk(db, principal.organization_id, key)
            await _apply_patch(db, vault, row, data, now=now)
            await _check(db, row)
            wake(db)
            return await trunk_view(db, row)

    @post(
        "/{trunk_id:str}/resume",
        operation_id="resumeTrunk",
        summary="Resume a trunk",
        status_code=200,
    )
    async def resume(
        self, trunk_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> TrunkView:
        """Forget the trunk's faults and stops: its waiting orders go on."""
        key = parse_id(trunk_id, what="trunk")
        async with database.transaction() as db:
            row = await repository.get_trunk(db, principal.organization_id, key)
            await pace.resume(db, row.id, await read_clock(db))
            return await trunk_view(db, row)

    @delete("/{trunk_id:str}", operation_id="deleteTrunk", summary="Delete a trunk")
    async def remove(
        self, trunk_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Delete a trunk; the scheduler takes it from the SIP service."""
        key = parse_id(trunk_id, what="trunk")
        async with database.transaction() as db:
            row = await repository.get_trunk(db, principal.organization_id, key)
            used = await db.scalar(
                select(Number.phone_number).where(Number.trunk_id == key).limit(1)
            )
            if used is not None:
                raise Conflict("a number uses this trunk: give the number another one first")
            row.deleted_at = datetime.now(UTC)
            row.is_default, row.purpose = False, None
            wake(db)


async def _apply_patch(
    db: AsyncSession, vault: Vault, row: Trunk, data: TrunkPatch, *, now: datetime
) -> None:
    before = reach(row)
    for field in _PLAIN:
        given = getattr(data, field)
        if given is not UNSET:
            setattr(row, field, given)
    if data.numbers is not UNSET:
        row.numbers = [e164(number, field="numbers") for number in data.numbers]
    if data.password is None:
        row.secret_id = None
    elif data.password is not UNSET:
        secret = await seal(
            db, vault, row.organization_id, data.password, now=now, replaces=row.secret_id
        )
        row.secret_id = secret.id
    if reach(row) != before:
        row.purpose = None  # a start would set them back: whose they are, the trunk is
    if data.is_default is True:
        await repository.clear_default_trunk(db, row.organization_id, row.direction)
        await repository.prefer_numbers_of(db, row)
        row.is_default = True
    elif data.is_default is False:
        row.is_default = False
    row.updated_at = now
    if row.direction == Direction.OUTBOUND:
        await db.flush()
        await pace.resume(db, row.id, now)  # what was refused may pass now


async def _check(db: AsyncSession, row: Trunk) -> None:
    """Refuse what the SIP service would refuse, with a remedy (observed in LiveKit SIP)."""
    others = await repository.list_trunks(db, row.organization_id)
    if any(each.name == row.name and each.id != row.id for each in others):
        raise Conflict(f"there is a trunk named {row.name!r} already: choose another", field="name")
    check_purpose(row, others)
    if (row.username is None) != (row.secret_id is None):
        raise BadInput("username and password belong together: give both or none", field="username")
    if row.address is not None:
        check_trunk_address(row.address)
    check_template(row.refer_to)
    if row.direction == Direction.OUTBOUND:
        if row.address is None:
            raise BadInput("an outbound trunk needs an address, host[:port]", field="address")
        if not row.numbers:
            raise BadInput("an outbound trunk needs a number to call from", field="numbers")
        return
    if not row.numbers and not row.allowed_addresses and row.username is None:
        raise BadInput(
            "an inbound trunk needs numbers, allowed_addresses or a username with a password, "
            "or anybody could call in",
            field="numbers",
        )
    _check_addresses(row.allowed_addresses)
    await taken.check_trunk(db, row)


def _check_addresses(addresses: list[str]) -> None:
    for address in addresses:
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError as exc:
            raise BadInput(
                f"{address} is not an address or a network such as 192.0.2.0/24",
                field="allowed_addresses",
            ) from exc
