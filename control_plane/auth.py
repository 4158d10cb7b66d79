"""API keys: made, hashed, and the guard that asks for one."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from control_plane.db.models.organization import ApiKey
from control_plane.domain.errors import NotAllowed, NotAuthenticated
from control_plane.domain.ids import new_id
from control_plane.keys.ring import KeyRing, Principal

SCOPES = ("calls", "admin")
"""`calls`: place and read calls; `admin`: also assistants, trunks, providers, keys."""

OPERATOR = "operator"
"""Beside them, for whoever runs the installation: its organizations."""

_MARK = "ok"
STATE = "principal"


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
        # A fast hash is enough: the secret part has 256 random bits.
        sha256=hashlib.sha256(whole.encode()).hexdigest(),
        scopes=scopes,
        created_at=now,
    )
    return row, whole


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
    ring: KeyRing = connection.app.state.ring
    client = connection.client.host if connection.client is not None else ""
    principal = await ring.check(bearer(connection.headers.get("authorization")), client=client)
    needed = handler.opt.get("scope", "calls")
    if needed not in principal.scopes:
        raise NotAllowed(f"this API key lacks the scope {needed}")
    connection.state[STATE] = principal


async def provide_principal(request: Request[Any, Any, Any]) -> Principal:
    """Dependency: who the guard found."""
    principal: Principal = request.state[STATE]
    return principal
