"""The message to an assistant's URL comes once, and with the recording that opens."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from control_plane.db.models.recording import Recording
from control_plane.domain.recording import RecordingKind, RecordingState
from control_plane.recordings import retention
from control_plane.recordings.links import RecordingLinks
from control_plane.recordings.spool import RecordingFiles
from control_plane.sessions import leases
from control_plane.webhooks import held
from scheduler.claim import claim
from scheduler.recordings import RecordingMover
from tests import call_rows, factories
from tests.call_rows import CallRow
from tests.holding import Held
from tests.webhooks.conftest import Desk, Receiver

pytestmark = [pytest.mark.db, pytest.mark.engines]


@pytest.fixture
def files(tmp_path: Path) -> RecordingFiles:
    """The spool and the store."""
    return RecordingFiles(tmp_path)


async def call(desk: Desk, receiver: Receiver, *, answered: bool = True, **fields: Any) -> CallRow:
    """Return the attempt of a call that has just ended, its end announced."""
    speaker = factories.spec(webhook_url=f"{receiver.url}/own", **fields)
    order = await desk.order(assistant=speaker)
    [made] = await claim(desk.database, limit=1)
    async with desk.database.transaction() as session:
        at = desk.now if answered else None
        await call_rows.write(session, made.id, answered_at=at, ended_at=desk.now)
    await desk.announce(order, "call.completed", status="completed")
    return await factories.reload_attempt(desk.database, made.id)


async def recorded(desk: Desk, files: RecordingFiles, attempt: CallRow) -> None:
    """Let the agent finish its recording, and the scheduler put it away."""
    files.append(attempt.id, offset=0, content=b"OggS")
    async with desk.database.transaction() as session:
        row = await session.get_one(Recording, attempt.id)
        row.finished_at = desk.now
    await put_away(desk, files)


async def put_away(desk: Desk, files: RecordingFiles) -> None:
    release = partial(held.release, factories.views())
    mover = RecordingMover(desk.database, files, on_settled=release)
    await mover.put_away()
    await mover.settled()


def told(receiver: Receiver) -> dict[str, Any]:
    """Return the last attempt in the one message that came."""
    [message] = receiver.messages
    found: dict[str, Any] = json.loads(message.body)["call"]["last_call_attempt"]
    return found


def opens(url: str) -> None:
    """Check that a link is one of ours and opens."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    links = RecordingLinks(b"k" * 32, "http://api")
    attempt_id = parts.path.removeprefix("/recording/")
    links.check(attempt_id, RecordingKind.STEREO, query["expires"], query["signature"])


async def test_it_waits_for_the_recording_and_goes_with_its_link(
    desk: Desk, receiver: Receiver, files: RecordingFiles
) -> None:
    attempt = await call(desk, receiver)
    assert await desk.go() == 0, "the recording is still in the spool"
    await recorded(desk, files, attempt)
    assert await desk.go() == 1
    assert told(receiver)["recording_state"] == "stored"
    opens(told(receiver)["recording_url"])
    assert await desk.pass_time(seconds=60) == 0, "once"


async def test_it_waits_nine_seconds_and_no_longer(
    desk: Desk, receiver: Receiver, files: RecordingFiles
) -> None:
    attempt = await call(desk, receiver)
    assert await desk.go() == 0
    ended, desk.now = attempt.ended_at, desk.now
    assert ended is not None
    desk.deliverers = [desk.deliverer()]  # a scheduler that came after the one that held it
    due, now = await desk.deliverers[0].next_due()
    assert due == ended + held.HOLD, "it is armed by the rows"
    assert (due - ended).total_seconds() < 10
    assert await desk.pass_time(seconds=(due - now).total_seconds() - 0.01) == 0
    assert await desk.pass_time(seconds=0.02) == 1
    assert told(receiver)["recording_url"] is None
    await recorded(desk, files, attempt)
    assert await desk.pass_time(seconds=60) == 0, "it is sent once, whatever comes later"


@pytest.mark.parametrize(
    ("answered", "fields"), [(True, {"recording_enabled": False}), (False, {})]
)
async def test_it_goes_at_once_where_no_recording_comes(
    desk: Desk, receiver: Receiver, answered: bool, fields: dict[str, Any]
) -> None:
    await call(desk, receiver, answered=answered, **fields)
    assert await desk.go() == 1
    assert told(receiver)["recording_url"] is None


async def test_it_goes_as_soon_as_the_recording_is_known_to_be_lost(
    desk: Desk, receiver: Receiver, files: RecordingFiles
) -> None:
    attempt = await call(desk, receiver)
    assert await desk.go() == 0
    async with desk.database.transaction() as session:
        row = await session.get_one(Recording, attempt.id)
        row.finished_at = desk.now  # and its file is not there
    await put_away(desk, files)
    assert await desk.go() == 1
    assert told(receiver)["recording_state"] == "absent"


async def test_it_goes_as_soon_as_the_recording_is_deleted(
    desk: Desk, receiver: Receiver, files: RecordingFiles
) -> None:
    """By request, while it is still in the spool."""
    attempt = await call(desk, receiver)
    files.append(attempt.id, offset=0, content=b"OggS")
    assert await desk.go() == 0
    release = partial(held.release, factories.views())
    await retention.delete(desk.database, files, attempt.id, why="request", on_settled=release)
    assert await desk.go() == 1
    assert told(receiver)["recording_state"] == "deleted"


async def test_an_endpoint_is_told_of_the_end_without_waiting(
    desk: Desk, receiver: Receiver
) -> None:
    await desk.endpoint(f"{receiver.url}/endpoint")
    await call(desk, receiver)
    await desk.go()
    kinds = {json.loads(message.body).get("type") for message in receiver.messages}
    assert "call.completed" in kinds
    assert None not in kinds, "the call itself waits"


async def test_a_recording_stored_while_the_message_is_made_is_in_it(
    desk: Desk, receiver: Receiver, held_too_long: list[Held]
) -> None:
    attempt = await call(desk, receiver)
    async with desk.database.transaction() as session:
        order, _ = await leases.lock(session, attempt.id, epoch=None)
        relaying = asyncio.create_task(desk.relay())
        waiting, _ = await asyncio.wait({relaying}, timeout=0.3)
        assert not waiting, "it would not see what is just being written"
        row = await session.get_one(Recording, attempt.id)
        row.state, row.path = RecordingState.STORED, "somewhere.ogg"
        await held.release(factories.views(), session, order, desk.now)
    held_too_long.clear()  # it had the other wait
    await relaying
    assert await desk.go() == 1
    opens(told(receiver)["recording_url"])
