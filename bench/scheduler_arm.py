"""`python -m bench.scheduler_arm`: the real scheduler, with everything outside it in memory.

Its agents are ready at once and every callee is busy. Each dial is noted as one JSON line:
seconds since 1970, number.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

import uvloop
from cryptography.fernet import Fernet

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.keys.tokens import TokenSigner
from control_plane.orders.views import CallViews
from control_plane.recordings.links import RecordingLinks
from control_plane.recordings.spool import RecordingFiles
from control_plane.webhooks.post import LIMITS
from process import logs
from process.addresses import Allowed
from process.safe_http import Outbound
from scheduler.service import World, run
from scheduler.settings import SchedulerSettings
from sip.ports import DialFailure, DialFailureKind, DialRequest
from tests.scheduler.fakes import FakeRooms, FakeSip, ready_agent


class NotedDials(FakeSip):
    """A SIP service where everybody is busy."""

    def __init__(self, out: TextIO):
        super().__init__([])
        self.answer = DialFailure(kind=DialFailureKind.BAD_REQUEST, sip_status=486)
        self._out = out

    async def dial(self, request: DialRequest) -> DialFailure:  # type: ignore[override]
        """Note the dial."""
        self._out.write(json.dumps({"at": time.time(), "number": request.to_number}) + "\n")
        self._out.flush()
        return DialFailure(kind=DialFailureKind.BAD_REQUEST, sip_status=486)


async def main(url: str, folder: Path) -> None:
    """Run until SIGTERM."""
    logs.configure("bench", level="ERROR", show_pii=False)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    database = Database(url, wake_folder=folder / "wake")
    rooms = FakeRooms([])
    rooms.agent = ready_agent(database, [])
    with (folder / "dials.jsonl").open("w") as out:
        sip = NotedDials(out)
        async with database.listening():
            world = World(
                database=database,
                vault=Vault([Fernet.generate_key()]),
                signer=TokenSigner(b"k" * 64),
                recordings=RecordingFiles(folder),
                rooms=rooms,
                dialer=sip,
                trunks=sip,
                views=CallViews(RecordingLinks(b"k" * 32, "http://bench")),
                outbound=Outbound(Allowed.parse(""), LIMITS),
            )
            print("ready", flush=True)
            await run(world, SchedulerSettings(), stopped)
    await database.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2])))
