"""The API killed while it takes orders, and the same order sent fifty times (I2, I10)."""

from __future__ import annotations

import os
import random
import signal
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.faults.asking import SILENCE, seeded
from tests.faults.stage import Stage
from tests.system.platform import wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

KILLS = 3
CLIENTS = 4
DUPLICATES = 50
RESTART_LIMIT_S = 60.0
API = "control-plane"
FAR_OFF = "2099-06-01T12:00:00Z"


def parked(run: str, name: str) -> dict[str, Any]:
    """Return an order that nobody dials during the test."""
    metadata = {"run": run, "name": name}
    return {"phone_number": SILENCE, "scheduled_at": FAR_OFF, "metadata": metadata}


class Clients:
    """Clients that place orders, each under a key, and send it again until it is acknowledged."""

    def __init__(self, stage: Stage, run: str) -> None:
        self._stage = stage
        self._run = run
        self._enough = threading.Event()
        self._lock = threading.Lock()
        self.acknowledged: dict[str, list[str]] = {}
        self.sent_again = 0

    def work(self) -> None:
        """Place orders until told that it is enough."""
        with self._stage.client() as http:
            while not self._enough.is_set():
                self._place(http, uuid.uuid4().hex)

    def stop(self) -> None:
        """Let every client finish the order it is at."""
        self._enough.set()

    def _place(self, http: httpx.Client, key: str) -> None:
        tries = 0
        while True:
            tries += 1
            try:
                answer = http.post(
                    "/call", json=parked(self._run, key), headers={"Idempotency-Key": key}
                )
            except httpx.TransportError:
                self._enough.wait(0.05)
                continue
            if answer.is_success:
                break
            assert answer.status_code in (409, 503), answer.text
        with self._lock:
            self.acknowledged.setdefault(key, []).append(answer.json()["call"]["id"])
            self.sent_again += tries > 1


def test_a_killed_api_keeps_what_it_acknowledged(started: Stage) -> None:
    chance, run = seeded(), uuid.uuid4().hex
    clients = Clients(started, run)
    with ThreadPoolExecutor(CLIENTS) as threads:
        working = [threads.submit(clients.work) for _ in range(CLIENTS)]
        try:
            for _ in range(KILLS):
                kill_while_it_works(started, clients, chance)
            enough = len(clients.acknowledged) + 20
            wait_for(lambda: len(clients.acknowledged), lambda n: n >= enough, RESTART_LIMIT_S)
        finally:
            clients.stop()
        for each in working:
            each.result()
    stored = started.books.names(run)
    assert sorted(stored) == sorted((ids[0], key) for key, ids in clients.acknowledged.items())
    assert clients.sent_again > 0, "no kill met a request"


def kill_while_it_works(stage: Stage, clients: Clients, chance: random.Random) -> None:
    """Kill the API after a random number of further orders; returns while it starts again."""
    wanted = len(clients.acknowledged) + chance.randrange(5, 60)
    wait_for(lambda: len(clients.acknowledged), lambda n: n >= wanted, RESTART_LIMIT_S)
    old = stage.supervisor.pid(API)
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: stage.supervisor.pid(API), lambda pid: pid != old, RESTART_LIMIT_S)


def test_fifty_at_once_under_one_key_are_one_order(started: Stage) -> None:
    run, key = uuid.uuid4().hex, uuid.uuid4().hex
    together = threading.Barrier(DUPLICATES)

    def send(_: int) -> httpx.Response:
        with started.client() as http:
            together.wait()
            return http.post("/call", json=parked(run, key), headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(DUPLICATES) as threads:
        answers = list(threads.map(send, range(DUPLICATES)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    ids = {answer.json()["call"]["id"] for answer in answers if answer.is_success}
    [(order_id, _)] = started.books.names(run)
    assert ids == {order_id}
    assert send_again(started, run, key) == order_id


def send_again(stage: Stage, run: str, key: str) -> str:
    """Return the id that a late repetition is told."""
    with stage.client() as http:
        answer = http.post("/call", json=parked(run, key), headers={"Idempotency-Key": key})
    assert answer.headers["Idempotent-Replayed"] == "true"
    return str(answer.json()["call"]["id"])
