"""Who holds an API key: looked up by prefix, proven by hash, remembered for a second."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.organization import ApiKey
from control_plane.domain.errors import NotAuthenticated
from control_plane.http.auth import Principal
from control_plane.http.buckets import Buckets
from process.logs import get_logger

_FRESH_SECS = 1.0
"""How long a revocation may go unnoticed by another process; this one notices at once."""

_MOST_KEYS = 10_000
_USED_EVERY_SECS = 60.0
_WRONG_PER_MINUTE = 30
log = get_logger(__name__)
_WRONG = "the API key is not valid; the first one is in data/credentials.toml"


class _Known(Struct):
    principal: Principal
    per_minute: int
    until: float
    noted_use: float


class KeyRing:
    """Checks keys and how often they are used.

    `per_minute` is the limit of keys without one of their own; each process counts for itself.
    """

    def __init__(
        self,
        database: Database,
        *,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._database = database
        self._per_minute = per_minute
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._buckets = Buckets()

    async def check(self, key: str, *, client: str) -> Principal:
        """Return who holds `key`.

        Args:
            client: the address that asks; wrong keys are counted against it.

        Raises:
            NotAuthenticated: no such key, or it was revoked.
            TooMany: the key, or an address that tries wrong ones, asks too often.
        """
        digest = hashlib.sha256(key.encode(errors="replace")).hexdigest()
        now = self._clock()
        known = self._known.get(digest)
        if known is None or known.until <= now:
            known = await self._look_up(key, digest, client, now)
        self._buckets.take(f"key {known.principal.key_id}", known.per_minute, now)
        return known.principal

    async def stands(self, principal: Principal) -> bool:
        """Whether the key is still there, not revoked, with all the scopes that it had."""
        async with self._database.reading() as db:
            row = await db.get(ApiKey, principal.key_id)
            at = await read_clock(db)
        return row is not None and not _is_over(row, at) and principal.scopes <= set(row.scopes)

    def invalidate(self, key_id: str) -> None:
        """Look the key up again at its next use: it was changed or revoked."""
        for digest, known in list(self._known.items()):
            if known.principal.key_id == key_id:
                del self._known[digest]

    async def _look_up(self, key: str, digest: str, client: str, now: float) -> _Known:
        prefix = "_".join(key.split("_", 2)[:2])
        async with self._database.reading() as db:
            row = await db.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
            at = await read_clock(db)
        stored = row.sha256 if row is not None else "0" * 64
        if not hmac.compare_digest(stored, digest) or row is None or _is_over(row, at):
            self._buckets.take(f"wrong {client}", _WRONG_PER_MINUTE, now)
            raise NotAuthenticated(_WRONG)
        before = self._known.pop(digest, None)
        noted = before.noted_use if before is not None else -math.inf
        if now - noted >= _USED_EVERY_SECS:
            await self._note_use(row.id, at)
            noted = now
        principal = Principal(row.organization_id, row.id, frozenset(row.scopes))
        known = _Known(
            principal, row.requests_per_minute or self._per_minute, now + _FRESH_SECS, noted
        )
        self._known[digest] = known
        if len(self._known) > _MOST_KEYS:
            self._known.popitem(last=False)
        return known

    async def _note_use(self, key_id: str, at: datetime) -> None:
        try:
            async with self._database.transaction() as db:
                await db.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=at))
        except SQLAlchemyError as exc:  # who cannot write may read all the same
            log.warning("a key's last use was not noted", key_id=key_id, error=exc)


def _is_over(row: ApiKey, now: datetime) -> bool:
    return row.revoked_at is not None and row.revoked_at <= now
