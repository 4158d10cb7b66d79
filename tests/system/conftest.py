"""One Offhook for all system tests of a run: starting it takes longer than most calls.

It has every option on: its recordings go into a bucket, its traces to a receiver, its providers
are servers on loopback. `offhook up` is tested without any.

Machine time: a call takes a third of a core. What is heard allows two more calls beside it on two
cores, and nothing that keeps a core busy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from speech.offline.voice import Speaker
from tests.providers.servers import ProviderServers, in_background
from tests.recordings.s3_server import BUCKET, s3_server
from tests.system.otlp import Receiver, receiving
from tests.system.platform import Platform, running


@pytest.fixture(scope="session")
def providers() -> Iterator[ProviderServers]:
    """Return the provider servers, where every provider's key of `platform` leads."""
    with in_background() as started:
        yield started


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Return the URL of an S3 service, whose bucket `platform` keeps its recordings in."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def traces() -> Iterator[Receiver]:
    """Return the receiver of the traces of `platform`."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def platform(
    tmp_path_factory: pytest.TempPathFactory, providers: ProviderServers, s3: str, traces: Receiver
) -> Iterator[Platform]:
    """Return a running Offhook."""
    environment = {
        # Google's client takes its trust from the environment, and speaks TLS only.
        "SSL_CERT_FILE": str(providers.ca_file),
        "OFFHOOK_ALLOW_PRIVATE": "127.0.0.0/8",
        "OFFHOOK_RECORDINGS_URL": f"s3://{BUCKET}/calls",
        "OFFHOOK_S3_ENDPOINT": s3,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
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
