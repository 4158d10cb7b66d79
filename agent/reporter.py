"""Reports what happens in a session: numbered, buffered, retried; the call's lease as well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from agent.internal_api import Refused, SessionApi, Unreachable
from control_plane.domain.events import AgentAlive, CallEvent, EventBatch
from process.logs import get_logger

log = get_logger(__name__)

BATCH = 100
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 2.0


class Reporter:
    """Sends a session's events in order, each once, and proves at least every few seconds
    that the agent lives.

    `lost` is set when the control plane refuses the session's epoch: somebody else has closed
    its books, and the call must end.
    """

    def __init__(
        self,
        api: SessionApi,
        session_id: str,
        epoch: int,
        *,
        heartbeat_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._session_id = session_id
        self._epoch = epoch
        self._heartbeat_s = heartbeat_s
        self._clock = clock
        self._seq = 0
        self._pending: list[CallEvent] = []
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.lost = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="reporter")

    def report(
        self, kind: Callable[..., CallEvent], *, at: float | None = None, **facts: Any
    ) -> None:
        """Queue an event of `kind` with `facts`, which happened now or `at`; returns at once."""
        self._seq += 1
        self._pending.append(kind(seq=self._seq, at=self._clock() if at is None else at, **facts))
        self._empty.clear()
        self._wake.set()

    async def aclose(self, limit_s: float) -> None:
        """Wait up to `limit_s` until everything is stored, then stop."""
        try:
            async with asyncio.timeout(limit_s):
                await self._empty.wait()
        except TimeoutError:
            log.warning("events were not stored in time", count=len(self._pending))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        delay_s = RETRY_FIRST_S
        while True:
            await self._next()
            try:
                await self._send()
                delay_s = RETRY_FIRST_S
            except Unreachable as exc:
                log.warning("the control plane is out of reach", why=exc)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MOST_S)
            except Refused as exc:
                log.error("the control plane refused the session's events", why=exc)
                self._pending.clear()
                self._empty.set()
                self.lost.set()
                return

    async def _next(self) -> None:
        """Return when there is something to send; a heartbeat makes something."""
        if self._pending:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(self._heartbeat_s):
                await self._wake.wait()
        except TimeoutError:
            self.report(AgentAlive)

    async def _send(self) -> None:
        batch = self._pending[:BATCH]
        receipt = await self._api.post_events(
            self._session_id, EventBatch(epoch=self._epoch, events=batch)
        )
        self._pending = [event for event in self._pending if event.seq > receipt.through]
        if not self._pending:
            self._empty.set()
