"""From the spool into the store: whole, once, and again after anything that goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from agent.audio.ogg import RATE, Encoder
from control_plane.db.models.recording import Recording
from control_plane.domain.recording import RecordingKind, RecordingState
from control_plane.recordings import retention
from control_plane.recordings.settings import RecordingSettings
from control_plane.recordings.spool import RecordingFiles
from control_plane.recordings.store import RecordingStore, StoreTrouble
from scheduler.recordings import FIRST_WAIT_S, LONGEST_WAIT_S, RecordingMover
from scheduler.retention import RecordingRetention
from tests import factories
from tests.recordings.conftest import Office

pytestmark = [pytest.mark.db, pytest.mark.engines]

STATE = RecordingState


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Watched(RecordingStore):
    """A folder that is watched and may be made to wait, to fail, or to see its owner die."""

    def __init__(self, folder: Path) -> None:
        self.inner = RecordingStore.of_folder(folder)
        self.name = "watched"
        self.puts: list[str] = []
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self.dies = False

    async def put(self, path: str, file: Path, size: int) -> None:
        self.puts.append(path)
        self.asked.set()
        await self.open.wait()
        if self.away:
            raise StoreTrouble("away")
        await self.inner.put(path, file, size)
        if self.dies:
            raise asyncio.CancelledError

    async def size(self, path: str) -> int | None:
        return await self.inner.size(path)

    async def delete(self, path: str) -> None:
        await self.inner.delete(path)


@pytest.fixture
def watched(office: Office, tmp_path: Path) -> Watched:
    """The office's store, watched."""
    store = Watched(tmp_path / "watched")
    office.recordings.store = store
    return store


in_a_folder = pytest.mark.parametrize("place", ["folder"], indirect=True)


async def test_a_recording_waits_for_its_end_and_is_put_away(office: Office) -> None:
    attempt = await office.call(b"OggS and more", recording={"finished_at": None})
    await office.put_away()
    assert (await office.recording(attempt)).state is STATE.SPOOLING
    async with office.database.transaction() as session:
        row = await session.get_one(Recording, attempt.id)
        row.finished_at = factories.ago(seconds=0)
        row.sha256 = sha256(b"OggS and more")
    await office.put_away()
    stored = await office.recording(attempt)
    assert (stored.state, stored.intact) == (STATE.STORED, True)
    assert (stored.size, stored.mix_path) == (13, None)
    assert stored.path == f"{attempt.ended_at:%Y/%m}/{attempt.id}.ogg"
    assert await office.content(stored.path) == b"OggS and more"
    assert office.recordings.spooled() == set()
    [told] = await office.history(attempt, "recording_stored")
    assert told == {"size_bytes": 13, "sha256": sha256(b"OggS and more"), "intact": True}


async def test_the_full_mix_is_put_away_with_it(office: Office) -> None:
    sums = {"sha256": sha256(b"both"), "mix_sha256": sha256(b"mixed")}
    attempt = await office.call(b"both", recording=sums)
    office.spool_mix(attempt, b"mixed")
    await office.put_away()
    stored = await office.recording(attempt)
    assert (stored.size, stored.mix_size, stored.intact) == (4, 5, True)
    assert await office.content(stored.mix_path) == b"mixed"
    assert office.recordings.size(attempt.id, RecordingKind.MIX) is None


@pytest.mark.parametrize(
    ("sent", "mix"), [("ab", None), (sha256(b"OggS"), "cd")], ids=["stereo", "the mix is missing"]
)
async def test_what_is_not_what_was_sent_is_kept_and_told_of(
    office: Office, sent: str, mix: str | None
) -> None:
    attempt = await office.stored(b"OggS", recording={"sha256": sent, "mix_sha256": mix})
    stored = await office.recording(attempt)
    assert (stored.state, stored.intact) == (STATE.STORED, False)
    assert stored.sha256 == sha256(b"OggS")
    assert await office.content(stored.path) == b"OggS"
    [told] = await office.history(attempt, "recording_stored")
    assert told["intact"] is False
    assert (told["sent_sha256"], told["sent_mix_sha256"]) == (sent, mix)


async def test_what_a_dead_agent_left_is_stored_and_plays(office: Office) -> None:
    encoder = Encoder()
    noise = np.random.default_rng(1).integers(-9_000, 9_000, 2 * RATE, dtype=np.int16)
    content = encoder.encode(noise, noise)  # two seconds, and never a last page
    attempt = await office.call(content, recording={"finished_at": None}, end_reason="agent_lost")
    await office.put_away()
    stored = await office.recording(attempt)
    assert (stored.state, stored.intact) == (STATE.STORED, None)
    assert stored.sha256 == sha256(content)
    kept = await office.content(stored.path)
    assert kept is not None
    with av.open(io.BytesIO(kept)) as container:
        seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert seconds >= 1.0


@in_a_folder
async def test_a_recording_that_never_came_is_absent(office: Office) -> None:
    never = await office.call(
        b"", recording={"finished_at": None}, ended_at=factories.ago(minutes=1)
    )
    unanswered = await office.call(b"", recording={"finished_at": None}, answered_at=None)
    early = await office.call(b"", recording={"finished_at": None})
    lost = await office.call(b"")
    await office.put_away()
    assert (await office.recording(never)).state is STATE.ABSENT
    assert (await office.recording(unanswered)).state is STATE.ABSENT
    assert (await office.recording(early)).state is STATE.SPOOLING
    after = await office.recording(lost)
    assert (after.state, after.intact) == (STATE.ABSENT, False)
    assert await office.history(lost, "recording_lost") == [{}]


@in_a_folder
async def test_a_kill_between_upload_and_row_repeats_the_upload(
    office: Office, watched: Watched
) -> None:
    attempt = await office.call(b"OggS")
    watched.dies = True
    await office.put_away()
    assert (await office.recording(attempt)).state is STATE.SPOOLING
    assert office.recordings.spooled() == {attempt.id}
    watched.dies = False
    await office.put_away()
    assert len(watched.puts) == 2
    assert (await office.recording(attempt)).state is STATE.STORED
    assert office.recordings.spooled() == set()


@in_a_folder
async def test_a_kill_between_row_and_spool_leaves_nothing_for_long(office: Office) -> None:
    attempt = await office.stored(b"OggS")
    live = await office.call(b"OggS", ended_at=None)
    office.recordings.append(attempt.id, offset=0, content=b"OggS")
    office.recordings.append("unknown", offset=0, content=b"OggS")
    await RecordingRetention(office.database, office.recordings).delete_expired()
    assert office.recordings.spooled() == {live.id, "unknown"}
    assert await office.content((await office.recording(attempt)).path) == b"OggS"


@in_a_folder
async def test_a_store_that_is_away_is_tried_again_with_one_ever_later(
    office: Office, watched: Watched
) -> None:
    attempts = [await office.call(b"OggS") for _ in range(3)]
    at = 0.0
    mover = RecordingMover(office.database, office.recordings, clock=lambda: at)

    async def look() -> int:
        before = len(watched.puts)
        await mover.put_away()
        await mover.settled()
        return len(watched.puts) - before

    watched.away = True
    assert await look() == 3  # nobody knew
    assert await look() == 0
    waits = []
    for _ in range(8):
        waited = 0.0
        while not await look():
            at += FIRST_WAIT_S
            waited += FIRST_WAIT_S
        waits.append(waited)
    assert waits[-1] == LONGEST_WAIT_S
    assert waits == sorted(waits)
    assert len(watched.puts) == 3 + len(waits)  # one each time
    tried = watched.puts[3:]
    assert len(set(tried)) == 3  # and not the same one
    assert office.recordings.spooled() == {each.id for each in attempts}
    watched.away = False
    at += LONGEST_WAIT_S
    assert await look() == 1
    assert await look() == 2
    states = {(await office.recording(each)).state for each in attempts}
    assert states == {STATE.STORED}


@in_a_folder
async def test_a_slow_upload_keeps_no_other_waiting(office: Office, watched: Watched) -> None:
    mover = RecordingMover(office.database, office.recordings)
    slow = await office.call(b"OggS slow")
    watched.open.clear()
    await mover.put_away()
    await watched.asked.wait()
    watched.open.set()
    watched.asked.clear()
    quick = await office.call(b"OggS quick")
    await mover.put_away()
    await mover.settled()
    for attempt in (slow, quick):
        assert (await office.recording(attempt)).state is STATE.STORED


@in_a_folder
async def test_two_schedulers_upload_once(office: Office, watched: Watched) -> None:
    attempt = await office.call(b"OggS")
    first, second = (RecordingMover(office.database, office.recordings) for _ in range(2))
    watched.open.clear()
    await first.put_away()
    await watched.asked.wait()
    await second.put_away()
    await second.settled()
    assert (await office.recording(attempt)).state is STATE.SPOOLING
    watched.open.set()
    await first.settled()
    assert len(watched.puts) == 1
    assert (await office.recording(attempt)).state is STATE.STORED


@in_a_folder
async def test_what_is_deleted_while_it_is_moved_is_gone(office: Office, watched: Watched) -> None:
    attempt = await office.call(b"OggS")
    path = office.recordings.place(attempt.id, attempt.ended_at or attempt.created_at)
    mover = RecordingMover(office.database, office.recordings)
    watched.open.clear()
    await mover.put_away()
    await watched.asked.wait()
    await retention.delete(office.database, office.recordings, attempt.id, why="request")
    office.recordings.append(attempt.id, offset=0, content=b"OggS")  # as if it had been opened
    watched.open.set()
    await mover.settled()
    assert (await office.recording(attempt)).state is STATE.DELETED
    assert await watched.size(path) is None
    assert office.recordings.spooled() == set()


@in_a_folder
async def test_a_scheduler_that_stops_leaves_the_rest_to_the_next(
    office: Office, watched: Watched
) -> None:
    attempt = await office.call(b"OggS")
    mover = RecordingMover(office.database, office.recordings)
    watched.open.clear()
    await mover.put_away()
    await watched.asked.wait()
    await mover.finish(0.0)
    watched.open.set()
    await office.put_away()
    assert (await office.recording(attempt)).state is STATE.STORED


@in_a_folder
@pytest.mark.parametrize(
    ("assistant", "days", "kept"),
    [({}, 0, None), ({}, 30, 30), ({"recording_retention_days": 7}, 30, 7)],
)
async def test_how_long_it_is_kept(
    office: Office, assistant: dict[str, Any], days: int, kept: int | None
) -> None:
    attempt = await office.call(b"OggS", assistant=assistant)
    await office.put_away(days=days)
    stored = await office.recording(attempt)
    assert attempt.ended_at is not None
    expected = attempt.ended_at + timedelta(days=kept) if kept else None
    assert stored.expires_at == expected


def test_old_recordings_stay_where_they_are(tmp_path: Path) -> None:
    files = RecordingFiles(tmp_path, RecordingStore.open(RecordingSettings(), tmp_path / "old"))
    when = datetime(2026, 3, 4, tzinfo=UTC)
    assert files.place("id", when) == "2026/03/id.ogg"
    assert files.place("id", when, RecordingKind.MIX) == "2026/03/id.mix.ogg"
