"""The first caller after a start does not wait for the openai library to build its types."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

# What the library loads the first time it is used shows whether it was used.
_PROGRAM = """
import asyncio, sys
from speech.warm_clients import warm_clients
before = set(sys.modules)
asyncio.run(warm_clients())
print(*sorted(set(sys.modules) - before))
"""


def test_chat_and_transcription_have_been_used_and_nobody_was_asked() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = done.stdout.split()
    assert "openai.resources.chat.completions.completions" in loaded
    assert "openai.resources.audio.transcriptions" in loaded
