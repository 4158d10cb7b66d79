"""Recordings on their way: pages appended while the call runs, put into the store afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from control_plane.domain.errors import SpoolGap
from control_plane.domain.recording import RecordingKind
from control_plane.recordings.store import RecordingStore

PAGE_LIMIT = 4 * 1024 * 1024
"""Bytes that one request may append; a page of a second has about 10,000."""
_STEREO = RecordingKind.STEREO
_SUFFIX = {RecordingKind.STEREO: ".ogg", RecordingKind.MIX: ".mix.ogg"}
_BLOCK = 1024 * 1024


class Kept(Struct, frozen=True):
    """A file in the store."""

    path: str
    size: int
    sha256: str


class RecordingFiles:
    """The files of recordings, by attempt; ids are ours, so no path comes from outside.

    Args:
        data: the data folder, where they are written.
        store: where they go; null: the folder `recordings` in the data folder.
    """

    def __init__(self, data: Path, store: RecordingStore | None = None):
        self._spool = data / "spool"
        self.store = store or RecordingStore.of_folder(data / "recordings")

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

    @contextlib.contextmanager
    def claimed(self, attempt_id: str) -> Iterator[bool]:
        """Yield whether we alone may put the spooled recording away, until the end of the block.

        The claim ends with the process, so nobody has to clear up after a kill.
        """
        path = self._spooled(attempt_id, _STEREO)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            yield False
            return
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever had it before us may be done: then this is the file that was.
                mine = path.stat().st_ino == os.fstat(file.fileno()).st_ino
            except OSError:
                mine = False
            yield mine

    async def put_away(
        self, attempt_id: str, ended_at: datetime, kind: RecordingKind = _STEREO
    ) -> Kept | None:
        """Put the spooled recording into the store as well; None when nothing is spooled.

        Doing it again is harmless: the same bytes get the same name.

        Raises:
            StoreTrouble: the store is away or refuses.
            OSError: the spool cannot be read.
        """
        file = self._spooled(attempt_id, kind)
        try:
            size, sha256 = await asyncio.to_thread(_measure, file)
        except FileNotFoundError:
            return None
        path = self.place(attempt_id, ended_at, kind)
        await self.store.put(path, file, size)
        return Kept(path, size, sha256)

    def place(self, attempt_id: str, ended_at: datetime, kind: RecordingKind = _STEREO) -> str:
        """Return the path in the store of a recording of a call that ended then."""
        return f"{ended_at:%Y/%m}/{attempt_id}{_SUFFIX[kind]}"

    def spooled(self) -> set[str]:
        """Return the attempts of which something is spooled."""
        return {path.name.partition(".")[0] for path in self._spool.glob("*.ogg")}

    def drop_spool(self, attempt_id: str) -> None:
        """Delete what is spooled."""
        for kind in RecordingKind:
            self._spooled(attempt_id, kind).unlink(missing_ok=True)

    def _spooled(self, attempt_id: str, kind: RecordingKind) -> Path:
        return self._spool / f"{attempt_id}{_SUFFIX[kind]}"


def _measure(file: Path) -> tuple[int, str]:
    """Return size and checksum of a file."""
    size, digest = 0, hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            size += len(block)
            digest.update(block)
    return size, digest.hexdigest()
