"""The embedded engines, as a worker loads them once for all of its calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.session import Engines, load_vad
from process.addresses import Allowed
from speech.prewarm import load_offline


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    """Return what every call of a worker uses."""
    loaded = load_offline()
    yield Engines(offline=loaded, vad=load_vad(), allowed=Allowed.parse("127.0.0.0/8"))
    loaded.close()
