"""Secrets that rows refer to: sealed on the way in, shown masked, unsealed for who uses them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.crypto import Vault
from control_plane.db.models.organization import Secret
from control_plane.domain.ids import new_id
from control_plane.domain.masks import SealedUrl, hint_of, mask


class Sealer:
    """Encrypts ahead of a transaction: on SQLite everybody waits while one is open."""

    def __init__(self, vault: Vault, *clear: str, urls: Sequence[str] = ()):
        self._vault = vault
        self._urls = {each: vault.seal_url(each) for each in urls}
        self._ready = {each: vault.seal(each) for each in clear}

    def seal(self, clear: str) -> str:
        """Return the ciphertext, made before if `clear` was known then."""
        return self._ready.pop(clear, None) or self._vault.seal(clear)

    def seal_url(self, url: str) -> SealedUrl:
        """Return the address sealed, before if it was among `urls`."""
        return self._urls.get(url) or self._vault.seal_url(url)


async def seal(
    db: AsyncSession,
    sealer: Vault | Sealer,
    organization_id: str,
    clear: str,
    *,
    now: datetime,
    replaces: str | None = None,
) -> Secret:
    """Return the secret's row, written already; see `add_sealed`."""
    secret = await add_sealed(db, sealer, organization_id, clear, now=now, replaces=replaces)
    await db.flush()
    return secret


async def add_sealed(
    db: AsyncSession,
    sealer: Vault | Sealer,
    organization_id: str,
    clear: str,
    *,
    now: datetime,
    replaces: str | None = None,
) -> Secret:
    """Return the secret's row, to be flushed.

    With `replaces`, that row changes, and with it all who refer to it.

    A masked value sent back means that the secret stays as it is.
    """
    existing = await db.get(Secret, replaces) if replaces is not None else None
    if existing is not None:
        if clear != mask(existing.hint):
            existing.ciphertext, existing.hint = sealer.seal(clear), hint_of(clear)
            existing.updated_at = now
        return existing
    secret = Secret(
        id=new_id(),
        organization_id=organization_id,
        ciphertext=sealer.seal(clear),
        hint=hint_of(clear),
        created_at=now,
        updated_at=now,
    )
    db.add(secret)
    return secret


async def masked(db: AsyncSession, secret_id: str | None) -> str | None:
    """Return what is shown instead of the secret, None when there is none."""
    secret = await db.get(Secret, secret_id) if secret_id is not None else None
    return mask(secret.hint) if secret is not None else None


async def unseal(db: AsyncSession, vault: Vault, secret_id: str) -> str:
    """Return the clear text."""
    secret = await db.get_one(Secret, secret_id)
    return vault.unseal(secret.ciphertext)
