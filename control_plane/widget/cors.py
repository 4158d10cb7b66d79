"""Which pages may read what a public key's endpoint answers (Fetch standard, CORS protocol)."""

from __future__ import annotations

import time
from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.db.engine import Database
from control_plane.db.models.public_key import PublicKey
from control_plane.domain.errors import UnknownPublicKey, WrongOrigin
from control_plane.domain.public_key import is_allowed
from control_plane.http.buckets import Buckets
from control_plane.widget import repository

PUBLIC_KEY = "public_key"
_ORIGIN = "allowed_origin"
_WRONG_PER_MINUTE = 30
PREFLIGHT_LIVES_S = 600
"""For how long a browser need not ask again whether it may ask."""


async def of_an_allowed_page(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """Guard: the path names a public key, and the request comes from a page that it is for.

    Raises:
        UnknownPublicKey: no such key, or it was revoked.
        WrongOrigin: the page is another one's, or no page asks.
        TooMany: this address has tried too many keys that are none.
    """
    row = await _row(connection)
    origin = connection.headers.get("origin")
    if not is_allowed(origin, row.allowed_origins):
        from_where = f"{origin[:100]!r} is not among" if origin else "no Origin header names one of"
        raise WrongOrigin(
            f"{from_where} the allowed_origins of this public key: create one for the page's origin"
        )
    connection.state[PUBLIC_KEY], connection.state[_ORIGIN] = row, origin


async def _row(connection: ASGIConnection[Any, Any, Any, Any]) -> PublicKey:
    database: Database = connection.app.state.database
    buckets: Buckets = connection.app.state.buckets
    async with database.reading() as db:
        row = await repository.working(db, str(connection.path_params[PUBLIC_KEY]))
    if row is None:
        client = connection.client.host if connection.client is not None else ""
        buckets.take(f"wrong public key {client}", _WRONG_PER_MINUTE, time.monotonic())
        raise UnknownPublicKey(
            "there is no such public key, or it was revoked: GET /public-keys lists those there are"
        )
    return row


class Cors(ASGIMiddleware):
    """Lets pages of the origin that the guard found allowed read each answer, errors too."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Serve the request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                headers.add("Vary", "Origin")
                origin = scope.get("state", {}).get(_ORIGIN)
                if origin is not None:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = "Retry-After"
            await send(message)

        await next_app(scope, receive, send_with_headers)
