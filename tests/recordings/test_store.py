"""A folder and an S3-compatible bucket take, give and delete the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from control_plane.recordings.settings import RecordingSettings
from control_plane.recordings.store import PART, PIECE, RecordingStore, StoreTrouble
from process.settings import SettingsError, load
from tests.free_ports import block
from tests.recordings.s3_server import bucket

pytestmark = pytest.mark.db

PATH = "2026/01/one.ogg"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of more than two parts."""
    made = tmp_path / "file"
    made.write_bytes(os.urandom(2 * PART + 17))
    return made


async def given_back(store: RecordingStore, start: int, stop: int) -> bytes:
    return b"".join([piece async for piece in store.read(PATH, start, stop)])


@pytest.mark.parametrize("size", [1, PART, PART + 1, 2 * PART + 17])
async def test_what_is_put_is_given_back(store: RecordingStore, file: Path, size: int) -> None:
    whole = file.read_bytes()[:size]
    await store.put(PATH, file, size)
    assert await store.size(PATH) == size
    for start, stop in ((0, size), (0, 1), (size - 1, size), (size // 3, size // 2 + 1)):
        assert await given_back(store, start, stop) == whole[start:stop]


async def test_no_more_than_a_piece_is_held(store: RecordingStore, file: Path) -> None:
    await store.put(PATH, file, 2 * PART + 17)
    sizes = [len(piece) async for piece in store.read(PATH, 5, 2 * PART)]
    assert max(sizes) == PIECE
    assert sum(sizes) == 2 * PART - 5


async def test_putting_again_replaces(store: RecordingStore, file: Path, tmp_path: Path) -> None:
    await store.put(PATH, file, 1_000)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    await store.put(PATH, other, 5)
    assert await given_back(store, 0, 5) == b"other"
    assert await store.size(PATH) == 5


async def test_deleting_again_is_harmless(store: RecordingStore, file: Path) -> None:
    await store.put(PATH, file, 10)
    for _ in range(2):
        await store.delete(PATH)
        assert await store.size(PATH) is None
    with pytest.raises(FileNotFoundError):
        await given_back(store, 0, 5)


async def test_a_probe_leaves_nothing(store: RecordingStore, place: RecordingSettings) -> None:
    await store.probe()
    if place.url.startswith("/"):
        assert list(Path(place.url).iterdir()) == []


async def test_a_bucket_that_is_not_there_is_named(s3: str, file: Path, tmp_path: Path) -> None:
    settings = RecordingSettings(
        url="s3://nowhere/x", s3_endpoint=s3, access_key_id="key", secret_access_key="secret"
    )
    store = RecordingStore.open(settings, tmp_path)
    with pytest.raises(StoreTrouble, match=r"s3://nowhere/x .OFFHOOK_RECORDINGS_URL"):
        await store.probe()
    with pytest.raises(StoreTrouble, match="OFFHOOK_RECORDINGS_URL"):
        await store.put(PATH, file, 5)


async def test_a_server_that_is_away_is_named(file: Path, tmp_path: Path) -> None:
    store = RecordingStore.open(bucket(f"http://127.0.0.1:{block(1)}"), tmp_path)
    with pytest.raises(StoreTrouble, match="OFFHOOK_RECORDINGS_URL"):
        await store.put(PATH, file, 5)
    with pytest.raises(StoreTrouble, match="OFFHOOK_RECORDINGS_URL"):
        await store.delete(PATH)
    with pytest.raises(StoreTrouble, match="OFFHOOK_RECORDINGS_URL"):
        await store.size(PATH)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"OFFHOOK_RECORDINGS_URL": "ftp://host/x"}, "OFFHOOK_RECORDINGS_URL: ftp://host/x"),
        ({"OFFHOOK_RECORDINGS_URL": "recordings"}, "OFFHOOK_RECORDINGS_URL: recordings"),
        ({"OFFHOOK_RECORDINGS_URL": "s3://"}, "s3://bucket/prefix"),
        ({"OFFHOOK_RECORDINGS_URL": "/dev/null/x"}, "OFFHOOK_RECORDINGS_URL: /dev/null/x"),
        (
            {"OFFHOOK_RECORDINGS_URL": "s3://b", "AWS_ACCESS_KEY_ID": "a"},
            "AWS_SECRET_ACCESS_KEY",
        ),
        (
            {"OFFHOOK_RECORDINGS_URL": "s3://b", "OFFHOOK_S3_ENDPOINT": "minio:9000"},
            "OFFHOOK_S3_ENDPOINT: minio:9000",
        ),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        RecordingStore.open(load(RecordingSettings, given), tmp_path)


@pytest.mark.parametrize("url", ["s3://b/p", "gs://b/p", "az://b/p"])
def test_every_kind_of_bucket_opens(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    settings = RecordingSettings(url=url, access_key_id="a", secret_access_key="b")
    assert RecordingStore.open(settings, tmp_path).name == url


async def test_a_folder_keeps_no_rest_of_a_killed_upload(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    for url in (str(folder), folder.as_uri()):
        store = RecordingStore.open(RecordingSettings(url=url), tmp_path)
        target = folder / PATH
        target.parent.mkdir(parents=True, exist_ok=True)
        (target.parent / f"{target.name}#1").write_bytes(b"half")
        await store.put(PATH, file, 10)
        assert [each.name for each in target.parent.iterdir()] == [target.name]
        assert target.stat().st_mode & 0o777 == 0o600
