"""Recordings over HTTP: with a key, with a link, in parts, and not any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from control_plane.db.models.organization import Organization
from control_plane.db.models.recording import Recording
from control_plane.domain.ids import new_id
from control_plane.domain.recording import RecordingKind
from control_plane.keys.making import make_key
from control_plane.recordings.links import RecordingLinks
from control_plane.recordings.settings import RecordingSettings
from control_plane.recordings.store import PIECE, RecordingStore
from scheduler.claim import claim
from scheduler.recordings import RecordingMover
from tests import call_rows, factories
from tests.call_rows import CallRow
from tests.free_ports import block
from tests.recordings.s3_server import bucket
from tests.served import Served, served

pytestmark = pytest.mark.db

CONTENT = bytes(range(256)) * 4_096  # four pieces
MIX = b"the mix"


@dataclass
class Desk:
    """The API with a stored recording; `client` has the key, `stranger` none."""

    api: Served
    client: httpx.AsyncClient
    stranger: httpx.AsyncClient
    attempt: CallRow

    @property
    def path(self) -> str:
        return f"/recording/{self.attempt.id}"

    async def kept(self) -> Recording:
        """Return the recording's row."""
        return await factories.reload_recording(self.api.resources.database, self.attempt.id)

    async def view(self) -> dict[str, object]:
        """Return the attempt as the API shows it."""
        answer = await self.client.get(f"/call/{self.attempt.order_id}")
        view: dict[str, object] = answer.json()["call"]["last_call_attempt"]
        return view

    async def link(self, kind: str = "") -> str:
        """Return the link that the call shows."""
        return str((await self.view())[f"recording_{kind}url"])


async def stored(api: Served) -> CallRow:
    """Return the attempt of a call whose recording is stored."""
    body = {"phone_number": factories.NUMBER, "force_now": True}
    assert (await api.client.post("/call", json=body)).status_code == 200
    database, files = api.resources.database, api.resources.recordings
    [attempt] = await claim(database, limit=1)
    now = factories.ago(seconds=1)
    async with database.transaction() as session:
        await call_rows.write(session, attempt.id, answered_at=now, ended_at=now)
        (await session.get_one(Recording, attempt.id)).finished_at = now
    files.append(attempt.id, offset=0, content=CONTENT)
    files.append(attempt.id, offset=0, content=MIX, kind=RecordingKind.MIX)
    mover = RecordingMover(database, files, days=30)
    await mover.put_away()
    await mover.settled()
    return await factories.reload_attempt(database, attempt.id)


@pytest.fixture
async def desk(place: RecordingSettings, tmp_path: Path) -> AsyncIterator[Desk]:
    async with served(tmp_path / "data", place) as api:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as stranger:
            yield Desk(api, api.client, stranger, await stored(api))


in_a_folder = pytest.mark.parametrize("place", ["folder"], indirect=True)


async def test_it_is_downloaded_whole_and_in_ranges(desk: Desk) -> None:
    whole = await desk.client.get(desk.path)
    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert whole.headers["content-type"] == "audio/ogg"
    assert whole.headers["content-length"] == str(len(CONTENT))
    size = len(CONTENT)
    for asked, status, content in (
        ("bytes=2-4", 206, CONTENT[2:5]),
        (f"bytes={size - 3}-", 206, CONTENT[-3:]),
        ("bytes=-2", 206, CONTENT[-2:]),
        (f"bytes={PIECE - 1}-{2 * PIECE}", 206, CONTENT[PIECE - 1 : 2 * PIECE + 1]),
        (f"bytes=0-{size + 99}", 206, CONTENT),
        (f"bytes={size}-", 416, b""),
        ("bytes=1-2,4-5", 200, CONTENT),
    ):
        part = await desk.client.get(desk.path, headers={"Range": asked})
        assert (part.status_code, part.content) == (status, content), asked
        assert part.headers["content-length"] == str(len(content))
    part = await desk.client.get(desk.path, headers={"Range": "bytes=2-4"})
    assert part.headers["content-range"] == f"bytes 2-4/{size}"


async def test_a_link_opens_it_without_a_key(desk: Desk) -> None:
    link = await desk.link()
    assert (await desk.stranger.get(link)).content == CONTENT
    part = await desk.stranger.get(link, headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, CONTENT[1:4])
    assert (await desk.stranger.get(await desk.link("mix_"))).content == MIX


async def test_players_look_before_they_seek(desk: Desk) -> None:
    for client, url in ((desk.stranger, await desk.link()), (desk.client, desk.path)):
        head = await client.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(CONTENT))
        assert head.headers["accept-ranges"] == "bytes"
        assert head.headers["content-type"] == "audio/ogg"
    assert (await desk.stranger.head(desk.path)).status_code == 401


def changed(link: str, **query: str) -> str:
    """Return the link with other parameters; an empty one is left out."""
    parts = urlsplit(link)
    given = {name: value for name, [value] in parse_qs(parts.query).items()} | query
    return f"{parts.path}?{urlencode({name: value for name, value in given.items() if value})}"


@in_a_folder
async def test_a_link_opens_nothing_else(desk: Desk) -> None:
    link = await desk.link()
    other = await stored(desk.api)
    for wrong in (
        changed(link, signature="0" * 64),
        changed(link, signature="é"),
        changed(link, expires="9999999999"),
        changed(link, expires=""),
        changed(link, kind="mix"),
        changed(link, kind=""),  # is stereo: the same file
        link.replace(desk.attempt.id, other.id),
    ):
        answer = await desk.stranger.get(wrong)
        if wrong == changed(link, kind=""):
            assert answer.content == CONTENT
            continue
        assert (answer.status_code, answer.json()["field"]) == (403, "signature"), wrong
        assert (await desk.stranger.head(wrong)).status_code == 403
    assert (await desk.stranger.get(changed(link, signature=""))).status_code == 401
    assert (await desk.stranger.delete(link)).status_code == 401
    unknown = await desk.stranger.get(changed(link, other="x"))
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_field")


@in_a_folder
async def test_an_old_link_says_so(desk: Desk) -> None:
    signer = desk.api.resources.signer
    over = RecordingLinks.open(signer, "", lifetime=timedelta(seconds=-1))
    answer = await desk.stranger.get(over.url(desk.attempt.id, RecordingKind.STEREO))
    assert (answer.status_code, answer.json()["field"]) == (403, "expires")
    assert "read the call again" in answer.json()["detail"]


@in_a_folder
async def test_another_organizations_key_finds_nothing(desk: Desk) -> None:
    now, owner = datetime.now(UTC), new_id()
    row, key = make_key(owner, name="b", scopes=["admin", "calls"], now=now)
    async with desk.api.resources.database.transaction() as session:
        session.add(Organization(id=owner, name="b", created_at=now))
        await session.flush()
        session.add(row)
    headers = {"Authorization": f"Bearer {key}"}
    for url in (desk.path, await desk.link()):
        assert (await desk.stranger.get(url, headers=headers)).status_code == 404
    assert (await desk.stranger.delete(desk.path, headers=headers)).status_code == 404
    assert (await desk.client.get(desk.path)).content == CONTENT


async def test_a_deleted_recording_is_gone(desk: Desk) -> None:
    link, mix = await desk.link(), await desk.link("mix_")
    before = await desk.view()
    assert before["recording_state"] == "stored"
    assert before["recording_expires_at"] is not None
    store, kept = desk.api.resources.recordings.store, await desk.kept()
    path = kept.path or ""
    assert await store.size(path) == len(CONTENT)
    for _ in range(2):
        answer = await desk.client.delete(desk.path)
        assert (answer.status_code, answer.content) == (204, b"")
    assert await store.size(path) is None
    assert await store.size(kept.mix_path or "") is None
    for client, url in ((desk.client, desk.path), (desk.stranger, link), (desk.stranger, mix)):
        answer = await client.get(url)
        assert (answer.status_code, answer.json()["code"]) == (410, "gone")
        assert "was deleted at" in answer.json()["detail"]
        assert (await client.head(url)).status_code == 410
    view = await desk.view()
    assert view["recording_state"] == "deleted"
    assert [view[f"recording_{name}"] for name in ("url", "mix_url", "expires_at")] == [None] * 3
    entries = (await desk.client.get("/audit")).json()["entries"]
    told = [(e["operation"], e["path"], e["status"]) for e in entries]
    assert told == [("deleteRecording", desk.path, 204)] * 2


@in_a_folder
async def test_only_an_admin_deletes(desk: Desk) -> None:
    made = (await desk.client.post("/keys", json={"name": "k", "scopes": ["calls"]})).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert (await desk.stranger.delete(desk.path, headers=headers)).status_code == 403
    assert (await desk.stranger.get(desk.path, headers=headers)).content == CONTENT


@in_a_folder
async def test_there_is_none_yet_or_not_any_more(desk: Desk) -> None:
    assert (await desk.client.get(f"/recording/{new_id()}")).status_code == 404
    assert (await desk.client.delete(f"/recording/{new_id()}")).status_code == 404
    await desk.api.resources.recordings.store.delete((await desk.kept()).path or "")
    lost = await desk.client.get(desk.path)
    assert (lost.status_code, lost.json()["code"]) == (404, "not_found")
    assert "store" in lost.json()["detail"]


@in_a_folder
async def test_a_store_that_is_away_is_told_of(desk: Desk, tmp_path: Path) -> None:
    files = desk.api.resources.recordings
    files.store = RecordingStore.open(bucket(f"http://127.0.0.1:{block(1)}"), tmp_path)
    for answer in (await desk.client.get(desk.path), await desk.client.delete(desk.path)):
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert answer.headers["retry-after"] == "30"
    assert (await desk.view())["recording_state"] == "stored"
