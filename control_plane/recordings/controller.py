"""Downloading recordings."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Annotated, Any

from litestar import Controller, Request, Response, get
from litestar.params import FromPath, QueryParameter
from sqlalchemy import select

from control_plane.db.models.attempt import Attempt
from control_plane.domain.attempt import RecordingKind, RecordingState
from control_plane.domain.errors import NotFound
from control_plane.domain.ids import parse_id
from control_plane.given import GivenDatabase, GivenPrincipal, GivenRecordings

AUDIO = "audio/ogg"
_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")


class RecordingController(Controller):
    """Recordings, by attempt."""

    path = "/recording"
    tags = ("recordings",)

    @get(
        "/{attempt_id:str}",
        operation_id="getRecording",
        summary="Download a recording",
        description="Ogg, the person left and the agent right; `kind=mix` is everything that both "
        "heard on one channel, where `recording_full_mix` asked for it. Single ranges (RFC 9110 "
        "section 14). 404 while there is none.",
    )
    async def download(
        self,
        attempt_id: FromPath[str],
        request: Request[Any, Any, Any],
        principal: GivenPrincipal,
        database: GivenDatabase,
        recordings: GivenRecordings,
        kind: Annotated[
            RecordingKind, QueryParameter(description="Both sides apart, or the full mix")
        ] = RecordingKind.STEREO,
    ) -> Response[bytes]:
        """Return the recording or the part of it that the Range header asks for."""
        key = parse_id(attempt_id, what="recording")
        async with database.reading() as session:
            row = await session.scalar(
                select(Attempt).where(
                    Attempt.id == key, Attempt.organization_id == principal.organization_id
                )
            )
        if row is None or row.recording_state is not RecordingState.STORED:
            raise NotFound("there is no recording of this attempt, or not yet", field="id")
        relative, size = _file(row, kind)
        path = recordings.stored(relative)
        span = _span(request.headers.get("range"), size)
        if span is None:
            return Response(
                b"", status_code=416, media_type=AUDIO, headers={"Content-Range": f"bytes */{size}"}
            )
        start, stop = span
        content = await asyncio.to_thread(_read, path, start, stop)
        headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-store"}
        if not _asks_for_part(request.headers.get("range")):
            return Response(content, media_type=AUDIO, headers=headers)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        return Response(content, status_code=206, media_type=AUDIO, headers=headers)


def _file(row: Attempt, kind: RecordingKind) -> tuple[str, int]:
    """Return the path below the store, and the size."""
    if kind is RecordingKind.STEREO:
        return row.recording_path or "", row.recording_size or 0
    if row.mix_path is None:
        raise NotFound(
            "there is no full mix of this attempt: set recording_full_mix before the call",
            field="kind",
        )
    return row.mix_path, row.mix_size or 0


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


def _read(path: Path, start: int, stop: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(stop - start)
