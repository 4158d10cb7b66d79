"""The Voice API: dial, start, follow, list, read, end; limited by the minute for each key."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, MediaType, Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from control_plane.browser import asking, ending
from control_plane.browser.asking import Asked
from control_plane.browser.dependencies import GivenDoor
from control_plane.browser.schemas import StartSession
from control_plane.db.engine import Database
from control_plane.dialects.placing import placed_call, variables_of
from control_plane.dialects.variables import values_of
from control_plane.dialects.voice import sessions
from control_plane.dialects.voice.requests import (
    filter_of,
    instant_of,
    order_request,
    renamed,
    speaker_of,
)
from control_plane.dialects.voice.schemas import (
    MAX_DURATION_SECS,
    Dial,
    Problem,
    RecordingView,
    SessionList,
    SessionStatus,
    SessionView,
    Start,
    Started,
    Transcript,
    Turn,
)
from control_plane.domain.errors import (
    BadInput,
    Conflict,
    MissingVariable,
    NotCallable,
)
from control_plane.domain.events import Role
from control_plane.domain.ids import parse_id
from control_plane.http import problems
from control_plane.http.auth import STATE, Principal
from control_plane.http.buckets import Buckets
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenVault
from control_plane.orders import service
from control_plane.orders.dependencies import GivenIntake, GivenViews
from control_plane.orders.views import CallViews

START, SESSION, STATUS, LIST = ("start", 10), ("session", 30), ("status", 60), ("list", 30)
"""How many requests a key may make in a minute, by what they ask for."""
Text = Annotated[str | None, QueryParameter()]


def limited(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard: the key may ask for this once more."""
    buckets: Buckets = connection.app.state.buckets
    principal: Principal = connection.state[STATE]
    kind, most = handler.opt["per_minute"]
    buckets.take(f"voice {kind} {principal.key_id}", most, time.monotonic(), burst=most)


def _render(problem: problems.Problem, headers: dict[str, str]) -> Response[bytes]:
    return Response(
        content=msgspec.json.encode(Problem(problem.code, problem.detail, problem.field)),
        status_code=problem.status,
        media_type=MediaType.JSON,
        headers=headers,
    )


class VoiceApiController(Controller):
    """Sessions of an agent with a person."""

    path = "/"
    guards = [limited]  # noqa: RUF012 - Litestar's own protocol
    exception_handlers = problems.handlers(_render, Problem)

    @post(
        "/voice/outbound/dial",
        status_code=200,
        opt={"per_minute": START, "raises": (MissingVariable, NotCallable)},
        operation_id="dial",
        summary="Place a call",
    )
    async def dial(
        self,
        data: JSONBody[Dial],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        intake: GivenIntake,
        views: GivenViews,
    ) -> SessionStatus:
        """Call a number, once."""
        speaker = await speaker_of(database, principal, data)
        request = order_request(data, speaker, principal, vault)
        try:
            answer = await intake.place(request, None, own=speaker.own(vault))
        except BadInput as exc:
            raise renamed(exc) from exc
        return await _status(database, views, principal, placed_call(answer).id)

    @post(
        "/voice/start",
        status_code=200,
        opt={"per_minute": SESSION, "raises": (MissingVariable,)},
        operation_id="start",
        summary="Start a browser session",
    )
    async def start(
        self,
        data: JSONBody[Start],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        door: GivenDoor,
    ) -> Started:
        """Start a session in a browser: what a LiveKit client joins it with."""
        speaker = await speaker_of(database, principal, data)
        request = StartSession(
            assistant_id=speaker.assistant.id,
            prompt_variables=values_of(data.context, variables_of(speaker.spec)),
            max_duration_secs=data.max_duration or MAX_DURATION_SECS,
            recording=data.recording,
        )
        asked = Asked(principal.organization_id, principal.key_id, request)
        row = (await asking.start(database, vault, asked)).call.session
        return Started(row.id, door.token(row), door.url)

    @get(
        "/voice/status/{session_id:str}",
        opt={"per_minute": STATUS},
        operation_id="getStatus",
        summary="Ask how far a session got",
    )
    async def get_status(
        self,
        session_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> SessionStatus:
        """Return how far a session got."""
        return await _status(database, views, principal, session_id)

    @get(
        "/voice/sessions",
        opt={"per_minute": LIST},
        operation_id="listSessions",
        summary="List sessions",
    )
    async def list_sessions(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
        agent_id: Text = None,
        status: Text = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        offset: Annotated[int, QueryParameter(ge=0, le=1_000_000)] = 0,
        start_date: Text = None,
        end_date: Text = None,
    ) -> SessionList:
        """Return sessions, newest first."""
        wanted = sessions.Wanted(
            agent_id=parse_id(agent_id, what="agent", field="agent_id") if agent_id else None,
            status=filter_of(status) if status is not None else None,
            start=instant_of(start_date, "start_date"),
            end=instant_of(end_date, "end_date"),
        )
        async with database.reading() as db:
            found = await sessions.page(
                db, views, principal.organization_id, wanted, limit=limit, offset=offset
            )
        shown = [sessions.view(each) for each in found]
        return SessionList(sessions=shown, limit=limit, offset=offset)

    @get(
        "/voice/sessions/{session_id:str}",
        opt={"per_minute": SESSION},
        operation_id="getSession",
        summary="Show a session",
    )
    async def get_session(
        self,
        session_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> SessionView:
        """Return a session."""
        found = await _found(database, views, principal, session_id)
        return sessions.view(found)

    @get(
        "/v1/widget/transcript/{session_id:str}",
        opt={"per_minute": SESSION},
        operation_id="getTranscript",
        summary="Read what was said",
    )
    async def get_transcript(
        self,
        session_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> Transcript:
        """Return what was said so far."""
        found = await _found(database, views, principal, session_id)
        call = found.call
        turns = [
            Turn(
                role=item.role, content=item.content, timestamp=datetime.fromtimestamp(item.at, UTC)
            )
            for attempt in reversed(call.call_attempts)
            for item in attempt.transcript
            if item.role is not Role.TOOL
        ]
        return Transcript(session_id=call.id, status=sessions.status_of(found), transcript=turns)

    @get(
        "/voice/recording/{recording_id:str}",
        opt={"per_minute": SESSION},
        operation_id="getRecording",
        summary="Show a recording",
    )
    async def get_recording(
        self,
        recording_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> RecordingView:
        """Return a recording's details."""
        async with database.reading() as db:
            return await sessions.get_recording(db, views, principal.organization_id, recording_id)

    @post(
        "/voice/end/{session_id:str}",
        status_code=200,
        opt={"per_minute": SESSION},
        operation_id="end",
        summary="End a session",
    )
    async def end(
        self,
        session_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> SessionStatus:
        """End a session, or withdraw the call; one that is over stays as it is."""
        found = await _found(database, views, principal, session_id)
        cancel = service.cancel if found.browser is None else ending.end
        try:
            await cancel(database, principal.organization_id, found.call.id)
        except Conflict:  # it is over
            return SessionStatus(found.call.id, sessions.status_of(found))
        return await _status(database, views, principal, found.call.id)


async def _found(
    database: Database, views: CallViews, principal: Principal, session_id: str
) -> sessions.Found:
    async with database.reading() as db:
        return await sessions.get_session(db, views, principal.organization_id, session_id)


async def _status(
    database: Database, views: CallViews, principal: Principal, session_id: str
) -> SessionStatus:
    found = await _found(database, views, principal, session_id)
    return SessionStatus(found.call.id, sessions.status_of(found))
