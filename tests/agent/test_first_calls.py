"""Calls are threads of one process: what ends it ends them all."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

FIRST = {
    "the brief": """b'{"session_id": "x", "assistant": {"name": "a", "prompt": "b"}}'
from control_plane.domain.brief import decode_brief as read""",
    "the dispatch": """'{"attempt_id": 1}'
from control_plane.domain.brief import decode_metadata as read""",
    "a tool's arguments": """{}
from agent.tools.table import TOOLS
read = lambda given: [msgspec.convert(given, tool.arguments) for tool in TOOLS]""",
}
SIDE_BY_SIDE = """
import sys, threading
import msgspec
given = {}

sys.setswitchinterval(1e-6)
together = threading.Barrier(6)

def begin():
    together.wait()
    try:
        read(given)
    except msgspec.ValidationError:
        pass

threads = [threading.Thread(target=begin) for _ in range(6)]
for each in threads: each.start()
for each in threads: each.join()
"""


@pytest.mark.parametrize("what", FIRST)
def test_the_first_of_them_do_not_end_the_process(what: str) -> None:
    script = SIDE_BY_SIDE.replace("{}", FIRST[what], 1)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_nobody_walks_the_frames_of_running_threads() -> None:
    """CPython 3.11 ends with SIGSEGV now and then where somebody does."""
    script = (
        "import agent.__main__\n"
        "from livekit.agents.telemetry.loop_monitor import LoopMonitorThresholds\n"
        "assert LoopMonitorThresholds.from_env() is None"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
