"""Downloading and deleting recordings."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Controller, Request, delete, get, route
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream
from sqlalchemy import select

from control_plane.audit.trail import AuditTrail
from control_plane.db.engine import Database
from control_plane.db.models.recording import Recording
from control_plane.db.models.session import Session
from control_plane.domain.errors import Busy, Gone, NotFound
from control_plane.domain.ids import parse_id
from control_plane.domain.recording import RecordingKind, RecordingState
from control_plane.http.auth import STATE, Principal, authenticated, provide_principal
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal
from control_plane.http.requests import known_query
from control_plane.recordings import retention
from control_plane.recordings.dependencies import GivenOnSettled, GivenRecordings
from control_plane.recordings.links import RecordingLinks
from control_plane.recordings.store import RecordingStore, StoreTrouble

AUDIO = "audio/ogg"
STORE_REST_S = 30
_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")

Kind = Annotated[RecordingKind, QueryParameter(description="Both sides apart, or the full mix")]
Expires = Annotated[str | None, QueryParameter(description="Of a link: until when it opens")]
Signature = Annotated[str | None, QueryParameter(description="Of a link: it stands for the key")]


async def key_or_link(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Guard: a valid key, or without any the signature of a link that was made here."""
    query = connection.query_params
    if "authorization" in connection.headers or "signature" not in query:
        await authenticated(connection, handler)
        return
    links: RecordingLinks = connection.app.state.links
    links.check(
        connection.path_params["attempt_id"],
        query.get("kind", RecordingKind.STEREO.value),
        query.get("expires", ""),
        query["signature"],
    )


async def provide_reader(request: Request[Any, Any, Any]) -> Principal | None:
    """Dependency: whose key it is; None, where a link opened the recording."""
    principal: Principal | None = request.state.get(STATE)
    return principal


GivenReader = NamedDependency[Principal | None]


class RecordingController(Controller):
    """Recordings, by attempt."""

    path = "/recording"
    tags = ("recordings",)

    @get(
        "/{attempt_id:str}",
        guards=[key_or_link, known_query],
        dependencies={"reader": Provide(provide_reader)},
        operation_id="getRecording",
        summary="Download a recording",
        description="Ogg, the person left and the agent right; `kind=mix` is everything that both "
        "heard on one channel, where `recording_full_mix` asked for it. Single ranges (RFC 9110 "
        "section 14). `recording_url` of the call opens it without a key for a while. 404 while "
        "there is none, 410 when it was deleted.",
        media_type=AUDIO,
        responses={
            206: ResponseSpec(bytes, description="The part asked for", media_type=AUDIO),
            416: ResponseSpec(None, description="The recording has no such part"),
        },
        opt={"raises": (Gone,)},
    )
    async def download(
        self,
        attempt_id: FromPath[str],
        request: Request[Any, Any, Any],
        reader: GivenReader,
        database: GivenDatabase,
        recordings: GivenRecordings,
        kind: Kind = RecordingKind.STEREO,
        expires: Expires = None,
        signature: Signature = None,
    ) -> Stream:
        """Return the recording or the part of it that the Range header asks for."""
        path, size = _file(await _row(database, attempt_id, reader), kind)
        span = _span(request.headers.get("range"), size)
        if span is None:
            return _answer(_nothing(), 416, 0, {"Content-Range": f"bytes */{size}"})
        start, stop = span
        content = await _begun(recordings.store, path, start, stop)
        if not _asks_for_part(request.headers.get("range")):
            return _answer(content, 200, size, {})
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}
        return _answer(content, 206, stop - start, headers)

    @route(
        "/{attempt_id:str}",
        http_method=HttpMethod.HEAD,
        guards=[key_or_link, known_query],
        dependencies={"reader": Provide(provide_reader)},
        include_in_schema=False,
    )
    async def head(
        self,
        attempt_id: FromPath[str],
        reader: GivenReader,
        database: GivenDatabase,
        kind: Kind = RecordingKind.STEREO,
        expires: Expires = None,
        signature: Signature = None,
    ) -> Stream:
        """Return what a player asks for before it seeks: the size, and that ranges work."""
        _, size = _file(await _row(database, attempt_id, reader), kind)
        return _answer(_nothing(), 200, size, {})

    @delete(
        "/{attempt_id:str}",
        guards=[authenticated, known_query],
        middleware=[AuditTrail()],
        dependencies={"principal": Provide(provide_principal)},
        opt={"scope": "admin"},
        operation_id="deleteRecording",
        summary="Delete a recording",
        description="Both files, now and for good; the call stays. Needs the scope admin.",
    )
    async def remove(
        self,
        attempt_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        recordings: GivenRecordings,
        on_settled: GivenOnSettled,
    ) -> None:
        """Delete it from the store and say so on the attempt; again is harmless."""
        row = await _row(database, attempt_id, principal, gone_is_fine=True)
        try:
            await retention.delete(
                database, recordings, row.session_id, why="request", on_settled=on_settled
            )
        except StoreTrouble as exc:
            raise _busy("delete") from exc


async def _row(
    database: Database, attempt_id: str, reader: Principal | None, *, gone_is_fine: bool = False
) -> Recording:
    """Return the recording of an attempt, if it is the reader's.

    Raises:
        NotFound: it is not, or there is none.
        Gone: its recording was deleted.
    """
    key = parse_id(attempt_id, what="recording")
    query = select(Recording).join(Session).where(Recording.session_id == key)
    if reader is not None:
        query = query.where(Session.organization_id == reader.organization_id)
    async with database.reading() as db:
        row = await db.scalar(query)
    if row is None:
        raise NotFound("there is no recording of this attempt, or not yet", field="id")
    if row.deleted_at is not None and not gone_is_fine:
        raise Gone(f"the recording was deleted at {row.deleted_at:%Y-%m-%dT%H:%M:%SZ}")
    return row


def _file(row: Recording, kind: RecordingKind) -> tuple[str, int]:
    """Return the path in the store, and the size."""
    if row.state is not RecordingState.STORED:
        raise NotFound("there is no recording of this attempt, or not yet", field="id")
    if kind is RecordingKind.STEREO:
        return row.path or "", row.size or 0
    if row.mix_path is None:
        raise NotFound(
            "there is no full mix of this attempt: set recording_full_mix before the call",
            field="kind",
        )
    return row.mix_path, row.mix_size or 0


async def _begun(store: RecordingStore, path: str, start: int, stop: int) -> AsyncIterator[bytes]:
    """Return the content, of which the first piece is here: errors come before the answer."""
    pieces = store.read(path, start, stop)
    try:
        first = await anext(pieces, b"")
    except FileNotFoundError as exc:
        raise NotFound("the recording is not in its store any more", field="id") from exc
    except StoreTrouble as exc:
        raise _busy("read") from exc

    async def content() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return content()


def _busy(task: str) -> Busy:
    return Busy(
        f"the store of recordings is away, so it cannot {task} this one now: try again",
        retry_after_secs=STORE_REST_S,
    )


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece


def _answer(
    content: AsyncIterator[bytes], status: int, size: int, headers: dict[str, str]
) -> Stream:
    usual = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Length": str(size),
    }
    return Stream(content, status_code=status, media_type=AUDIO, headers={**usual, **headers})


def _asks_for_part(header: str | None) -> bool:
    match = _RANGE.match(header) if header is not None else None
    return match is not None and match.groups() != ("", "")


def _span(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the half-open span that is asked for; None when it lies outside.

    A header that is not one range of bytes is ignored (RFC 9110 section 14.2).
    """
    match = _RANGE.match(header or "")
    if match is None or not _asks_for_part(header):
        return 0, size
    first, last = match.groups()
    if first == "":
        return (max(0, size - int(last)), size) if int(last) and size else None
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    return (start, stop) if start < stop else None
