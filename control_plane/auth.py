"""API keys: made, hashed, looked up by prefix, and the guard that asks for one."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import Database
from control_plane.db.models.organization import ApiKey
from control_plane.domain.errors import NotAllowed, NotAuthenticated
from control_plane.domain.ids import new_id

SCOPES = ("calls", "admin")
"""`calls`: place and read calls; `admin`: also assistants, trunks, providers, keys."""

_MARK = "ok"
_STATE = "principal"


class Principal(Struct, frozen=True):
    """Who is asking."""

    organization_id: str
    key_id: str
    scopes: frozenset[str]


def make_key(
    organization_id: str, *, name: str, scopes: list[str], now: datetime
) -> tuple[ApiKey, str]:
    """Return a new key's row and the key itself, which nobody can read again later."""
    prefix = f"{_MARK}_{secrets.token_hex(5)}"
    whole = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKey(
        id=new_id(),
        organization_id=organization_id,
        name=name,
        prefix=prefix,
        sha256=_digest(whole),
        scopes=scopes,
        created_at=now,
    )
    return row, whole


async def find_principal(session: AsyncSession, key: str) -> Principal:
    """Return who holds `key`.

    Raises:
        NotAuthenticated: no such key, or it was revoked.
    """
    prefix = "_".join(key.split("_", 2)[:2])
    row = await session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
    known = row.sha256 if row is not None else "0" * 64
    if not hmac.compare_digest(known, _digest(key)) or row is None or row.revoked_at is not None:
        raise NotAuthenticated(
            "the API key is not valid; the first one is in data/credentials.toml"
        )
    return Principal(row.organization_id, row.id, frozenset(row.scopes))


def _digest(key: str) -> str:
    # A fast hash is enough: the secret part has 256 random bits.
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def bearer(header: str | None) -> str:
    """Return the token of an Authorization header (RFC 6750 section 2.1).

    Raises:
        NotAuthenticated: there is none.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("send the API key as `Authorization: Bearer KEY`")
    return token.strip()


async def authenticated(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Guard: a valid key, with the scope that the route's `opt["scope"]` names (calls)."""
    key = bearer(connection.headers.get("authorization"))
    database: Database = connection.app.state.database
    async with database.reading() as session:
        principal = await find_principal(session, key)
    needed = handler.opt.get("scope", "calls")
    if needed not in principal.scopes:
        raise NotAllowed(f"this API key lacks the scope {needed}")
    connection.state[_STATE] = principal


async def provide_principal(request: Request[Any, Any, Any]) -> Principal:
    """Dependency: who the guard found."""
    principal: Principal = request.state[_STATE]
    return principal
