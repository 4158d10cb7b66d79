"""Which calls a worker takes, and what it leaves alone, with a real livekit-server.

The control plane is a script: it says nothing until it is told what to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from livekit import api
from livekit.protocol.agent import JobStatus, WorkerMessage

from agent.server import build_server
from agent.session import Engines
from agent.settings import AgentSettings
from control_plane.domain.brief import AGENT_NAME, DispatchMetadata
from tests.contract.sip.conftest import KEY, SECRET, end, start_livekit

pytestmark = pytest.mark.system

LIMIT_S = 20.0
METADATA = msgspec.json.encode(DispatchMetadata(token="t", attempt_id="a", epoch=1)).decode()


class Worker:
    """A worker, and what it said to livekit-server."""

    def __init__(self, client: api.LiveKitAPI) -> None:
        self.client = client
        self._changed = asyncio.Event()
        self._says = asyncio.Event()
        self._answer = b""
        self.taken = 0
        self.told: list[WorkerMessage] = []

    def take(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count a conversation; called in its thread."""
        loop.call_soon_threadsafe(self._count)

    def _count(self) -> None:
        self.taken += 1
        self._changed.set()

    def tell(self, message: WorkerMessage) -> None:
        """Note what goes to livekit-server."""
        self.told.append(message)
        self._changed.set()

    def refuse(self, code: str) -> None:
        """Have the control plane say no to every conversation, from now on."""
        body = msgspec.json.encode({"code": code})
        head = f"HTTP/1.1 409 -\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self._answer = head.encode() + body
        self._says.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        await reader.readuntil(b"\r\n\r\n")
        await self._says.wait()
        writer.write(self._answer)
        await writer.drain()
        writer.close()

    async def offer(self, *rooms: str) -> None:
        """Ask for an agent in each of these rooms, at once."""
        asked = [
            api.CreateAgentDispatchRequest(room=each, agent_name=AGENT_NAME, metadata=METADATA)
            for each in rooms
        ]
        await asyncio.gather(*map(self.client.agent_dispatch.create_dispatch, asked))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not within {LIMIT_S} s; {self.taken} calls were taken") from None

    def answers(self) -> list[bool]:
        """Return whether each job that was offered was taken."""
        return [each.availability.available for each in self.told if each.HasField("availability")]

    def statuses(self) -> list[int]:
        """Return what was told of jobs."""
        return [each.update_job.status for each in self.told if each.HasField("update_job")]

    def loads(self) -> list[float]:
        """Return the loads that were told."""
        return [each.update_worker.load for each in self.told if each.HasField("update_worker")]


@asynccontextmanager
async def working(folder: Path, most: int) -> AsyncIterator[Worker]:
    """Run livekit-server and one worker, which ends every conversation at the end."""
    livekit, url = await asyncio.to_thread(start_livekit, folder)
    client = api.LiveKitAPI(url, KEY, SECRET)
    worker = Worker(client)
    control_plane = await asyncio.start_server(worker.serve, "127.0.0.1", 0)
    port = control_plane.sockets[0].getsockname()[1]
    settings = msgspec.convert(
        {
            "LIVEKIT_URL": url,
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            "OFFHOOK_INTERNAL_URL": f"http://127.0.0.1:{port}",
            "OFFHOOK_WORKER_MAX_SESSIONS": most,
            "OFFHOOK_DATA": str(folder),
        },
        AgentSettings,
    )
    loop = asyncio.get_running_loop()
    server = build_server(settings, cast(Engines, None), lambda: worker.take(loop))
    registered = asyncio.Event()
    server.on("worker_registered", lambda *_: registered.set())
    send = server._queue_msg

    async def noting(message: WorkerMessage) -> None:
        worker.tell(message)
        await send(message)

    server._queue_msg = noting  # type: ignore[method-assign]
    running: asyncio.Task[Any] = asyncio.create_task(server.run(devmode=False, unregistered=False))
    try:
        async with asyncio.timeout(LIMIT_S):
            await registered.wait()
        yield worker
        worker.refuse("stale_epoch")
        await worker.until(lambda: not server.active_jobs)
    finally:
        await server.aclose()
        await running
        await client.aclose()
        control_plane.close()
        await asyncio.to_thread(end, livekit)


async def test_calls_that_come_at_once_to_an_idle_worker_are_all_taken(tmp_path: Path) -> None:
    async with working(tmp_path, most=6) as worker:
        await worker.offer(*(f"call-{number}" for number in range(6)))
        await worker.until(lambda: worker.taken == 6)


async def test_a_worker_takes_as_many_as_it_is_told_and_leaves_the_next_to_others(
    tmp_path: Path,
) -> None:
    """livekit-server gives a worker nothing at a load of 0.7: it must be told less until then."""
    async with working(tmp_path, most=6) as worker:
        for number in range(5):
            await worker.offer(f"call-{number}")
            await worker.until(lambda: worker.taken == number + 1)  # noqa: B023
        await worker.until(lambda: max(worker.loads(), default=0) > 0.7 * 4.5 / 6)
        await worker.offer("call-5", "call-6")
        await worker.until(lambda: len(worker.answers()) == 7)
        assert sorted(worker.answers()) == [False] + [True] * 6
        assert not any(each.availability.terminate for each in worker.told)  # others are asked
        await worker.until(lambda: worker.taken == 6)


@pytest.mark.parametrize(("code", "stays"), [("token_used", True), ("stale_epoch", False)])
async def test_the_room_of_another_agents_call_is_left_as_it_is(
    tmp_path: Path, code: str, stays: bool
) -> None:
    """Who waits for long is sent a second agent; both may come."""
    async with working(tmp_path, most=2) as worker:
        worker.refuse(code)
        await worker.offer("call-0")
        await worker.until(lambda: worker.taken == 1)
        await worker.until(lambda: JobStatus.JS_SUCCESS in worker.statuses())
        found = await worker.client.room.list_rooms(api.ListRoomsRequest())
        assert bool(found.rooms) is stays
