"""`python -m agent.aftercall`: the after-call worker."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

# The turn detector's 250 MB model is not used here either; LiveKit reads this at import.
os.environ.setdefault("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")

from agent.aftercall.settings import AfterCallSettings
from agent.aftercall.worker import Worker
from process.addresses import Allowed
from process.logs import configure
from process.settings import SettingsError, load


def main() -> None:
    """Do jobs until told to stop."""
    try:
        settings = load(AfterCallSettings, os.environ)
        allowed = Allowed.parse(settings.allow_private)
    except SettingsError as exc:
        sys.exit(str(exc))
    configure("aftercall", level=settings.log_level, show_pii=settings.log_pii)
    asyncio.run(_run(settings, allowed))


async def _run(settings: AfterCallSettings, allowed: Allowed) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Worker(settings, allowed).run(stop)


if __name__ == "__main__":
    main()
