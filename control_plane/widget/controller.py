"""What a page may do with a public key: start a session, and nothing else."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from litestar import Controller, Request, Response, post, route
from litestar.enums import HttpMethod
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.browser import asking
from control_plane.browser.asking import Admit, Asked
from control_plane.browser.dependencies import GivenDoor
from control_plane.browser.schemas import StartSession
from control_plane.db.models.public_key import PublicKey
from control_plane.domain.errors import (
    AssistantNotAllowed,
    AssistantUnavailable,
    Conflict,
    NotFound,
    SessionLimitReached,
    UnknownPublicKey,
    WrongOrigin,
)
from control_plane.http.dependencies import GivenDatabase, GivenVault
from control_plane.http.requests import known_query
from control_plane.widget import repository
from control_plane.widget.cors import PREFLIGHT_LIVES_S, PUBLIC_KEY, Cors, of_an_allowed_page
from control_plane.widget.schemas import PageSession, PageStart
from control_plane.widget.views import page_session
from process.logs import get_logger

log = get_logger(__name__)
RAISED = (
    WrongOrigin,
    UnknownPublicKey,
    AssistantNotAllowed,
    AssistantUnavailable,
    SessionLimitReached,
)
"""What a page may be refused for, besides what every request may."""


class PageController(Controller):
    """Sessions that pages start."""

    path = "/widget/{public_key:str}/session"
    tags = ("sessions",)
    guards = (of_an_allowed_page, known_query)
    middleware = (Cors(),)

    @route(http_method=[HttpMethod.OPTIONS], include_in_schema=False, status_code=204)
    async def preflight(self) -> Response[None]:
        """Tell a browser that the page may ask."""
        return Response(
            None,
            headers={
                "Access-Control-Allow-Methods": "POST",
                "Access-Control-Allow-Headers": "content-type",
                "Access-Control-Max-Age": str(PREFLIGHT_LIVES_S),
            },
        )

    @post(
        operation_id="startPageSession",
        summary="Start a browser session from a page",
        description="With a public key instead of an API key, from a page of an origin that it "
        "is for. The owner finds the session by its metadata: `public_key`, `origin`.",
        status_code=201,
        opt={"raises": RAISED},
    )
    async def start(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[PageStart],
        database: GivenDatabase,
        vault: GivenVault,
        door: GivenDoor,
    ) -> PageSession:
        """Return the session and what the page joins it with."""
        key: PublicKey = request.state[PUBLIC_KEY]
        if data.assistant_id not in key.assistant_ids:
            raise _not_allowed()
        wanted = StartSession(
            assistant_id=data.assistant_id,
            metadata={"public_key": key.id, "origin": request.headers["origin"]},
        )
        asked = Asked(key.organization_id, None, wanted, public_key_id=key.id)
        try:
            begun = await asking.start(database, vault, asked, admit=_within_limit(key.id))
        except UnknownPublicKey:
            raise
        except NotFound as exc:  # deleted since
            raise _not_allowed() from exc
        except Conflict as exc:
            log.warning("a page's session was refused", public_key_id=key.id, why=exc.detail)
            raise AssistantUnavailable(
                "the assistant takes no conversations now: its owner finds the reason in the log "
                "of the API, and by POST /session"
            ) from exc
        return page_session(begun, door)


def _not_allowed() -> AssistantNotAllowed:
    return AssistantNotAllowed(
        "this public key is not for such an assistant: name one of its assistant_ids",
        field="assistant_id",
    )


def _within_limit(key_id: str) -> Admit:
    async def admit(db: AsyncSession, now: datetime) -> None:
        row = await repository.held(db, key_id)
        if row is None:
            raise UnknownPublicKey("the public key was revoked: GET /public-keys lists others")
        free_at = await repository.next_free(db, row, now)
        if free_at is not None:
            raise SessionLimitReached(
                f"this public key has started {row.sessions_per_hour} sessions within an hour, as "
                "many as its sessions_per_hour allow: try again later, or create a key with more",
                retry_after_secs=max(1, math.ceil((free_at - now).total_seconds())),
            )

    return admit
