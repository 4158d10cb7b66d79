"""Fixtures that several packages' tests share: a real database, a vault, a signer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.migrate import migrate
from control_plane.tokens import TokenSigner


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database with the schema of this release, listening for wake-ups."""
    opened = Database(
        f"sqlite+aiosqlite:///{tmp_path / 'offhook.db'}", wake_folder=tmp_path / "wake"
    )
    try:
        await migrate(opened)
        async with opened.listening():
            yield opened
    finally:
        await opened.close()


@pytest.fixture
def vault() -> Vault:
    """A vault with a fresh key."""
    return Vault([Fernet.generate_key()])


@pytest.fixture
def signer() -> TokenSigner:
    """A signer with a fixed key."""
    return TokenSigner(b"k" * 64)
