"""Recordings go when their time is over, from the store and from the row."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.domain.errors import Conflict, NotFound
from control_plane.domain.recording import RecordingState
from control_plane.recordings import retention
from control_plane.recordings.store import RecordingStore
from scheduler.retention import RecordingRetention
from tests import call_rows, factories
from tests.free_ports import block
from tests.recordings.conftest import Office
from tests.recordings.s3_server import bucket

pytestmark = [pytest.mark.db, pytest.mark.engines]

STATE = RecordingState
in_a_folder = pytest.mark.parametrize("place", ["folder"], indirect=True)


def retention_of(office: Office) -> RecordingRetention:
    return RecordingRetention(office.database, office.recordings)


@pytest.mark.shows("recording_retention_days")
async def test_what_is_due_goes_and_the_rest_stays(office: Office) -> None:
    old = {"ended_at": factories.ago(days=8)}
    week = {"recording_retention_days": 7}
    due = await office.call(b"due", assistant=week, **old)
    office.spool_mix(due, b"mix")
    await office.put_away()
    before = await office.recording(due)
    paths = (before.path, before.mix_path)
    kept = await office.stored(b"kept", **old)
    fresh = await office.stored(b"fresh", assistant=week)
    vanished = await office.stored(b"vanished", assistant=week, **old)
    there = (await office.recording(vanished)).path
    assert there is not None
    await office.recordings.store.delete(there)
    await retention_of(office).delete_expired()
    for attempt in (due, vanished):
        after = await office.recording(attempt)
        assert after.state is STATE.DELETED
        assert after.deleted_at is not None
        assert (after.path, after.mix_path, after.expires_at) == (None,) * 3
        assert await office.history(attempt, "recording_deleted") == [{"why": "retention"}]
    assert [await office.content(path) for path in paths] == [None, None]
    for attempt, content in ((kept, b"kept"), (fresh, b"fresh")):
        after = await office.recording(attempt)
        assert await office.content(after.path) == content
        assert after.state is STATE.STORED


@in_a_folder
async def test_a_store_that_is_away_deletes_later(office: Office, tmp_path: Path) -> None:
    attempt = await office.stored(
        b"OggS", assistant={"recording_retention_days": 1}, ended_at=factories.ago(days=2)
    )
    store = office.recordings.store
    office.recordings.store = RecordingStore.open(bucket(f"http://127.0.0.1:{block(1)}"), tmp_path)
    await retention_of(office).delete_expired()
    before = await office.recording(attempt)
    assert before.state is STATE.STORED
    office.recordings.store = store
    await retention_of(office).delete_expired()
    after = await office.recording(attempt)
    assert after.state is STATE.DELETED
    assert await office.content(before.path) is None


@in_a_folder
async def test_what_waits_in_the_spool_can_be_deleted_once_the_call_is_over(
    office: Office,
) -> None:
    attempt = await office.call(b"OggS", ended_at=None)

    async def delete() -> None:
        await retention.delete(office.database, office.recordings, attempt.id, why="request")

    with pytest.raises(Conflict, match="end it first"):
        await delete()
    assert office.recordings.spooled() == {attempt.id}
    async with office.database.transaction() as session:
        await call_rows.write(session, attempt.id, ended_at=factories.ago(seconds=1))
    for _ in range(2):
        await delete()
        assert office.recordings.spooled() == set()
    assert await office.history(attempt, "recording_deleted") == [{"why": "request"}]
    await office.put_away()
    after = await office.recording(attempt)
    assert after.state is STATE.DELETED


@in_a_folder
async def test_what_never_was_cannot_be_deleted(office: Office) -> None:
    attempt = await office.call(b"", recording={"state": STATE.ABSENT})
    with pytest.raises(NotFound):
        await retention.delete(office.database, office.recordings, attempt.id, why="request")
