"""Browser sessions: start, get, list, end, follow."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from control_plane.browser import asking, ending, repository
from control_plane.browser.asking import Asked, Begun, Known
from control_plane.browser.dependencies import GivenDoor
from control_plane.browser.repository import Filter
from control_plane.browser.schemas import (
    SessionEnvelope,
    SessionPage,
    SessionView,
    StartedSession,
    StartSession,
    Transcript,
)
from control_plane.browser.views import load, view_of
from control_plane.db.engine import Database
from control_plane.domain.browser import SessionStatus
from control_plane.domain.errors import KeyReused, MissingVariable
from control_plane.domain.ids import parse_id
from control_plane.http.auth import Principal
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenStreams, GivenVault
from control_plane.http.filters import CreatedAfter, CreatedBefore, Metadata, instant, one_of, pair
from control_plane.http.pages import Cursor, Limit
from control_plane.orders.dependencies import GivenViews, GivenWatch
from control_plane.orders.following import history
from control_plane.orders.idempotency import REPLAYED, IdempotencyKey, request_key
from control_plane.orders.schemas import EventPage
from control_plane.orders.views import CallViews


class SessionController(Controller):
    """Conversations in a browser."""

    path = "/session"
    tags = ("sessions",)

    @post(
        operation_id="startSession",
        summary="Start a browser session",
        status_code=201,
        opt={"raises": (MissingVariable, KeyReused)},
    )
    async def start(
        self,
        data: JSONBody[StartSession],
        request: Request[Any, Any, Any],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        views: GivenViews,
        door: GivenDoor,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[StartedSession]:
        """Return a session and the token with which a LiveKit client joins it.

        Its agent is on its way once this has answered; with `scheduled_at`, at that time.
        """
        asked = Asked(principal.organization_id, principal.key_id, data)
        key = request_key(
            idempotency_key,
            organization_id=principal.organization_id,
            operation="startSession",
            body=await request.body(),
        )
        begun: Begun | Known
        if key is None:
            begun = await asking.start(database, vault, asked)
        else:
            begun = await asking.start_once(database, vault, asked, key)
        if isinstance(begun, Begun):
            row = begun.call.session
            view = view_of(row, views.of_begun(begun.call, begun.version, begun.recording))
        else:
            async with database.reading() as db:
                row = await repository.get(db, principal.organization_id, begun.session_id)
                [view] = await load(db, views, [row])
        return Response(
            StartedSession(
                session=view, token=door.token(row), livekit_url=door.url, notices=begun.notices
            ),
            status_code=201,
            headers={REPLAYED: "true"} if isinstance(begun, Known) else {},
        )

    @get("/{session_id:str}", operation_id="getSession", summary="Get a browser session")
    async def get_one(
        self,
        session_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> SessionEnvelope:
        """Return the session with its transcript."""
        return SessionEnvelope(await _view(database, views, principal, session_id))

    @get(operation_id="listSessions", summary="List browser sessions")
    async def list_all(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
        status: Annotated[list[str] | None, QueryParameter(description="Any of these")] = None,
        assistant_id: Annotated[str | None, QueryParameter(description="With this one")] = None,
        metadata: Metadata = None,
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> SessionPage:
        """Return sessions, newest first."""
        wanted = Filter(
            statuses=[one_of(SessionStatus, word, "status") for word in status or []],
            assistant_id=assistant_id,
            metadata=tuple(pair(text) for text in metadata or []),
            created_after=instant(created_after, "created_after"),
            created_before=instant(created_before, "created_before"),
        )
        before = parse_id(cursor, what="session", field="cursor") if cursor is not None else None
        async with database.reading() as db:
            found = await repository.page(
                db, principal.organization_id, wanted, before=before, limit=limit + 1
            )
            sessions = await load(db, views, found[:limit])
        return SessionPage(sessions, sessions[-1].id if len(found) > limit else None)

    @post(
        "/{session_id:str}/end",
        operation_id="endSession",
        summary="End a browser session",
        status_code=202,
    )
    async def end(
        self,
        session_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> SessionEnvelope:
        """End the session: at once before anybody has spoken, else its room closes; `status` tells.

        Again changes nothing; what has ended in another way is a conflict.
        """
        key = parse_id(session_id, what="session")
        row = await ending.end(database, principal.organization_id, key)
        async with database.reading() as db:
            [view] = await load(db, views, [row])
        return SessionEnvelope(view)

    @get(
        "/{session_id:str}/transcript",
        operation_id="getSessionTranscript",
        summary="Get what was said",
    )
    async def transcript(
        self,
        session_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> Transcript:
        """Return what was said so far."""
        return Transcript((await _view(database, views, principal, session_id)).transcript)

    @get(
        "/{session_id:str}/events",
        operation_id="listSessionEvents",
        summary="Follow a browser session",
        description="The session's history as JSON, or as server-sent events until it is over "
        "when the request accepts text/event-stream.",
    )
    async def events(
        self,
        session_id: FromPath[str],
        request: Request[Any, Any, Any],
        principal: GivenPrincipal,
        database: GivenDatabase,
        streams: GivenStreams,
        watch: GivenWatch,
        after: Annotated[int, QueryParameter(ge=0, description="Only later sequences")] = 0,
    ) -> Response[EventPage] | Stream:
        """Return what happened so far, or everything as it happens."""
        key = parse_id(session_id, what="session")
        async with database.reading() as db:
            await repository.get(db, principal.organization_id, key)
        return await history(request, principal, database, streams, watch, key, after=after)


async def _view(
    database: Database, views: CallViews, principal: Principal, session_id: str
) -> SessionView:
    key = parse_id(session_id, what="session")
    async with database.reading() as db:
        row = await repository.get(db, principal.organization_id, key)
        [view] = await load(db, views, [row])
    return view
