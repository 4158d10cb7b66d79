"""Recordings on disk: pages appended while the call runs, put away when it is over."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path

from control_plane.domain.attempt import RecordingKind
from control_plane.domain.errors import SpoolGap

PAGE_LIMIT = 4 * 1024 * 1024
"""Bytes that one request may append; a page of a second has about 10,000."""
_STEREO = RecordingKind.STEREO
_SUFFIX = {RecordingKind.STEREO: ".ogg", RecordingKind.MIX: ".mix.ogg"}


class RecordingFiles:
    """The files of recordings, by attempt; ids are ours, so no path comes from outside."""

    def __init__(self, data: Path):
        self._spool = data / "spool"
        self._store = data / "recordings"

    def append(
        self, attempt_id: str, *, offset: int, content: bytes, kind: RecordingKind = _STEREO
    ) -> int:
        """Return the size of the spool after `content` was put at `offset`.

        Bytes that are there already are not written again, so a repeated request is harmless.

        Raises:
            SpoolGap: `offset` lies past the end; `size` says where to go on.
        """
        self._spool.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._spooled(attempt_id, kind), os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(handle, "wb") as file:
            size = file.seek(0, os.SEEK_END)
            if offset > size:
                raise SpoolGap(f"the spool ends at {size}: continue there", size=size)
            fresh = content[size - offset :]
            file.write(fresh)
            return size + len(fresh)

    def size(self, attempt_id: str, kind: RecordingKind = _STEREO) -> int | None:
        """Return how much of the recording is spooled, None when nothing is."""
        try:
            return self._spooled(attempt_id, kind).stat().st_size
        except FileNotFoundError:
            return None

    def put_away(
        self, attempt_id: str, ended_at: datetime, kind: RecordingKind = _STEREO
    ) -> tuple[str, int] | None:
        """Return path (below the store) and size of the finished recording, None without one.

        Doing it twice is harmless: the rename is atomic, and a file already in place is found.
        """
        relative = Path(f"{ended_at:%Y/%m}") / f"{attempt_id}{_SUFFIX[kind]}"
        target = self._store / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            spooled = self._spooled(attempt_id, kind)
            handle = os.open(spooled, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            spooled.replace(target)
        try:
            return str(relative), target.stat().st_size
        except FileNotFoundError:
            return None

    def stored(self, relative: str) -> Path:
        """Return the file of a stored recording."""
        return self._store / relative

    def _spooled(self, attempt_id: str, kind: RecordingKind) -> Path:
        return self._spool / f"{attempt_id}{_SUFFIX[kind]}"
