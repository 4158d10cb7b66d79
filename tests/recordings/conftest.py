"""Both kinds of store, and calls that have ended with something in the spool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.models.recording import Recording
from control_plane.domain.recording import RecordingKind
from control_plane.orders import repository
from control_plane.recordings.settings import RecordingSettings
from control_plane.recordings.spool import RecordingFiles
from control_plane.recordings.store import RecordingStore
from scheduler.claim import claim
from scheduler.recordings import RecordingMover
from tests import call_rows, factories
from tests.call_rows import CallRow
from tests.recordings.s3_server import bucket, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Where an S3-compatible server is."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> RecordingSettings:
    """Settings of an empty store."""
    if request.param == "folder":
        return RecordingSettings(url=str(tmp_path / "store"))
    return bucket(request.getfixturevalue("s3"), uuid4().hex)


@pytest.fixture
def store(place: RecordingSettings, tmp_path: Path) -> RecordingStore:
    """An empty store."""
    return RecordingStore.open(place, tmp_path / "not used")


@dataclass
class Office:
    """A database with an organization, and the files of its recordings."""

    database: Database
    vault: Vault
    owner: str
    recordings: RecordingFiles

    async def call(
        self, content: bytes = b"OggS", *, recording: dict[str, Any] | None = None, **changes: Any
    ) -> CallRow:
        """Return the attempt of a call that has ended; the agent was done with its recording.

        Args:
            content: what is spooled of it.
            recording: columns of the recording.
            changes: columns of the call; `assistant` for the assistant's settings.
        """
        spec = factories.spec(**changes.pop("assistant", {}))
        await factories.order(self.database, self.vault, self.owner, assistant=spec)
        [made] = await claim(self.database, limit=1)
        now = factories.ago(seconds=1)
        given = {"answered_at": now, "ended_at": now, **changes}
        kept = {"finished_at": now, **(recording or {})}
        async with self.database.transaction() as session:
            await call_rows.write(session, made.id, **given)
            row = await session.get_one(Recording, made.id)
            for name, value in kept.items():
                setattr(row, name, value)
        if content:
            self.recordings.append(made.id, offset=0, content=content)
        return await factories.reload_attempt(self.database, made.id)

    async def stored(self, content: bytes = b"OggS", **changes: Any) -> CallRow:
        """Return the attempt of a call whose recording is stored."""
        attempt = await self.call(content, **changes)
        await self.put_away()
        return attempt

    async def recording(self, attempt: CallRow) -> Recording:
        """Return the recording of an attempt as it is stored now."""
        return await factories.reload_recording(self.database, attempt.id)

    async def put_away(self, **told: Any) -> None:
        """Move what is finished."""
        mover = RecordingMover(self.database, self.recordings, **told)
        await mover.put_away()
        await mover.settled()

    async def content(self, path: str | None) -> bytes | None:
        """Return a file of the store, None when there is none."""
        assert path is not None
        size = await self.recordings.store.size(path)
        if size is None:
            return None
        return b"".join([piece async for piece in self.recordings.store.read(path, 0, size)])

    async def history(self, attempt: CallRow, kind: str) -> list[dict[str, Any]]:
        """Return what the history says of a kind of happening."""
        async with self.database.reading() as session:
            rows = await repository.events_of(session, attempt.order_id, after=0, limit=100)
        return [row.data for row in rows if row.type == kind]

    def spool_mix(self, attempt: CallRow, content: bytes) -> None:
        """Spool the full mix as well."""
        self.recordings.append(attempt.id, offset=0, content=content, kind=RecordingKind.MIX)


@pytest.fixture
async def office(database: Database, vault: Vault, store: RecordingStore, tmp_path: Path) -> Office:
    """An organization whose recordings go into each kind of store."""
    owner = await factories.organization(database)
    return Office(database, vault, owner, RecordingFiles(tmp_path / "data", store))
