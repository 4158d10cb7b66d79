"""The try-it page: a telephone for each assistant, for whoever sits at this machine."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from litestar import Controller, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import JSONBody
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import repository as assistants
from control_plane.browser import asking
from control_plane.browser.asking import Asked
from control_plane.browser.dependencies import GivenDoor
from control_plane.browser.schemas import StartSession
from control_plane.db.models.organization import Organization
from control_plane.domain.errors import NotAllowed, NotFound
from control_plane.http.dependencies import GivenDatabase, GivenVault
from control_plane.widget.files import GivenFiles
from control_plane.widget.schemas import PageSession, PageStart
from control_plane.widget.settings import TryAccess
from control_plane.widget.views import page_session

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_FORWARDED = ("forwarded", "x-forwarded-for", "via")


class TryPage(Struct, frozen=True):
    """Who may use the page, and the address at which clients reach the API."""

    access: TryAccess
    url: str

    def check(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Find out whether whoever asks may use the page.

        A page elsewhere must not talk through the browser of somebody who sits here: neither by
        asking across origins, nor by a name of its own that leads here (DNS rebinding).

        Raises:
            NotFound: nobody may.
            NotAllowed: they may not; says what opens it to them.
        """
        if self.access is TryAccess.OFF:
            raise NotFound("the try-it page is off: OFFHOOK_TRY_PAGE=loopback turns it on")
        headers = connection.headers
        if self.access is TryAccess.LOOPBACK and not self._is_local(connection):
            raise NotAllowed(
                "the try-it page is for browsers on the machine that Offhook runs on, at its "
                "address on localhost: OFFHOOK_TRY_PAGE=open opens it to all who reach the API"
            )
        origin = headers.get("origin")
        ours = {headers.get("host", "").lower(), urlsplit(self.url).netloc.lower()}
        if origin is not None and urlsplit(origin).netloc.lower() not in ours:
            raise NotAllowed(
                "the try-it page serves itself alone: a page of yours needs a public key"
            )

    def _is_local(self, connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
        client = connection.client
        if client is None or any(name in connection.headers for name in _FORWARDED):
            return False
        return _is_loopback(client.host) and _host_of(connection.headers) in _LOCAL


GivenTryPage = NamedDependency[TryPage]


async def may_try(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard: whoever may use the page."""
    page: TryPage = connection.app.state.try_page
    page.check(connection)


class Listed(Struct, frozen=True):
    """An assistant of the page."""

    id: str
    name: str


class Listing(Struct, frozen=True):
    """The assistants of the first organization, newest first."""

    assistants: list[Listed]


class TryController(Controller):
    """The page, and what it asks; no part of the API."""

    path = "/try"
    guards = (may_try,)
    include_in_schema = False

    @get()
    async def page(
        self, request: Request[Any, Any, Any], page_files: GivenFiles, door: GivenDoor
    ) -> Response[bytes]:
        """Return the page."""
        headers = {"Content-Security-Policy": policy(door.url), "Cache-Control": "no-cache"}
        return await page_files.serve(request, "try.html", headers)

    @get("/assistants")
    async def list_all(self, database: GivenDatabase) -> Listing:
        """Return whom one can talk with."""
        async with database.reading() as db:
            rows = await assistants.list_assistants(db, await _organization(db))
        return Listing([Listed(row.id, row.name) for row in rows])

    @post("/session", status_code=201)
    async def start(
        self,
        data: JSONBody[PageStart],
        database: GivenDatabase,
        vault: GivenVault,
        door: GivenDoor,
    ) -> PageSession:
        """Start a session, and say in full why if that cannot be."""
        async with database.reading() as db:
            owner = await _organization(db)
        wanted = StartSession(assistant_id=data.assistant_id, metadata={"page": "/try"})
        begun = await asking.start(database, vault, Asked(owner, None, wanted))
        return page_session(begun, door)


def policy(livekit_url: str) -> str:
    """Return the page's Content-Security-Policy: our files, and sound through livekit-server.

    A LiveKit client asks by HTTP why its WebSocket was refused.
    """
    by_http = livekit_url.replace("ws", "http", 1)
    parts = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "data:",
        "media-src": "'self' blob:",
        "connect-src": f"'self' {livekit_url} {by_http}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())


async def _organization(db: AsyncSession) -> str:
    """Return whose assistants the page shows: the first organization's."""
    first = select(Organization.id).order_by(Organization.created_at, Organization.id).limit(1)
    return str((await db.scalars(first)).one())


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _host_of(headers: Headers) -> str:
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""
