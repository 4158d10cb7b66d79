"""After a call: its recording goes from the spool into the store."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update

from control_plane.assistants import versions
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.recording import Recording
from control_plane.db.models.session import Session
from control_plane.domain.events import EndReason
from control_plane.domain.recording import RecordingKind, RecordingState
from control_plane.orders import repository
from control_plane.recordings import retention
from control_plane.recordings.spool import Kept, RecordingFiles
from control_plane.recordings.store import StoreTrouble
from control_plane.sessions import leases
from control_plane.sessions.history import record
from process.logs import get_logger

PATIENCE = timedelta(seconds=30)
"""How long after the call a recording may still arrive from an agent that has not finished it."""
MOST_AT_ONCE = 8
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 60.0
"""How long a store that is away is left alone; the spool keeps everything meanwhile."""

_AT_ONCE = 400
"""Rows of one statement; SQLite's oldest limit of values is 999."""

log = get_logger(__name__)


class RecordingMover:
    """Puts recordings away, several at a time; a slow one keeps no other waiting.

    Args:
        days: how long recordings of assistants that say nothing are kept; 0: until deleted.
        clock: seconds that never go back.
        on_settled: called in the transaction that says what became of a call's recording.
    """

    def __init__(
        self,
        database: Database,
        recordings: RecordingFiles,
        *,
        days: int = 0,
        clock: Callable[[], float] = time.monotonic,
        on_settled: retention.OnSettled = retention.nobody_waits,
    ):
        self._database = database
        self._recordings = recordings
        self._days = days
        self._clock = clock
        self._on_settled = on_settled
        self._moving: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}
        self._trouble = 0  # how often in a row the store was away
        self._again_at = 0.0
        self._more = False  # than there was room for

    async def check_store(self) -> None:
        """Say in the log when the store takes nothing now."""
        try:
            await self._recordings.store.probe()
        except StoreTrouble as exc:
            log.error("recordings wait in the spool: their store takes nothing", error=exc)

    async def put_away(self) -> None:
        """Begin to move finished recordings, and give up on those that never came."""
        async with self._database.reading() as db:
            now = await read_clock(db)
            spooled = await repository.spooled_recordings(db)
        done = [
            ended
            for ended, recording in spooled
            if ended.id not in self._moving and _is_over(ended, recording, now)
        ]
        if not done:
            return
        there = await asyncio.to_thread(self._recordings.spooled)
        await self._give_up([each for each in done if each.id not in there])
        waiting = [each for each in done if each.id in there]
        # Whatever failed comes last, so that one bad file does not stand for the whole store.
        waiting.sort(key=lambda each: self._failures.get(each.id, 0))
        room = self._room()
        self._more = len(waiting) > room > 0
        for ended in waiting[:room]:
            task = asyncio.create_task(self._move(ended), name="put a recording away")
            self._moving[ended.id] = task
            task.add_done_callback(functools.partial(self._ended, ended.id))

    async def settled(self) -> None:
        """Wait until everything that was begun is done."""
        while self._moving:
            await asyncio.wait(self._moving.values())

    async def finish(self, grace_s: float) -> None:
        """Let moves end for `grace_s`; the rest is moved again by whoever comes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.settled()
        moving = list(self._moving.values())
        for task in moving:
            task.cancel()
        await asyncio.gather(*moving, return_exceptions=True)

    def _room(self) -> int:
        """Return how many more may be begun; a store that was away is tried with one."""
        if self._clock() < self._again_at:
            return 0
        return max(0, (1 if self._trouble else MOST_AT_ONCE) - len(self._moving))

    async def _move(self, ended: Session) -> None:
        with self._recordings.claimed(ended.id) as ours:
            if not ours:
                return  # another scheduler moves it
            ended_at = ended.ended_at or ended.created_at
            try:
                stereo, mix = [
                    await self._recordings.put_away(ended.id, ended_at, kind)
                    for kind in (RecordingKind.STEREO, RecordingKind.MIX)
                ]
            except (StoreTrouble, OSError) as exc:
                self._put_off(ended.id, exc)
                return
            self._trouble = 0
            self._failures.pop(ended.id, None)
            if stereo is None:
                return
            await self._note(ended.id, stereo, mix)
            self._recordings.drop_spool(ended.id)

    def _put_off(self, attempt_id: str, exc: Exception) -> None:
        """Leave the store alone for a while, longer each time."""
        self._failures[attempt_id] = self._failures.get(attempt_id, 0) + 1
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._trouble)
        self._trouble = min(self._trouble + 1, 10)
        self._again_at = self._clock() + wait
        log.warning(
            "a recording waits in the spool",
            attempt_id=attempt_id,
            again_in_s=wait,
            error=exc,
        )

    def _ended(self, attempt_id: str, task: asyncio.Task[None]) -> None:
        del self._moving[attempt_id]
        if not task.cancelled() and task.exception() is not None:
            log.error(
                "putting a recording away broke", attempt_id=attempt_id, error=task.exception()
            )
        if self._more:
            self._database.changes.notify()

    async def _give_up(self, lost: Sequence[Session]) -> None:
        """Say of recordings of which nothing came that there are none."""
        for some in _pieces([each.id for each in lost if each.answered_at is None]):
            async with self._database.transaction() as db:
                await db.execute(
                    update(Recording)
                    .where(
                        Recording.session_id.in_(some), Recording.state == RecordingState.SPOOLING
                    )
                    .values(state=RecordingState.ABSENT)
                )
        for each in lost:
            if each.answered_at is not None:
                await self._note_absence(each.id)

    async def _note_absence(self, attempt_id: str) -> None:
        """Say that an answered call has no recording; that it is lost, if it came whole."""
        async with self._database.transaction() as db:
            order, call = await leases.lock(db, attempt_id, epoch=None)
            owner = order or call.session
            row = await db.get_one(Recording, attempt_id)
            if row.state is not RecordingState.SPOOLING:
                return
            now = await read_clock(db)
            row.state = RecordingState.ABSENT
            lost = row.finished_at is not None
            if lost:
                row.intact = False
                record(db, owner, call, "recording_lost", at=now)
            await self._on_settled(db, owner, now)
        if lost:
            log.error("a recording is not in the spool any more", attempt_id=attempt_id)

    async def _note(self, attempt_id: str, stereo: Kept, mix: Kept | None) -> None:
        """Write down what is stored and whether it is what the agent sent."""
        async with self._database.transaction() as db:
            order, call = await leases.lock(db, attempt_id, epoch=None)
            owner = order or call.session
            row = await db.get_one(Recording, attempt_id)
            state = row.state
            if state is RecordingState.SPOOLING:
                now = await read_clock(db)
                version = await versions.get(db, call.session.assistant_version_id)
                facts, intact = _compared(row, stereo, mix)
                row.path, row.size = stereo.path, stereo.size
                row.sha256, row.intact = stereo.sha256, intact
                row.mix_path = mix.path if mix else None
                row.mix_size = mix.size if mix else None
                row.mix_sha256 = mix.sha256 if mix else None
                row.state = RecordingState.STORED
                row.expires_at = retention.expires_at(
                    version.spec, call.session.ended_at or now, days=self._days
                )
                record(db, owner, call, "recording_stored", at=now, **facts)
                await self._on_settled(db, owner, now)
        if state is RecordingState.DELETED:  # while it was moved
            for kept in (stereo, mix):
                if kept is not None:
                    await self._recordings.store.delete(kept.path)
        elif state is RecordingState.SPOOLING and intact is False:
            log.error("a recording is not what the agent sent", attempt_id=attempt_id, **facts)


def _is_over(ended: Session, recording: Recording, now: datetime) -> bool:
    """Return whether nothing more of the recording will come."""
    # Nothing was said before the answer, and an agent that was shut out sends no more.
    return (
        recording.finished_at is not None
        or ended.answered_at is None
        or ended.end_reason == EndReason.AGENT_LOST
        or (ended.ended_at or now) + PATIENCE < now
    )


def _compared(row: Recording, stereo: Kept, mix: Kept | None) -> tuple[dict[str, Any], bool | None]:
    """Return the facts for the history, and whether they are what the agent says it sent.

    That is null where an agent that died could not say.
    """
    facts: dict[str, Any] = {"size_bytes": stereo.size, "sha256": stereo.sha256}
    if mix is not None:
        facts |= {"mix_size_bytes": mix.size, "mix_sha256": mix.sha256}
    if row.finished_at is None:
        return facts, None
    sent = {"sha256": row.sha256, "mix_sha256": row.mix_sha256}
    intact = all(facts.get(name) == value for name, value in sent.items())
    if not intact:
        facts |= {f"sent_{name}": value for name, value in sent.items()}
    return {**facts, "intact": intact}, intact


def _pieces(ids: list[str]) -> Iterator[list[str]]:
    return (ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE))
