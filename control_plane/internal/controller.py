"""The internal API: briefs out, events and recordings in. Never published."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Controller, Request, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from control_plane.db.models.recording import Recording
from control_plane.db.models.session import Session
from control_plane.domain.brief import CallBrief
from control_plane.domain.errors import BadInput, Conflict, NotAllowed, NotFound, StaleEpoch
from control_plane.domain.events import EventBatch, EventReceipt
from control_plane.domain.recording import RecordingKind, RecordingState
from control_plane.http.auth import bearer
from control_plane.http.dependencies import GivenDatabase, GivenPrices, GivenVault
from control_plane.internal import briefs, inbound, reports
from control_plane.internal.dependencies import GivenArrivals
from control_plane.keys.dependencies import GivenSigner
from control_plane.keys.tokens import Claims, Scope, TokenSigner
from control_plane.recordings.dependencies import GivenRecordings
from control_plane.recordings.spool import PAGE_LIMIT
from control_plane.sessions import traces
from control_plane.sessions.dependencies import GivenCounters


class SpoolSize(Struct, frozen=True):
    """How many bytes of the recording are stored."""

    size: int


class InternalController(Controller):
    """What agents need; each request proves its session by a token."""

    path = "/internal"
    tags = ("internal",)

    @get("/brief", operation_id="takeBrief", summary="Take a brief")
    async def brief(
        self,
        request: Request[Any, Any, Any],
        database: GivenDatabase,
        vault: GivenVault,
        signer: GivenSigner,
    ) -> CallBrief:
        """Return the brief that the dispatch's token opens; a second time is a conflict."""
        claims = _claims(request, signer, Scope.BRIEF)
        async with database.transaction() as db:
            order, call = await briefs.open_brief(db, claims, now=datetime.now(UTC))
        async with database.reading() as db:
            return await briefs.build(db, vault, signer, order, call)

    @post("/inbound", operation_id="receiveCall", summary="Ask who answers", status_code=200)
    async def receive(
        self,
        request: Request[Any, Any, Any],
        database: GivenDatabase,
        vault: GivenVault,
        signer: GivenSigner,
        arrivals: GivenArrivals,
    ) -> CallBrief:
        """Return the brief of the call in the agent's room, by LiveKit's token for that room.

        The agent that asked first gets the same session again; another is a conflict.
        """
        now = datetime.now(UTC)
        arrival = await arrivals.find(bearer(request.headers.get("authorization")), now=now)
        call = await inbound.receive(database, arrival, now=now)
        async with database.reading() as db:
            return await briefs.build(db, vault, signer, None, call)

    @post(
        "/sessions/{session_id:str}/events",
        operation_id="reportEvents",
        summary="Report events",
        status_code=200,
    )
    async def events(
        self,
        session_id: FromPath[str],
        data: JSONBody[EventBatch],
        request: Request[Any, Any, Any],
        database: GivenDatabase,
        signer: GivenSigner,
        prices: GivenPrices,
        counters: GivenCounters,
    ) -> EventReceipt:
        """Store events; a repeated one is the same event, an older epoch a conflict."""
        _own_session(_claims(request, signer, Scope.SESSION), session_id)
        async with database.transaction() as db:
            stored = await reports.store(db, session_id, data, prices)
        counters.count(stored.call.id, stored.news, stored.usage)
        traces.report(stored.call, stored.news, datetime.now(UTC))
        return EventReceipt(through=stored.through)

    @post(
        "/recordings/{session_id:str}",
        operation_id="appendRecording",
        summary="Append to a recording",
        status_code=200,
        request_max_body_size=PAGE_LIMIT,
    )
    async def recording(
        self,
        session_id: FromPath[str],
        request: Request[Any, Any, Any],
        database: GivenDatabase,
        signer: GivenSigner,
        recordings: GivenRecordings,
        offset: Annotated[int, QueryParameter(ge=0, description="Where the bytes begin")],
        kind: Annotated[
            RecordingKind, QueryParameter(description="Which file they belong to")
        ] = RecordingKind.STEREO,
    ) -> SpoolSize:
        """Append raw bytes; those already there are skipped, a gap is a conflict."""
        claims = _claims(request, signer, Scope.SESSION)
        _own_session(claims, session_id)
        async with database.reading() as db:
            row = await db.get(Session, session_id)
            kept = await db.get(Recording, session_id)
        if row is None:
            raise NotFound("there is no such session", field="id")
        if row.epoch != claims.epoch:
            raise StaleEpoch("the session was taken over", field="epoch")
        if kept is None or kept.state is not RecordingState.SPOOLING:
            raise Conflict("this session takes no recording, or it was put away already")
        content = await request.body()
        if not content:
            raise BadInput("the request has no bytes to append", field="body")
        size = await asyncio.to_thread(
            recordings.append, session_id, offset=offset, content=content, kind=kind
        )
        return SpoolSize(size)


def _claims(request: Request[Any, Any, Any], signer: TokenSigner, scope: Scope) -> Claims:
    return signer.verify(bearer(request.headers.get("authorization")), scope)


def _own_session(claims: Claims, session_id: str) -> None:
    if claims.subject != session_id:
        raise NotAllowed("this token belongs to another session")
