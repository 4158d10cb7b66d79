"""Trunks at the SIP service: made like the rows, and made again when the service lost them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance import suspended
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database, wake
from control_plane.db.models.organization import Secret
from control_plane.db.models.trunk import Trunk
from control_plane.domain.brief import AGENT_NAME, Direction, DispatchMetadata
from control_plane.trunks.repository import list_trunks, wanted_hash
from process.logs import get_logger
from sip.ports import AgentRule, InboundTrunk, OutboundTrunk, SipTrouble, Trunks

ROOM_PREFIX = "inbound"
RULE_METADATA = msgspec.json.encode(DispatchMetadata()).decode()
"""Says nothing: whoever may list the service's rules reads it."""
log = get_logger(__name__)


_SUSPENDED = "the organization is suspended: it takes no calls until it is resumed"


class _Wanted(Struct, frozen=True):
    """A trunk row with what must be told of it; `closed`: its organization is suspended."""

    trunk: Trunk
    password: str
    digest: str
    closed: bool = False

    @property
    def gone(self) -> bool:
        """Return whether the SIP service is to have no such trunk."""
        return self.closed or self.trunk.deleted_at is not None


class TrunkKeeper:
    """Brings the SIP service in line with the rows."""

    def __init__(self, database: Database, trunks: Trunks, vault: Vault):
        self._database = database
        self._trunks = trunks
        self._vault = vault
        self._lock = asyncio.Lock()
        self._told: dict[str, tuple[str, str]] = {}  # what was logged of each trunk in trouble

    async def apply(self, *, check_all: bool = False) -> None:
        """Apply every trunk that changed.

        Args:
            check_all: also ask the service what it has, and make again what it lost.
        """
        async with self._lock:
            wanted = await self._wanted()
            known: frozenset[str] | None = None
            if check_all and wanted:
                try:
                    known = await self._trunks.known()
                except SipTrouble as exc:
                    log.warning("the SIP service does not list its trunks", error=exc)
                    return
            self._told = {k: v for k, v in self._told.items() if k in {w.trunk.id for w in wanted}}
            for each in wanted:
                if _is_due(each, known):
                    await self._apply_one(each, known)

    async def _wanted(self) -> list[_Wanted]:
        found = []
        async with self._database.reading() as db:
            stopped = await suspended.all_suspended(db)
            for trunk in await list_trunks(db, with_deleted=True):
                # Outbound ones stay: calls that are live may need theirs.
                inbound = trunk.direction == Direction.INBOUND
                closed = inbound and trunk.organization_id in stopped
                if trunk.sip_trunk_id is None and (
                    trunk.deleted_at is not None or (closed and trunk.apply_error == _SUSPENDED)
                ):
                    continue
                secret = await self._secret(db, trunk)
                digest = wanted_hash(
                    trunk,
                    secret_version=f"{secret.id}{secret.updated_at}" if secret else "",
                    rule_metadata=RULE_METADATA,
                )
                password = self._vault.unseal(secret.ciphertext) if secret else ""
                found.append(_Wanted(trunk, password, digest, closed))
        return found

    async def _secret(self, db: AsyncSession, trunk: Trunk) -> Secret | None:
        if trunk.secret_id is None:
            return None
        return await db.get(Secret, trunk.secret_id)

    async def _apply_one(self, wanted: _Wanted, known: frozenset[str] | None) -> None:
        trunk = wanted.trunk
        try:
            if wanted.gone:
                await self._remove(wanted)
                return
            trunk_id, rule_id = await self._send(wanted, known)
        except SipTrouble as exc:
            await self._trouble(wanted, str(exc))
            return
        self._told.pop(trunk.id, None)
        await self._store(trunk.id, trunk_id, rule_id, wanted.digest, None)
        log.info("a trunk was applied", trunk_id=trunk.id, sip_trunk_id=trunk_id)

    async def _remove(self, wanted: _Wanted) -> None:
        trunk = wanted.trunk
        if trunk.sip_trunk_id is not None:
            await self._trunks.remove(sip_trunk_id=trunk.sip_trunk_id, rule_id=trunk.sip_rule_id)
        if trunk.deleted_at is not None:
            await self._store(trunk.id, None, None, wanted.digest, None)
        else:  # without a digest, it is made again as soon as the organization is resumed
            await self._store(trunk.id, None, None, None, _SUSPENDED)

    async def _trouble(self, wanted: _Wanted, error: str) -> None:
        """Keep why the service does not have the trunk; it is tried again at every sweep.

        People read of it once per change of the trunk or of the reason, not at every try.
        """
        trunk = wanted.trunk
        if self._told.get(trunk.id) != (wanted.digest, error):
            self._told[trunk.id] = wanted.digest, error
            log.warning("a trunk could not be applied", trunk_id=trunk.id, error=error)
        if (trunk.applied_hash, trunk.apply_error) != (None, error):
            await self._store(trunk.id, trunk.sip_trunk_id, trunk.sip_rule_id, None, error)

    async def _send(self, wanted: _Wanted, known: frozenset[str] | None) -> tuple[str, str | None]:
        trunk = wanted.trunk
        if known is None:
            known = await self._trunks.known()
        before = trunk.sip_trunk_id if trunk.sip_trunk_id in known else None
        if trunk.direction == Direction.OUTBOUND:
            sip_trunk_id = await self._trunks.apply_outbound(
                OutboundTrunk(
                    name=trunk.name,
                    address=trunk.address or "",
                    transport=trunk.transport,
                    numbers=tuple(trunk.numbers),
                    username=trunk.username or "",
                    password=wanted.password,
                ),
                before,
            )
            return sip_trunk_id, None
        sip_trunk_id = await self._trunks.apply_inbound(
            InboundTrunk(
                name=trunk.name,
                numbers=tuple(trunk.numbers),
                allowed_addresses=tuple(trunk.allowed_addresses),
                username=trunk.username or "",
                password=wanted.password,
            ),
            before,
        )
        rule_id = await self._trunks.apply_rule(
            AgentRule(
                name=f"{trunk.name} to agents",
                sip_trunk_id=sip_trunk_id,
                room_prefix=ROOM_PREFIX,
                agent_name=AGENT_NAME,
                metadata=RULE_METADATA,
            ),
            trunk.sip_rule_id if trunk.sip_rule_id in known else None,
        )
        return sip_trunk_id, rule_id

    async def _store(
        self,
        trunk_id: str,
        sip_trunk_id: str | None,
        rule_id: str | None,
        digest: str | None,
        error: str | None,
    ) -> None:
        async with self._database.transaction() as db:
            row = await db.get_one(Trunk, trunk_id)
            row.sip_trunk_id, row.sip_rule_id = sip_trunk_id, rule_id
            row.applied_hash, row.apply_error = digest, error
            if digest is not None:
                row.applied_at = datetime.now(UTC)
                wake(db)


def _is_due(wanted: _Wanted, known: frozenset[str] | None) -> bool:
    trunk = wanted.trunk
    if wanted.gone or trunk.applied_hash != wanted.digest:
        return True
    if known is None:
        return False
    lost_rule = trunk.sip_rule_id is not None and trunk.sip_rule_id not in known
    return trunk.sip_trunk_id not in known or lost_rule
