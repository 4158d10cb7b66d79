"""B16: durable `POST /call` and `POST /call/batch`, beside FastAPI with SQLAlchemy.

Both arms on SQLite (WAL, synchronous FULL), each a process of its own, loaded in turns by a third
process whose CPU is told apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from msgspec import Struct

from bench.rows import ROOT
from tests.free_ports import block

ROUNDS = 3
SECONDS = 8.0
CONNECTIONS = 16
BATCH = 10_000
START_LIMIT_S = 60.0

Rows = list[dict[str, Any]]


class Arm(Struct, frozen=True):
    """A running server: where it listens, its key, its process."""

    port: int
    key: str
    pid: int


async def run() -> Rows:
    """Return the rows; takes about a minute and a half."""
    return await asyncio.to_thread(measure)


def measure() -> Rows:
    """Load both arms in turns."""
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, _offhook(Path(folder) / "ours") as arm:
        with _peer(Path(folder) / "peer") as peer:
            for number in range(ROUNDS):
                ours.append(_load(arm))
                if peer is not None:
                    theirs.append(_load(peer))
                print(f"  round {number + 1}: {ours[-1]}", flush=True)
        batch = max(_batch(arm) for _ in range(ROUNDS))
        idle = psutil.Process(arm.pid).memory_info().rss / 1e6
    rate = statistics.median(each["rate"] for each in ours)
    p99 = statistics.median(each["p99"] for each in ours)
    peer_rate = statistics.median(each["rate"] for each in theirs) if theirs else None
    count = int(sum(each["requests"] for each in ours))
    beside = {
        "peer": "FastAPI + SQLAlchemy, same tables",
        "peer_value": round(peer_rate, 1),
        "ratio": rate / peer_rate,
    } if peer_rate else {}  # fmt: skip
    cpu = statistics.median(each["client_cpu"] for each in ours)
    return [
        _row("B16", "durable POST /call per second", rate, "/s", count, goal="≥ 800/s",
             met=rate >= 800),
        _row("B16", "durable POST /call per second, beside a peer", rate, "/s", count,
             goal="≥ 1.3×", met=peer_rate is None or rate / peer_rate >= 1.3, **beside),
        _row("B16", "POST /call, p99", p99, "ms", count, goal="≤ 50 ms", met=p99 <= 50),
        _row("B16", "rows of POST /call/batch per second", batch, "/s", BATCH * ROUNDS,
             goal="≥ 8,000/s", met=batch >= 8_000),
        _row("B16", "the load generator's own CPU, of one core", cpu, "cores", ROUNDS),
        _row("B16", "memory of the API process afterwards", idle, "MB", 1),
    ]  # fmt: skip


def _row(key: str, measure: str, value: float, unit: str, n: int, **more: Any) -> dict[str, Any]:
    return {"id": key, "measure": measure, "value": round(value, 2), "unit": unit, "n": n, **more}


def _load(arm: Arm) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", str(arm.port), arm.key]
    command += ["--connections", str(CONNECTIONS), "--seconds", str(SECONDS)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS * 5, check=True
    )
    told = json.loads(done.stdout)
    if told["refused"]:
        raise RuntimeError(f"{told['refused']} orders were refused")
    return {
        "rate": told["requests"] / told["seconds"],
        "p99": told["p99"],
        "requests": told["requests"],
        "client_cpu": told["cpu"] / told["seconds"],
    }


def _batch(arm: Arm) -> float:
    calls = [
        {"phone_number": f"+1202555{n % 10_000:04d}", "metadata": {"n": str(n)}}
        for n in range(BATCH)
    ]
    request = urllib.request.Request(
        f"http://127.0.0.1:{arm.port}/call/batch",
        json.dumps({"calls": calls}).encode(),
        {"Authorization": f"Bearer {arm.key}", "Content-Type": "application/json"},
    )
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    if told["placed"] != BATCH:
        raise RuntimeError(f"{told['refused']} rows were refused: {told['errors'][:1]}")
    return BATCH / (time.monotonic() - began)


@contextlib.contextmanager
def _offhook(folder: Path) -> Iterator[Arm]:
    with _process(["-m", "control_plane"], folder, _environment(folder)) as arm:
        yield arm


@contextlib.contextmanager
def _peer(folder: Path) -> Iterator[Arm | None]:
    try:
        import fastapi  # noqa: F401 - a peer, not a part
    except ModuleNotFoundError:
        print("  FastAPI is not installed: no peer (pip install -r requirements/bench.txt)")
        yield None
        return
    environment = _environment(folder)
    with _process(["-m", "control_plane"], folder, environment):
        pass  # makes the tables, the key, the assistant
    url = f"sqlite+aiosqlite:///{folder / 'offhook.db'}"
    with _process(
        ["-m", "bench.peers.fastapi_orders"],
        folder,
        {**environment, "OFFHOOK_DATABASE_URL": url},
        path="/docs",
    ) as arm:
        yield arm


def _environment(folder: Path) -> dict[str, str]:
    port = block(2)
    return {
        **os.environ,
        "OFFHOOK_DATA": str(folder),
        "OFFHOOK_API_PORT": str(port),
        "OFFHOOK_INTERNAL_PORT": str(port + 1),
        "OFFHOOK_EMBEDDED": "true",
        "OFFHOOK_REQUESTS_PER_MINUTE": "10000000",
        "LIVEKIT_URL": "ws://127.0.0.1:1",
        "LIVEKIT_API_KEY": "bench",
        "LIVEKIT_API_SECRET": "b" * 32,
    }


@contextlib.contextmanager
def _process(
    arguments: list[str], folder: Path, environment: dict[str, str], path: str = "/health/live"
) -> Iterator[Arm]:
    folder.mkdir(parents=True, exist_ok=True)
    port = int(environment["OFFHOOK_API_PORT"])
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            _wait(f"http://127.0.0.1:{port}{path}", process)
            keys = tomllib.loads((folder / "credentials.toml").read_text())
            yield Arm(port, keys["api_key"], process.pid)
        finally:
            process.terminate()
            process.wait(15)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_LIMIT_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{process.args!r} did not start") from None
            time.sleep(0.1)
