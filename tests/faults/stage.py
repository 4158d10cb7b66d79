"""An Offhook with a light agent, whose schedulers a test starts, kills, freezes and counts."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from msgspec import structs

from control_plane.settings import StorageSettings
from offhook.installation import Installation
from offhook.livekit_server import ROOT, obtain
from offhook.parts import Part, parts
from offhook.supervisor import Supervisor
from process.settings import load
from tests.faults.books import FINAL, Books
from tests.system.platform import START_LIMIT_S, Platform, settings, wait_for

MOST_AT_ONCE = 10
"""Calls at once: two cores also run the far end and the tests themselves."""
STOP_LIMIT_S = 20.0
ALIVE_LIMIT_S = 60.0


class Stage(Platform):
    """A running Offhook without a scheduler, and the means to run some."""

    def __init__(self, home: Installation, supervisor: Supervisor) -> None:
        super().__init__(home, supervisor)
        self.environment = home.environment()
        self.books = Books(load(StorageSettings, self.environment).url)
        self._callers = 0
        self._idle: list[str] = []
        self._set_up()

    def _set_up(self) -> None:
        [trunk] = [t for t in self.api.get("/trunk")["trunks"] if t["direction"] == "outbound"]
        self.trunk_id: str = trunk["id"]
        self.patch(f"/trunk/{self.trunk_id}", {"max_concurrent_calls": MOST_AT_ONCE})
        spec = {"name": "Light", "prompt": "Say nothing.", "recording_enabled": False}
        created = self.api.post("/assistant", {**spec, "is_default": True})
        self.assistant_id: str = created["assistant"]["id"]

    def patch(self, path: str, body: dict[str, Any]) -> None:
        """Change a resource."""
        with self.client() as http:
            http.patch(path, json=body).raise_for_status()

    def client(self, limit_s: float = 30.0) -> httpx.Client:
        """Return a plain client of the public API, which shows statuses and headers."""
        key = self.home.credentials()["api_key"]
        return httpx.Client(
            base_url=self.home.api_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=limit_s,
            trust_env=False,
        )

    def callers(self, count: int) -> list[str]:
        """Return numbers to call from that no other order calls from: they tell INVITEs apart."""
        wanted = [f"+1202556{self._callers + n:04d}" for n in range(count)]
        self._callers += count
        for number in wanted:
            self.api.post("/number", {"phone_number": number})
        return wanted

    def finished_all(self, ids: list[str], limit_s: float) -> None:
        """Wait until every order is in its final state."""
        wait_for(
            lambda: self.is_over(ids) or self.books.statuses(ids), lambda s: s is True, limit_s
        )

    def is_over(self, ids: list[str]) -> bool:
        """Return whether every order is in its final state."""
        seen = self.books.statuses(ids)
        return sum(seen[status] for status in FINAL) == len(ids)

    def quiet(self, limit_s: float) -> None:
        """Wait until no attempt is open and no room of one is left."""
        wait_for(self.books.unfinished, lambda left: not left, limit_s)

    @contextmanager
    def locked(self, patience_s: float = 10.0) -> Iterator[None]:
        """Hold SQLite's one write lock, from outside.

        Raises:
            sqlite3.OperationalError: somebody else held it for `patience_s`.
        """
        path = self.home.data / "offhook.db"
        holder = sqlite3.connect(path, timeout=patience_s, isolation_level=None)
        try:
            holder.execute("BEGIN IMMEDIATE")
            yield
        finally:
            holder.close()

    @contextmanager
    def crew(self, count: int, **settings_of_all: str) -> Iterator[Crew]:
        """Run `count` schedulers; whatever became of them, none is left afterwards."""
        crew = Crew(self, settings_of_all)
        try:
            for _ in range(count):
                crew.start()
            yield crew
        finally:
            crew.stop()


class Crew:
    """The schedulers of a test."""

    def __init__(self, stage: Stage, settings_of_all: Mapping[str, str]) -> None:
        self._stage = stage
        self._settings = dict(settings_of_all)
        self.members: list[subprocess.Popen[bytes]] = []
        self._logs: dict[int, Path] = {}

    def start(self, **settings_of_one: str) -> subprocess.Popen[bytes]:
        """Start another one."""
        number = len(list(self._stage.home.logs.glob("scheduler-*.log")))
        path = self._stage.home.logs / f"scheduler-{number}.log"
        with path.open("ab") as log:
            member = subprocess.Popen(
                [sys.executable, "-m", "scheduler"],
                cwd=ROOT,
                env={**self._stage.environment, **self._settings, **settings_of_one},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.members.append(member)
        self._logs[member.pid] = path
        return member

    def log_of(self, member: subprocess.Popen[bytes]) -> str:
        """Return what a member has written so far."""
        return self._logs[member.pid].read_text()

    def wait_alive(self, member: subprocess.Popen[bytes]) -> None:
        """Return once a member has written its sign of life."""
        wait_for(self._stage.books.schedulers, lambda pids: member.pid in pids, ALIVE_LIMIT_S)

    def kill(self, member: subprocess.Popen[bytes]) -> None:
        """Kill a member with no word of warning."""
        member.kill()
        member.wait()
        self.members.remove(member)

    def stop(self) -> None:
        """End every member, frozen ones too."""
        for member in self.members:
            member.send_signal(signal.SIGCONT)
            member.terminate()
        for member in self.members:
            try:
                member.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                member.kill()
                member.wait()
        self.members.clear()


@contextmanager
def stage(data: Path, **more: str) -> Iterator[Stage]:
    """Run Offhook without its scheduler, with its data in `data`; all is stopped afterwards."""
    chosen = {**settings(data), "OFFHOOK_ALLOW_PRIVATE": "127.0.0.0/8", **more}
    chosen["PYTHONFAULTHANDLER"] = "1"  # a part that dies by itself says where
    home = Installation(chosen)
    home.prepare()
    livekit = obtain(chosen, print)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="supervisor", daemon=True)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(START_LIMIT_S)

    supervisor = run(_build(home, [_lighter(p) for p in parts(home, livekit)]))
    try:
        run(supervisor.start(f"{home.api_url}/health/live"))
        opened = Stage(home, supervisor)
        try:
            yield opened
        finally:
            opened.api.close()
            opened.books.close()
    finally:
        run(supervisor.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _build(home: Installation, members: list[Part | None]) -> Supervisor:
    chosen = [part for part in members if part is not None]
    return Supervisor(chosen, home.environment(), home.logs, print)


def _lighter(part: Part) -> Part | None:
    if part.name == "scheduler":
        return None
    if part.name == "agent":
        command = (sys.executable, "-m", "tests.faults.light_agent")
        return structs.replace(part, command=command)
    return part
