"""Real processes while what they stand on fails and repeats what it was told: nobody is shown.

One Offhook for all: the far end refuses with the number in its words, the model's provider and the
receiver of webhooks answer 500 with what they were sent, and the database is locked meanwhile, then
its disk full.
Every log, span and problem document is searched for the people in the orders, however written.
"""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import httpx
import pytest

from sip.carrier.dialog import response
from sip.message import Request, parse
from tests.faults.test_database_trouble import no_space
from tests.in_thread import answering
from tests.system import otlp
from tests.system.platform import Platform, running, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

LIMIT_S = 90.0
WRITERS = ("control-plane", "scheduler")
ROOM_FOR_LOGS = 256 * 1024
NOT_WRITTEN = "OperationalError"
NAME, CARD = "Wilhelmina Quarkmann", "4111 1111 1111 1111"
CALLEE, CALLER, FRIEND = "+12025550177", "+12025550188", "+12025550166"
MARKS = ("Wilhelmina", "Quarkmann", "2025550177", "2025550188", "2025550166", "4111111111111111")
SAID = f"Nobody called {NAME} at {CALLEE}, 1 202-555-0177 or %2B12025550177: {CARD}"
_APART = re.compile(r"(?<=\d)[ .()-]{1,2}(?=\d)")


def shown(text: str) -> list[str]:
    """Return the marks in `text`: plain, URL-encoded, or with blanks between their digits."""
    forms = [text, unquote_plus(text)]
    forms += [_APART.sub("", each) for each in forms]
    return [mark for mark in MARKS if any(mark.lower() in each.lower() for each in forms)]


def test_every_form_of_a_mark_is_seen() -> None:
    told = f'"a": "202-555-0177", "b": "to=Wilhelmina+Quarkmann", "c": "{CARD}", "d": "WILHELMINA"'
    assert shown(told) == ["Wilhelmina", "Quarkmann", "2025550177", "4111111111111111"]
    assert shown("%2B1%20202%20555%200188 %51uarkmann") == ["Quarkmann", "2025550188"]
    assert shown("what nobody is named in, at 2025-11-30T10:00:00") == []


class Parrot(ThreadingHTTPServer):
    """Answers 500 with what it was sent; `got` counts the requests by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Repeats)
        self.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.got: list[tuple[str, str]] = []
        self.changed = threading.Condition()

    def wait(self, path: str, count: int) -> list[str]:
        """Return the first `count` bodies that came to `path`."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self._bodies(path)) >= count, LIMIT_S)
            return self._bodies(path)[:count]

    def _bodies(self, path: str) -> list[str]:
        return [body for to, body in self.got if to == path]


class _Repeats(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        parrot = self.server
        assert isinstance(parrot, Parrot)
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with parrot.changed:
            parrot.got.append((self.path, text))
            parrot.changed.notify_all()
        said = {"error": {"message": f"{SAID} {text}", "type": SAID, "code": SAID}}
        body = json.dumps(said).encode()
        self.send_response(500, SAID)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Said", SAID)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def repeating() -> Iterator[Parrot]:
    """Run a server that repeats what it is told."""
    parrot = Parrot()
    with answering(parrot):
        yield parrot


@contextmanager
def refusing() -> Iterator[int]:
    """Run a far end that refuses every call, and says whom it was to reach; yields its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far_end:
        far_end.bind(("127.0.0.1", 0))
        port: int = far_end.getsockname()[1]
        calls: dict[str, int] = {}  # the final answer to each, by its Call-ID

        def serve() -> None:
            while datagram := far_end.recvfrom(65_535):
                if not datagram[0]:
                    return
                message = parse(datagram[0], datagram[1])
                if isinstance(message, Request) and message.method != "ACK":
                    status = 200
                    if message.method == "INVITE":  # the second one stops the destination
                        status = calls.setdefault(message.call_id, 403 if calls else 404)
                    answer = response(message, status, SAID, tag="far")
                    far_end.sendto(answer.encode(), datagram[1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            far_end.sendto(b"", ("127.0.0.1", port))
            thread.join(10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("private")


def test_no_fault_shows_a_person(folder: Path) -> None:
    with otlp.receiving() as traces, repeating() as parrot, refusing() as port:
        private = {
            "OFFHOOK_LOG_PII": "false",
            "OFFHOOK_LOG_LEVEL": "DEBUG",
            "OFFHOOK_ALLOW_PRIVATE": "127.0.0.0/8",
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
        }
        with running(folder, private, without=("carrier", "aftercall")) as platform:
            desk = Desk(platform, parrot, port)
            refused, asked = desk.order({}), desk.order(desk.generated)
            for order_id in (refused, asked):
                platform.finished(order_id, LIMIT_S)
            told = parrot.wait("/v1/chat/completions", 1) + parrot.wait("/hook", 2)
            assert all({"Quarkmann", "4111111111111111"} <= set(shown(each)) for each in told)
            desk.order({})
            documents = desk.ask_while_locked()
            wait_for(desk.trunk, lambda trunk: "Quarkmann" in str(trunk), LIMIT_S)
            documents += desk.ask_while_full()
            attempts = platform.call(refused)["call_attempts"]
            logs = platform.home.logs
        spans = traces.wait(lambda got: "llm_request" in {s.name for s in got}, LIMIT_S)
    assert "Quarkmann" in str(attempts), "the far end was not heard"
    assert [shown(each) for each in documents] == [[]] * len(documents)
    assert [(each.service, each.name) for each in spans if shown(each.everything)] == []
    written = {path.name: path.read_text() for path in logs.glob("*.log*")}
    assert {"agent.log", "control-plane.log", "gateway.log", "scheduler.log"} <= set(written)
    found = [
        (name, shown(line), line[:2_000])
        for name, text in written.items()
        for line in text.splitlines()
        if shown(line)
    ]
    assert found == []


class Desk:
    """Orders calls to people who must not be shown."""

    def __init__(self, platform: Platform, parrot: Parrot, port: int) -> None:
        self._platform = platform
        trunk = {"name": "parrot", "address": f"127.0.0.1:{port}", "numbers": [CALLER]}
        made = platform.api.post("/trunk", {**trunk, "is_default": False})
        self._trunk: str = made["id"]
        number = {"phone_number": CALLER, "trunk_id": self._trunk, "is_default": False}
        platform.api.post("/number", number)
        self._assistant = {
            "name": NAME,
            "prompt": f"Talk with {{{{name}}}} about {{{{card}}}}. A friend of {NAME} is {FRIEND}.",
            "first_sentence_mode": "none",
            "webhook_url": f"{parrot.url}/hook",
        }
        model = {"type": "custom", "api_url": f"{parrot.url}/v1", "model_name": "m", "api_key": "k"}
        self.generated = {"llm_model": model, "first_sentence_mode": "generated"}

    def body(self, assistant: dict[str, Any]) -> dict[str, Any]:
        people = {"name": NAME, "card": CARD, "friend": FRIEND}
        return {
            "phone_number": CALLEE,
            "from_phone_number": CALLER,
            "force_now": True,
            "call_retry_config": {"max_retry_attempts": 1},
            "prompt_variables": people,
            "metadata": people,
            "assistant": {**self._assistant, **assistant},
        }

    def order(self, assistant: dict[str, Any]) -> str:
        """Place an order now; returns its id."""
        placed: str = self._platform.api.post("/call", self.body(assistant))["call"]["id"]
        return placed

    def trunk(self) -> Any:
        """Return the trunk to the far end, with why it was stopped."""
        return self._platform.api.get(f"/trunk/{self._trunk}")

    def requests(self) -> list[tuple[str, Any]]:
        """Return changes that name people, by the path that they are sent to."""
        return [
            ("/call", self.body({})),
            ("/call/batch", {"calls": [self.body({})]}),
            ("/assistant", self._assistant),
            ("/do-not-call", {"phone_number": CALLEE, "reason": SAID}),
        ]

    def ask_while_locked(self) -> list[str]:
        """Return what is answered to changes while another process holds the database's lock."""
        data = self._platform.home.data / "offhook.db"
        with (
            closing(sqlite3.connect(data, isolation_level=None)) as holder,
            self._client() as http,
            ThreadPoolExecutor() as threads,
        ):
            holder.execute("BEGIN IMMEDIATE")
            answers = list(
                threads.map(lambda each: http.post(each[0], json=each[1]), self.requests())
            )
        assert {each.status_code for each in answers} == {503}
        return [f"{each.text} {each.headers}" for each in answers]

    def ask_while_full(self) -> list[str]:
        """Return what is answered to changes once the database may not grow, nor be written to.

        A call is due meanwhile; that the scheduler could not write either stands in its log.
        """
        platform = self._platform
        logs = [platform.home.logs / f"{part}.log" for part in WRITERS]
        above = max(log.stat().st_size for log in logs) + ROOM_FOR_LOGS
        told = {log: log.read_text().count(NOT_WRITTEN) for log in logs}
        with ExitStack() as full, self._client() as http:
            for part in WRITERS:
                full.enter_context(no_space(platform.supervisor.pid(part), above=above))
            refusals = [refusal(http, *each) for each in self.requests()]
            for log in logs:
                wait_for(log.read_text, lambda t, n=told[log]: t.count(NOT_WRITTEN) > n, LIMIT_S)
        self.order({})
        return refusals

    def _client(self) -> httpx.Client:
        home = self._platform.home
        key = {"Authorization": f"Bearer {home.credentials()['api_key']}"}
        return httpx.Client(base_url=home.api_url, headers=key, timeout=60.0, trust_env=False)


def refusal(http: httpx.Client, path: str, body: Any) -> str:
    """Return what is answered once the disk is full; a change or another may fit in yet."""
    for _ in range(500):
        answer = http.post(path, json=body)
        if not answer.is_success:
            assert answer.status_code == 503, answer.text
            return f"{answer.text} {answer.headers}"
    raise AssertionError(f"{path} went on writing")
