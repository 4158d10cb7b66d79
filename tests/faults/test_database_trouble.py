"""A database that is locked by somebody else, and one whose disk is full (I2, I9, I10)."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from tests.faults.asking import BUSY, SILENCE, body, place
from tests.faults.judging import violations
from tests.faults.stage import Stage
from tests.faults.test_killed_api import API, parked
from tests.served import Served, served
from tests.system.platform import wait_for

LOCK_S = float(os.environ.get("OFFHOOK_TEST_LOCK_S", "12"))
ANSWER_LIMIT_S = 12.0
"""Ten seconds of waiting for the lock, and a busy machine."""
LIMIT_S = 90.0
LARGE = 9_000
MOST_PAGES = 1_073_741_823
LIVE = 3
TALK_S = LOCK_S + 20.0

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180 + 3 * LOCK_S)]


def test_a_locked_database_refuses_orders_and_cuts_no_call(started: Stage) -> None:
    callers = started.callers(2 * LIVE)
    with started.crew(1):
        live = place(started, [body(SILENCE, each, stay=TALK_S) for each in callers[:LIVE]])
        wait_for(lambda: answered(started, live), lambda n: n == LIVE, LIMIT_S)
        waiting = place(started, [body(BUSY, each) for each in callers[LIVE:]])
        run = uuid.uuid4().hex
        answers = ask_while_locked(started, run)
        started.finished_all([*live, *waiting], LIMIT_S + TALK_S)
        started.quiet(LIMIT_S)
    check_answers(answers)
    acknowledged = {a.json()["call"]["id"] for a, _took in answers if a.is_success}
    assert {order_id for order_id, _name in started.books.names(run)} == acknowledged
    assert violations(started, [*live, *waiting]) == []
    for [attempt] in started.books.ledger(live).attempts.values():
        assert (attempt.end_reason, attempt.result) == ("tool_end_call", "human")


def answered(stage: Stage, ids: list[str]) -> int:
    """Return how many of the orders' calls are live."""
    attempts = stage.books.ledger(ids).attempts.values()
    return sum(any(a.answered_at and not a.closed_at for a in each) for each in attempts)


def ask_while_locked(stage: Stage, run: str) -> list[tuple[httpx.Response, float]]:
    """Return the answers to orders that were placed one by one while the lock was held."""
    released = threading.Event()

    def ask(_: int) -> list[tuple[httpx.Response, float]]:
        answers = []
        with stage.client(limit_s=60.0) as http:
            while not released.is_set():
                began = time.monotonic()
                answer = http.post("/call", json=parked(run, uuid.uuid4().hex))
                answers.append((answer, time.monotonic() - began))
        return answers

    with ThreadPoolExecutor(2) as threads:
        with stage.locked():
            working = [threads.submit(ask, n) for n in range(2)]
            released.wait(LOCK_S)
        released.set()
        return [answer for each in working for answer in each.result()]


def check_answers(answers: list[tuple[httpx.Response, float]]) -> None:
    refused = [answer for answer, _took in answers if not answer.is_success]
    assert refused, "the lock was not felt"
    assert {answer.status_code for answer in refused} == {503}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert max(took for _answer, took in answers) < ANSWER_LIMIT_S


def test_a_full_disk_refuses_orders_until_there_is_space(started: Stage) -> None:
    run = uuid.uuid4().hex
    with started.client() as http:
        kept = http.post("/call", json=parked(run, "before")).raise_for_status()
        with no_space(started.supervisor.pid(API)):
            refused = [http.post("/call", json=parked(run, f"{n}")) for n in range(5)]
            seen = http.get(f"/call/{kept.json()['call']['id']}")
        again = http.post("/call", json=parked(run, "after"))
    assert {answer.status_code for answer in refused} == {503}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert seen.is_success
    assert again.is_success, again.text
    assert sorted(name for _id, name in started.books.names(run)) == ["after", "before"]
    assert integrity(started) == "ok"


async def test_a_database_that_may_not_grow_refuses_orders_whole(tmp_path: Path) -> None:
    """SQLite's own limit, `PRAGMA max_page_count`, which it answers as it does a full disk."""
    pages = 0  # no limit

    def limit(connection: Any, *_: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count={pages or MOST_PAGES}")
        cursor.close()

    async with served(tmp_path) as api:
        engine = api.resources.database.engine.sync_engine
        event.listen(engine, "checkout", limit)
        for _ in range(2):
            assert (await place_large(api)).is_success
        pages = 1  # SQLite takes it for as many as there are
        full = await place_until_refused(api)
        stored = (await api.client.get("/call", params={"limit": 200})).json()["calls"]
        pages = 0
        again = await place_large(api)
    assert (full.status_code, full.headers["Retry-After"]) == (503, "2")
    assert again.is_success
    assert all(len(call["metadata"]["large"]) == LARGE for call in stored)


async def place_large(api: Served) -> httpx.Response:
    body = {**parked("", ""), "metadata": {"large": "x" * LARGE}}
    return await api.client.post("/call", json=body)


async def place_until_refused(api: Served) -> httpx.Response:
    """Place orders until the pages at hand are used up; returns the refusal."""
    for _ in range(100):
        answer = await place_large(api)
        if not answer.is_success:
            return answer
    raise AssertionError("the database went on growing")


@contextlib.contextmanager
def no_space(pid: int, *, above: int = 0) -> Iterator[None]:
    """Let a process write to no file beyond so many bytes, its log included."""
    before: tuple[int, int] = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (above, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def integrity(stage: Stage) -> Any:
    """Return what SQLite says of the whole file."""
    with contextlib.closing(sqlite3.connect(stage.home.data / "offhook.db")) as database:
        return database.execute("PRAGMA integrity_check").fetchone()[0]
