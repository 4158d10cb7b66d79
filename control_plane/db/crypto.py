"""Keys on disk, generated at first need and readable by the owner only."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from control_plane.domain.masks import SealedUrl, shown_url
from control_plane.domain.placeholders import names

_URLS_REMEMBERED = 4_096


def load_or_create(path: Path, fresh: bytes) -> bytes:
    """Return the content of `path`, which is created with `fresh` (0600) when it is absent.

    Two processes that start together end up with the same content: the link is atomic.
    """
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_private(draft, fresh)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_bytes()


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, and put it on the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


class Vault:
    """Encrypts secrets at rest with the first key of a file; reads with any of its keys."""

    def __init__(self, keys: list[bytes]):
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        # Addresses are few and come with every order and message; equal ones are sealed once.
        self._sealed_url = functools.lru_cache(_URLS_REMEMBERED)(self.seal)
        self._opened_url = functools.lru_cache(_URLS_REMEMBERED)(self.unseal)

    @classmethod
    def open(cls, path: Path) -> Vault:
        """Return a vault on the keys in `path`, one per line, newest first."""
        content = load_or_create(path, Fernet.generate_key() + b"\n")
        return cls([line for line in content.splitlines() if line.strip()])

    def seal(self, clear: str) -> str:
        """Return the ciphertext."""
        return self._fernet.encrypt(clear.encode()).decode()

    def unseal(self, ciphertext: str) -> str:
        """Return the clear text.

        Raises:
            KeyLost: no key of the file opens it.
        """
        try:
            return self._fernet.decrypt(ciphertext.encode()).decode()
        except InvalidToken as exc:
            raise KeyLost from exc

    def seal_url(self, url: str) -> SealedUrl:
        """Return an address in the form that rows hold.

        The same one gets the same ciphertext for as long as it is remembered.
        """
        wanted = tuple(dict.fromkeys(names(url)))
        return SealedUrl(shown_url(url), self._sealed_url(url), wanted)

    def open_url(self, sealed: SealedUrl) -> str:
        """Return the whole address.

        Raises:
            KeyLost: no key of the file opens it.
        """
        return self._opened_url(sealed.ciphertext)

    def show_url(self, sealed: SealedUrl) -> str:
        """Return the whole address, for administrators; masked where no key opens it any more."""
        try:
            return self.open_url(sealed)
        except KeyLost:
            return sealed.shown


class KeyLost(Exception):
    """A stored secret was encrypted with a key that secret.key no longer holds; restore the key."""
