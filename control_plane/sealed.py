"""Secrets that rows refer to: sealed on the way in, shown masked, unsealed for who uses them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.crypto import Vault
from control_plane.db.models.organization import Secret
from control_plane.domain.ids import new_id

MASK = "****"
_HINT = 4


async def seal(
    session: AsyncSession,
    vault: Vault,
    organization_id: str,
    clear: str,
    *,
    now: datetime,
    replaces: str | None = None,
) -> Secret:
    """Return the secret's row; with `replaces`, that row changes, and with it all who refer to it.

    A masked value sent back means that the secret stays as it is.
    """
    existing = await session.get(Secret, replaces) if replaces is not None else None
    if existing is not None:
        if clear != mask(existing.hint):
            existing.ciphertext, existing.hint = vault.seal(clear), _hint(clear)
            existing.updated_at = now
        return existing
    secret = Secret(
        id=new_id(),
        organization_id=organization_id,
        ciphertext=vault.seal(clear),
        hint=_hint(clear),
        created_at=now,
        updated_at=now,
    )
    session.add(secret)
    await session.flush()
    return secret


def mask(hint: str) -> str:
    """Return what is shown instead of a secret."""
    return MASK + hint


def looks_masked(value: str) -> bool:
    """Return whether `value` has the form of a mask."""
    return value.startswith(MASK) and len(value) <= len(MASK) + _HINT


async def masked(session: AsyncSession, secret_id: str | None) -> str | None:
    """Return what is shown instead of the secret, None when there is none."""
    secret = await session.get(Secret, secret_id) if secret_id is not None else None
    return mask(secret.hint) if secret is not None else None


async def unseal(session: AsyncSession, vault: Vault, secret_id: str) -> str:
    """Return the clear text."""
    secret = await session.get_one(Secret, secret_id)
    return vault.unseal(secret.ciphertext)


def _hint(clear: str) -> str:
    """The last characters, but never a noticeable part of a short secret."""
    return clear[-_HINT:] if len(clear) >= 4 * _HINT else ""
