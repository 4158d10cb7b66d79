"""Where finished recordings are kept: a folder, or a bucket of S3, Google or Azure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from control_plane.recordings.settings import RecordingSettings
from process.settings import SettingsError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

URL = "OFFHOOK_RECORDINGS_URL"
PART = 5 * 1024 * 1024
"""Bytes of one part of an upload, the least that S3 takes; shorter files are sent at once."""
PIECE = 256 * 1024
"""Bytes that one request of a download reads: no more of a recording is in memory."""
_PARTS_AT_ONCE = 2
_BUCKETS = ("s3", "gs", "az")
_CONTENT_TYPE = "audio/ogg"

# Short, because what waits for a store that is away is tried again anyway.
_RETRY: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}


class StoreTrouble(Exception):
    """The store cannot do this now; the text names the setting."""


class RecordingStore:
    """Files of recordings by their path, in one place.

    Args:
        name: the place as it is told to people.
        folder: where the files are, when they are on this machine.
    """

    def __init__(self, store: ObjectStore, name: str, *, folder: Path | None = None):
        self._store = store
        self.name = name
        self._folder = folder

    @classmethod
    def of_folder(cls, folder: Path) -> RecordingStore:
        """Return a store in a folder, which is made."""
        return cls(LocalStore(folder, mkdir=True), str(folder), folder=folder)

    @classmethod
    def open(cls, settings: RecordingSettings, default: Path) -> RecordingStore:
        """Return the store that the settings name, the folder `default` when they name none.

        A bucket is not asked for: one that is away keeps nothing from starting.

        Raises:
            SettingsError: OFFHOOK_RECORDINGS_URL or what belongs to it cannot be used.
        """
        url = urlsplit(settings.url)
        try:
            if url.scheme in _BUCKETS:
                return cls(_bucket(settings, url.scheme, url.netloc), settings.url)
            if url.scheme == "file" or settings.url.startswith("/"):
                return cls.of_folder(Path(unquote(url.path)))
            if not settings.url:
                return cls.of_folder(default)
        except (BaseError, ValueError, OSError) as exc:
            raise SettingsError(f"{URL}: {settings.url} cannot be used: {_short(exc)}") from exc
        raise SettingsError(
            f"{URL}: {settings.url} is no place for recordings; give a folder such as "
            "/srv/recordings, or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix"
        )

    async def put(self, path: str, file: Path, size: int) -> None:
        """Keep the first `size` bytes of `file` under `path`, in place of what is there.

        When this returns they outlive a power failure.

        Raises:
            StoreTrouble: the store is away or refuses.
            OSError: the file cannot be read.
        """
        content: Any = _parts(file, size)
        if size <= PART:
            content = b"".join([part async for part in content])
        with self._told("take a recording"):
            await obstore.put_async(
                self._store,
                path,
                content,
                attributes=None if self._folder else {"Content-Type": _CONTENT_TYPE},
                use_multipart=size > PART,
                chunk_size=PART,
                max_concurrency=_PARTS_AT_ONCE,
            )
            if self._folder is not None:
                await asyncio.to_thread(_settle, self._folder, path)

    async def read(self, path: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` to before `stop`, `PIECE` at a time.

        Raises:
            FileNotFoundError: there is no such file.
            StoreTrouble: the store is away or refuses.
        """
        for begin in range(start, stop, PIECE):
            with self._told("give a recording", missing=FileNotFoundError):
                piece = await obstore.get_range_async(
                    self._store, path, start=begin, end=min(begin + PIECE, stop)
                )
            yield bytes(piece)

    async def size(self, path: str) -> int | None:
        """Return how many bytes the file has, None when there is none.

        Raises:
            StoreTrouble: the store is away or refuses.
        """
        try:
            with self._told("be asked for a recording", missing=FileNotFoundError):
                return (await obstore.head_async(self._store, path))["size"]
        except FileNotFoundError:
            return None

    async def delete(self, path: str) -> None:
        """Delete the file; that there is none is fine.

        Raises:
            StoreTrouble: the store is away or refuses.
        """
        gone = contextlib.suppress(FileNotFoundError)
        with gone, self._told("delete a recording", missing=FileNotFoundError):
            await obstore.delete_async(self._store, path)

    async def probe(self) -> None:
        """Find out whether the store takes, gives and deletes a small file.

        Raises:
            StoreTrouble: it does not.
        """
        path, content = f"probe-{secrets.token_hex(8)}", secrets.token_bytes(16)
        with self._told("take, give and delete a file"):
            await obstore.put_async(self._store, path, content, use_multipart=False)
            found = bytes(await obstore.get_range_async(self._store, path, start=0, end=16))
            await obstore.delete_async(self._store, path)
        if found != content:
            raise StoreTrouble(f"{self.name} ({URL}) gives back something else than it took")

    @contextlib.contextmanager
    def _told(self, task: str, missing: type[Exception] = StoreTrouble) -> Iterator[None]:
        """Turn what the store's client raises into our errors."""
        try:
            yield
        except FileNotFoundError as exc:
            raise missing(f"{self.name} ({URL}) is not there: {_short(exc)}") from exc
        except (BaseError, OSError) as exc:
            raise StoreTrouble(f"{self.name} ({URL}) could not {task}: {_short(exc)}") from exc


def _bucket(settings: RecordingSettings, scheme: str, bucket: str) -> ObjectStore:
    if not bucket:
        raise SettingsError(
            f"{URL}: {settings.url} names no bucket; write {scheme}://bucket/prefix"
        )
    if scheme != "s3":
        return from_url(settings.url, retry_config=_RETRY)
    if bool(settings.access_key_id) != bool(settings.secret_access_key):
        raise SettingsError(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both, or neither "
            "where the machine has a role"
        )
    endpoint = settings.s3_endpoint
    if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
        raise SettingsError(f"OFFHOOK_S3_ENDPOINT: {endpoint} is no URL; write https://host:port")
    given: dict[str, Any] = {
        "endpoint": endpoint,
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
        "session_token": settings.session_token,
        "region": settings.region,
    }
    config: S3Config = {name: value for name, value in given.items() if value}  # type: ignore[assignment]
    config["disable_bulk_delete"] = True  # not every S3-compatible store has it
    client: ClientConfig = {"allow_http": endpoint.startswith("http://")}
    return from_url(settings.url, config=config, client_options=client, retry_config=_RETRY)


async def _parts(file: Path, size: int) -> AsyncIterator[bytes]:
    """Yield the first `size` bytes of a file, read away from the event loop."""
    with await asyncio.to_thread(file.open, "rb") as opened:
        while size > 0:
            part = await asyncio.to_thread(opened.read, min(size, PART))
            if not part:
                return
            size -= len(part)
            yield part


def _settle(folder: Path, path: str) -> None:
    """Put a new file and its name on the disk, and take away what a killed upload left of it."""
    target = folder / path
    handle = os.open(target, os.O_RDONLY)
    try:
        os.fchmod(handle, 0o600)
        os.fsync(handle)
    finally:
        os.close(handle)
    for left in target.parent.glob(f"{target.name}#*"):
        left.unlink(missing_ok=True)
    for parent in target.parents:
        handle = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if parent == folder:
            return


def _short(exc: Exception) -> str:
    """Return the first line of what the client says, which can be a page."""
    return (str(exc).strip() or type(exc).__name__).splitlines()[0][:300]
