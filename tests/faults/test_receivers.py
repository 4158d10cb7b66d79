"""Receivers that are down, hang, fail or want no more; schedulers are killed meanwhile (I5)."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from control_plane.db.models.webhook import Delivery, DeliveryTry
from control_plane.domain.delivery import DeliveryState
from scheduler.deliver import MOST_PER_RECEIVER
from tests.faults.asking import BUSY, UNKNOWN, body, place, seeded
from tests.faults.stage import Stage
from tests.in_thread import answering
from tests.system.platform import wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

ORDERS = 6
LIMIT_S = 90.0
ENDINGS = ["call.completed", "call.no_answer", "call.failed"]
GOOD, FLAKY, HANGING, GONE, DOWN = "/good", "/flaky", "/hanging", "/gone", "/down"


class Receiver(ThreadingHTTPServer):
    """An endpoint for each way to be treated; `got` holds what came, by path and then by id."""

    request_queue_size = 128  # or a burst is refused by the kernel, which is none of the ways

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.daemon_threads = True
        self.got: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.released = threading.Event()

    def url(self, path: str) -> str:
        """Return the endpoint's URL."""
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver = self.server
        assert isinstance(receiver, Receiver)
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tries = receiver.got[self.path][self.headers["webhook-id"]]
        tries.append(message)
        if self.path == HANGING:
            receiver.released.wait()
            return
        status = 200
        if self.path == GONE:
            status = 410
        elif self.path == FLAKY and len(tries) == 1:
            status = 500
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver."""
    receiver = Receiver()
    with answering(receiver):
        try:
            yield receiver
        finally:
            receiver.released.set()


@contextmanager
def endpoints(stage: Stage, receiver: Receiver) -> Iterator[dict[str, str]]:
    """Register every way to be treated; yields the endpoints' ids by path."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        urls = {path: receiver.url(path) for path in (GOOD, FLAKY, HANGING, GONE)}
        urls[DOWN] = f"http://127.0.0.1:{closed.getsockname()[1]}{DOWN}"
        ids = {
            path: stage.api.post("/webhook", {"url": url, "event_types": ENDINGS})["id"]
            for path, url in urls.items()
        }
        try:
            yield ids
        finally:
            with stage.client() as http:
                for endpoint_id in ids.values():
                    http.delete(f"/webhook/{endpoint_id}").raise_for_status()


def test_every_end_is_delivered_or_accounted_for(started: Stage) -> None:
    chance = seeded()
    with receiving() as receiver, endpoints(started, receiver) as paths, started.crew(2) as crew:
        callers = started.callers(ORDERS)
        orders = place(started, [body(chance.choice((BUSY, UNKNOWN)), c) for c in callers])
        wait_for(lambda: len(receiver.got[GOOD]), bool, LIMIT_S)
        for member in list(crew.members):
            crew.kill(member)
        crew.start()
        started.finished_all(orders, LIMIT_S)
        look = Deliveries(started, paths)
        wait_for(look.missing, lambda missing: not missing, LIMIT_S)
        look.check(receiver, set(orders))


class Deliveries:
    """What is written of the deliveries to each endpoint."""

    def __init__(self, stage: Stage, paths: dict[str, str]) -> None:
        self._stage = stage
        self._paths = {endpoint_id: path for path, endpoint_id in paths.items()}

    def missing(self) -> list[str]:
        """Return what has yet to happen."""
        deliveries, tries, unrelayed = self._read()
        missing = [f"{unrelayed} events wait in the outbox"] if unrelayed else []
        counts = Counter(path for path in deliveries for _ in deliveries[path])
        for path in self._paths.values():
            if counts[path] < (1 if path == GONE else ORDERS):  # who wants no more gets no more
                missing.append(f"{path} has {counts[path]} deliveries")
            missing += [
                f"{path}: {each.state} after {tries[each.id]} tries"
                for each in deliveries[path]
                if not _as_expected(path, each, tries[each.id])
            ]
        return missing

    def check(self, receiver: Receiver, orders: set[str]) -> None:
        """Judge ids, order and completeness at the receivers."""
        deliveries, _tries, _unrelayed = self._read()
        for path in (GOOD, FLAKY):
            came = receiver.got[path]
            assert set(came) == {each.message_id for each in deliveries[path]}
            assert {tries[0]["data"]["call_id"] for tries in came.values()} == orders
            assert len(came) == ORDERS, "an end has two ids"
            for tries in came.values():
                assert all(each == tries[0] for each in tries), "a try sent other bytes"
        assert all(len(tries) >= 2 for tries in receiver.got[FLAKY].values())
        assert all(each.next_at is not None for each in deliveries[DOWN] + deliveries[HANGING])
        assert sum(map(len, receiver.got[GONE].values())) <= MOST_PER_RECEIVER
        [gone] = [key for key, path in self._paths.items() if path == GONE]
        assert self._stage.api.get(f"/webhook/{gone}")["disabled_at"] is not None

    def _read(self) -> tuple[dict[str, list[Delivery]], Counter[str], int]:
        rows, attempts, unrelayed = self._stage.books.deliveries()
        found: dict[str, list[Delivery]] = defaultdict(list)
        for each in rows:
            if each.endpoint_id in self._paths:
                found[self._paths[each.endpoint_id]].append(each)
        return found, Counter(_delivery_of(each) for each in attempts), unrelayed


def _delivery_of(each: DeliveryTry) -> str:
    return each.delivery_id


def _as_expected(path: str, delivery: Delivery, tries: int) -> bool:
    """Return whether a delivery is where its endpoint lets it get within a test's time."""
    if path in (GOOD, FLAKY):
        return delivery.state is DeliveryState.DELIVERED
    if path == GONE:  # what was refused is over, and so is what waited behind it
        return delivery.state in (DeliveryState.EXHAUSTED, DeliveryState.CANCELLED)
    return delivery.state is DeliveryState.PENDING and tries >= (2 if path == DOWN else 1)
