"""One Offhook for all system tests of a run: starting it takes longer than most calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from speech.offline.voice import Speaker
from tests.providers.servers import ProviderServers, in_background
from tests.system.platform import Platform, running


@pytest.fixture(scope="session")
def providers() -> Iterator[ProviderServers]:
    """Return the provider servers, where every provider's key of `platform` leads."""
    with in_background() as started:
        yield started


@pytest.fixture(scope="session")
def platform(
    tmp_path_factory: pytest.TempPathFactory, providers: ProviderServers
) -> Iterator[Platform]:
    """Return a running Offhook."""
    # Google's client takes its trust from the environment, and speaks TLS only.
    environment = {"SSL_CERT_FILE": str(providers.ca_file), "OFFHOOK_ALLOW_PRIVATE": "127.0.0.0/8"}
    with running(tmp_path_factory.mktemp("offhook"), environment) as started:
        started.use(providers.access())
        yield started


@pytest.fixture(scope="session")
def speaker() -> Speaker:
    """Return the embedded voice, for the far end's lines and for the independent ear."""
    return Speaker.load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for a phone's files."""
    return tmp_path
