"""Who is asking: the API key of a request, and the guard that asks for one."""

from __future__ import annotations

from typing import Any, Protocol

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from control_plane.domain.errors import NotAllowed, NotAuthenticated

STATE = "principal"


class Principal(Struct, frozen=True):
    """Who is asking."""

    organization_id: str
    key_id: str
    scopes: frozenset[str]


class Ring(Protocol):
    """Who knows the keys."""

    async def check(self, key: str, *, client: str) -> Principal:
        """Return who holds `key`, or raise what says why nobody does."""
        ...

    async def stands(self, principal: Principal) -> bool:
        """Whether the key is still there, not revoked, with all the scopes that it had."""
        ...


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
    ring: Ring = connection.app.state.ring
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
