"""What an assistant's own URL is sent after a real call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.in_thread import answering
from tests.system.platform import Platform, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

HANGS_UP = "+12025550111"


class Receiver(ThreadingHTTPServer):
    """Takes everything; `got` is what came, and when."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[datetime, dict[str, Any]]] = []


class Handler(BaseHTTPRequestHandler):
    """Keeps the message."""

    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((datetime.now(UTC), json.loads(body)["call"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver."""
    receiver = Receiver()
    with answering(receiver):
        yield receiver


def test_it_gets_the_call_once_with_a_recording_that_opens(platform: Platform) -> None:
    with receiving() as receiver:
        assistant = {
            "prompt": "You are a receptionist.",
            "first_sentence": "Hello, how can I help you?",
            "first_sentence_mode": "static",
            "webhook_url": f"http://127.0.0.1:{receiver.server_port}/ended",
        }
        order = platform.order(HANGS_UP, assistant=assistant)
        wait_for(lambda: receiver.got, bool, 90.0)
        at, call = receiver.got[0]
        attempt = call["last_call_attempt"]
        opened = httpx.get(attempt["recording_url"], trust_env=False)
        assert opened.status_code == httpx.codes.OK, opened.text
        assert opened.content[:4] == b"OggS"
        ended = datetime.fromisoformat(attempt["ended_at"])
        assert (at - ended).total_seconds() < 10
        assert call["from_phone_number"] == attempt["from_phone_number"] != ""
        assert (call["id"], call["status"]) == (order["id"], "completed")
        platform.finished(platform.order("+12025550102")["id"])  # time for a second one
        assert len(receiver.got) == 1
