"""Secrets of receivers, and the headers that prove a message to be ours (Standard Webhooks)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks.webhooks import Webhook

from control_plane.db.crypto import KeyLost, Vault
from control_plane.db.models.organization import Secret
from control_plane.db.models.webhook import WebhookEndpoint, WebhookSigner
from control_plane.db.sealed import seal
from process.logs import get_logger

_PREFIX = "whsec_"
_BYTES = 32
_MOST_KNOWN = 10_000

Signer = WebhookEndpoint | WebhookSigner
log = get_logger(__name__)


def new_secret() -> str:
    """Return a fresh secret in the form that receivers' libraries take."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def signed_headers(
    signers: Sequence[Webhook], *, message_id: str, at: datetime, payload: str
) -> dict[str, str]:
    """Return the headers of a message; each signer adds a signature, so that old secrets hold."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(each.sign(message_id, at, payload) for each in signers),
    }


def secret_ids(row: Signer, *, now: datetime) -> list[str]:
    """Return the ids of the secrets that sign for `row` now, the newest first."""
    found = [row.secret_id]
    if row.previous_secret_id is not None and row.previous_until is not None:
        found += [row.previous_secret_id] * (now < row.previous_until)
    return found


async def default_signer(
    db: AsyncSession, vault: Vault, organization_id: str, *, now: datetime
) -> WebhookSigner:
    """Return the organization's default signer, made when there is none yet."""
    row = await db.get(WebhookSigner, organization_id)
    if row is not None:
        return row
    try:
        async with db.begin_nested():
            secret = await seal(db, vault, organization_id, new_secret(), now=now)
            row = WebhookSigner(
                organization_id=organization_id,
                secret_id=secret.id,
                created_at=now,
                updated_at=now,
            )
            db.add(row)
    except IntegrityError:  # another process was quicker
        return await db.get_one(WebhookSigner, organization_id)
    return row


async def rotate(
    db: AsyncSession, vault: Vault, row: Signer, *, grace: timedelta, now: datetime
) -> str:
    """Give `row` a new secret and return it; the one before it signs as well for `grace`."""
    clear = new_secret()
    secret = await seal(db, vault, row.organization_id, clear, now=now)
    older, row.previous_secret_id = row.previous_secret_id, row.secret_id
    row.secret_id, row.previous_until, row.updated_at = secret.id, now + grace, now
    if older is not None:
        await db.flush()
        await db.delete(await db.get_one(Secret, older))
    return clear


class Keyring:
    """Who signs what: secrets are unsealed once and kept while their rows stay as they are."""

    def __init__(self, vault: Vault):
        self._vault = vault
        self._known: dict[str, tuple[str, Webhook]] = {}

    async def of_endpoints(
        self, db: AsyncSession, ids: set[str], *, now: datetime
    ) -> dict[str, tuple[Webhook, ...]]:
        """Return who signs for each endpoint, by id; nobody where the secret cannot be read."""
        if not ids:
            return {}
        query = select(WebhookEndpoint).where(WebhookEndpoint.id.in_(ids))
        rows = (await db.scalars(query)).all()
        return await self._of(db, {row.id: secret_ids(row, now=now) for row in rows})

    async def of_organizations(
        self, db: AsyncSession, ids: set[str], *, now: datetime
    ) -> dict[str, tuple[Webhook, ...]]:
        """Return the default signers of organizations, by id, as `of_endpoints` does."""
        if not ids:
            return {}
        query = select(WebhookSigner).where(WebhookSigner.organization_id.in_(ids))
        rows = (await db.scalars(query)).all()
        wanted = {row.organization_id: secret_ids(row, now=now) for row in rows}
        return await self._of(db, wanted)

    async def _of(
        self, db: AsyncSession, wanted: dict[str, list[str]]
    ) -> dict[str, tuple[Webhook, ...]]:
        every = {secret_id for ids in wanted.values() for secret_id in ids}
        rows = await db.execute(select(Secret.id, Secret.ciphertext).where(Secret.id.in_(every)))
        signers = {secret_id: self._signer(secret_id, sealed) for secret_id, sealed in rows}
        found = {key: [signers[each] for each in ids] for key, ids in wanted.items()}
        return {key: tuple(filter(None, each)) for key, each in found.items()}

    def _signer(self, secret_id: str, sealed: str) -> Webhook | None:
        known = self._known.get(secret_id)
        if known is None or known[0] != sealed:
            try:
                clear = self._vault.unseal(sealed)
            except KeyLost:
                log.error("a webhook's secret cannot be read: restore secret.key", id=secret_id)
                return None
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[secret_id] = (sealed, Webhook(clear))
        return known[1]
