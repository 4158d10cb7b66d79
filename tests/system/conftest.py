"""One Offhook for all system tests of a run: starting it takes longer than most calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from speech.offline.voice import Speaker
from tests.system.platform import Platform, running


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Return a running Offhook."""
    with running(tmp_path_factory.mktemp("offhook")) as started:
        yield started


@pytest.fixture(scope="session")
def speaker() -> Speaker:
    """Return the embedded voice, for the far end's lines and for the independent ear."""
    return Speaker.load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for a phone's files."""
    return tmp_path
