"""`python -m agent start`: the agent worker."""

from __future__ import annotations

import process.importing  # noqa: F401

# isort: split

import asyncio
import os
import sys

# The turn detector's 250 MB model is not used (agent/session.py); LiveKit reads this at import.
os.environ.setdefault("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")
# Its watch over event loops walks the frames of threads that run, which CPython 3.11 does not
# survive each time: on a busy machine the worker ended with SIGSEGV in `PyFrame_GetBack`, and
# every call with it.
os.environ["LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS"] = "0"

from agent import stand_in
from agent.server import load_engines, serve
from agent.settings import AgentSettings
from agent.telemetry import begin
from process.logs import configure
from process.settings import SettingsError, load
from process.traces import TraceSettings
from process.wear import share_memory


def main() -> None:
    """Run the worker until it is told to stop."""
    if sys.argv[1:] != ["start"]:
        sys.exit("usage: python -m agent start")
    share_memory()
    role = stand_in.Role.of(os.environ)
    role.assume()
    try:
        settings = load(AgentSettings, os.environ)
        tracing = begin(load(TraceSettings, os.environ))
        configure("agent", level=settings.log_level, show_pii=settings.log_pii)
        engines = load_engines(settings)
    except SettingsError as exc:
        sys.exit(str(exc))
    try:
        successor = asyncio.run(serve(settings, engines, role))
    finally:
        if tracing is not None:
            tracing.shutdown()
    if successor is not None:
        stand_in.begin_anew(successor, os.environ)


if __name__ == "__main__":
    main()
