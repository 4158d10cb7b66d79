"""Starts the parts in order, watches them, restarts what dies, stops them all."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import httpx

from offhook.livekit_server import ROOT
from offhook.parts import Part

Say = Callable[[str], None]

PROBE_S = 0.1
STOP_LIMIT_S = 25.0
RESTARTS, WITHIN_S = 5, 60.0
"""A part that dies more often than this is broken, and Offhook stops."""
FIRST_PAUSE_S = 0.5
"""Before the second restart; it doubles with each."""
LOG_BYTES = 20 * 1024 * 1024
LOG_CHECK_S = 30.0
TAIL_LINES = 12


class PartFailed(Exception):
    """A part did not start or would not stay up; the message holds its last words."""


class Supervisor:
    """Runs the parts as child processes, each with its own log file.

    Args:
        say: receives progress, a line at a time.
    """

    def __init__(
        self, parts: Iterable[Part], environment: Mapping[str, str], logs: Path, say: Say
    ) -> None:
        self._parts = list(parts)
        self._environment = dict(environment)
        self._logs = logs
        self._say = say
        self._log_starts: dict[str, int] = {}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[PartFailed] = asyncio.get_running_loop().create_future()
        self._stopping = False

    async def start(self, ready_url: str) -> None:
        """Start every part; returns when all are healthy and `ready_url` answers 200.

        Raises:
            PartFailed: naming the part, its log and its last lines.
        """
        healthy = {part.name: asyncio.Event() for part in self._parts}
        starting = [asyncio.create_task(self._bring_up(part, healthy)) for part in self._parts]
        try:
            await asyncio.gather(*starting)
        finally:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
        await self._wait_ready(ready_url)
        self._watchers = [
            asyncio.create_task(self._watch(part), name=f"watch {part.name}")
            for part in self._parts
        ]
        self._watchers.append(asyncio.create_task(self._trim_logs(), name="trim logs"))

    async def wait_failed(self) -> PartFailed:
        """Return when a part would not stay up."""
        return await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Stop every part before those that it needs; kills what does not stop in time."""
        self._stopping = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        left = list(self._parts)
        while left:
            needed = {name for part in left for name in part.after}
            last = [part for part in left if part.name not in needed]
            await asyncio.gather(*(self._end(part.name) for part in last))
            left = [part for part in left if part.name in needed]

    def pid(self, name: str) -> int:
        """Return the process id of a running part."""
        return self._running[name].pid

    async def _bring_up(self, part: Part, healthy: Mapping[str, asyncio.Event]) -> None:
        for name in part.after:
            await healthy[name].wait()
        await self._spawn(part)
        await self._wait_healthy(part)
        healthy[part.name].set()

    async def _spawn(self, part: Part) -> None:
        with self._log_file(part).open("ab") as log:
            self._log_starts[part.name] = log.tell()
            self._running[part.name] = await self._start_process(part, log)

    async def _start_process(self, part: Part, log: IO[bytes]) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *part.command,
                cwd=ROOT,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches us alone; we stop the parts in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except OSError as exc:
            raise PartFailed(f"{part.name} could not be started: {exc}") from exc

    async def _wait_healthy(self, part: Part) -> None:
        if part.health_url is None:
            return
        began = time.monotonic()
        async with _client(part.health_url, timeout_s=2.0) as http:
            while time.monotonic() - began < part.start_limit_s:
                self._check_alive(part)
                with suppress(httpx.HTTPError):
                    if (await http.get(part.health_url)).status_code == httpx.codes.OK:
                        self._say(f"  {part.name:<14} up in {time.monotonic() - began:.1f} s")
                        return
                await asyncio.sleep(PROBE_S)
        raise PartFailed(
            f"{part.name} was not healthy after {part.start_limit_s:.0f} s\n{self._last(part)}"
        )

    async def _wait_ready(self, url: str) -> None:
        began = time.monotonic()
        missing = "no answer"
        async with _client(url, timeout_s=5.0) as http:
            while time.monotonic() - began < 60.0:
                for part in self._parts:
                    self._check_alive(part)
                with suppress(httpx.HTTPError):
                    answer = await http.get(url)
                    if answer.status_code == httpx.codes.OK:
                        return
                    missing = answer.text
                await asyncio.sleep(PROBE_S)
        raise PartFailed(f"Offhook was not ready after 60 s: {missing}")

    def _check_alive(self, part: Part) -> None:
        code = self._running[part.name].returncode
        if code is not None:
            raise PartFailed(f"{part.name} stopped {_how(code)}\n{self._last(part)}")

    async def _watch(self, part: Part) -> None:
        deaths: deque[float] = deque(maxlen=RESTARTS)
        while True:
            code = await self._running[part.name].wait()
            now = time.monotonic()
            if len(deaths) == RESTARTS and now - deaths[0] < WITHIN_S:
                self._give_up(
                    PartFailed(
                        f"{part.name} stopped {RESTARTS + 1} times within {WITHIN_S:.0f} s, "
                        f"the last time {_how(code)}\n{self._last(part)}"
                    )
                )
                return
            recent = sum(1 for death in deaths if now - death < WITHIN_S)
            deaths.append(now)
            self._say(f"{part.name} stopped {_how(code)}; starting it again")
            # The first time at once: calls wait. Then slower: what it needs may be coming back.
            await asyncio.sleep(FIRST_PAUSE_S * 2 ** (recent - 1) if recent else 0)
            try:
                await self._spawn(part)
            except PartFailed as exc:
                self._give_up(exc)
                return
            await self._see_healthy(part)

    async def _see_healthy(self, part: Part) -> None:
        """Say when a part is back; one that lives and never gets healthy is stopped."""
        try:
            await self._wait_healthy(part)
        except PartFailed:
            await self._end(part.name)

    def _give_up(self, failure: PartFailed) -> None:
        if not self._failed.done():
            self._failed.set_result(failure)

    async def _end(self, name: str) -> None:
        process = self._running.get(name)
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await process.wait()
        except TimeoutError:
            self._say(f"{name} did not stop within {STOP_LIMIT_S:.0f} s and was killed")
        # Children that outlived it, or itself.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def _trim_logs(self) -> None:
        """Keep each log under a limit: its first part moves to `.1`; writers append on."""
        while True:
            await asyncio.sleep(LOG_CHECK_S)
            for log in self._logs.glob("*.log"):
                if log.stat().st_size > LOG_BYTES:
                    log.with_suffix(".log.1").write_bytes(log.read_bytes())
                    os.truncate(log, 0)

    def _log_file(self, part: Part) -> Path:
        return self._logs / f"{part.name}.log"

    def _last(self, part: Part) -> str:
        path = self._log_file(part)
        lines: list[str] = []
        with suppress(FileNotFoundError), path.open("rb") as log:
            start = self._log_starts.get(part.name, 0)
            log.seek(start if start <= path.stat().st_size else 0)  # trimmed meanwhile
            lines = log.read().decode(errors="replace").splitlines()
        # What a part prints for people tells more than its structured log.
        plain = [line for line in lines if line and not line.startswith("{")]
        tail = "\n".join(f"  | {line[:400]}" for line in (plain or lines)[-TAIL_LINES:])
        return f"  its log is {path}\n{tail}"


def _client(url: str, *, timeout_s: float) -> httpx.AsyncClient:
    """Return a client that asks from another address of the loopback than the one it asks.

    From the same one the system may give it the very port that it asks, before the part has taken
    it: it reaches itself, and the part finds its port in use.
    """
    is_loopback = httpx.URL(url).host == "127.0.0.1"
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2" if is_loopback else None)
    return httpx.AsyncClient(transport=transport, timeout=timeout_s, trust_env=False)


def _how(code: int) -> str:
    """Return an exit status in words; a negative one is a signal."""
    if code >= 0:
        return f"with exit status {code}"
    return f"by signal {signal.Signals(-code).name}"


_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """Have the kernel end a part when the supervisor is killed: nothing keeps its ports."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
