"""What the doctor makes of what it sees."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from control_plane.health.probes import PartHealth, Readiness
from offhook.doctor import answers_options, readiness, recordings
from offhook.installation import Installation
from tests.free_ports import block
from tests.in_thread import answering

pytestmark = pytest.mark.unit

LACKING = Readiness(
    ready=False,
    parts=[
        PartHealth(name="database", ok=True),
        PartHealth(name="worker", ok=False, detail="it answers 503", remedy="start it"),
    ],
)


class _Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(msgspec.json.encode(LACKING))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose API has a missing worker."""
    server = HTTPServer(("127.0.0.1", 0), _Ready)
    given = {"OFFHOOK_DATA": str(tmp_path), "OFFHOOK_API_PORT": str(server.server_port)}
    with answering(server):
        yield Installation(given)


def test_every_part_of_the_readiness_is_a_finding(home: Installation) -> None:
    """In the form that the API really sends: the doctor once read another and broke."""
    database, worker = readiness(home)
    assert (database.check, database.good, database.seen) == ("database", True, "works")
    assert (worker.good, worker.seen, worker.remedy) == (False, "it answers 503", "start it")


def test_the_store_of_recordings_is_tried(home: Installation, tmp_path: Path) -> None:
    good = recordings(home, {})
    assert (good.good, good.seen) == (True, f"{home.data / 'recordings'} takes and gives files")
    assert list((home.data / "recordings").iterdir()) == []
    wrong = recordings(home, {"OFFHOOK_RECORDINGS_URL": "ftp://host"})
    away = recordings(
        home,
        {
            "OFFHOOK_RECORDINGS_URL": "s3://calls",
            "OFFHOOK_S3_ENDPOINT": f"http://127.0.0.1:{block(1)}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        },
    )
    for finding in (wrong, away):
        assert not finding.good
        assert "OFFHOOK_RECORDINGS_URL" in finding.seen
        assert "docs/how-to/recordings.md" in finding.remedy


@pytest.mark.parametrize("tcp", [False, True])
def test_a_trunk_is_asked_by_its_own_transport(tcp: bool) -> None:
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as trunk:
        trunk.bind(("127.0.0.1", 0))
        trunk.settimeout(5)

        def answer() -> None:
            if tcp:
                trunk.listen()
                caller, _ = trunk.accept()
                with caller:
                    caller.recv(4096)
                    caller.sendall(b"SIP/2.0 200 OK\r\n\r\n")
                return
            _, source = trunk.recvfrom(4096)
            trunk.sendto(b"SIP/2.0 200 OK\r\n\r\n", source)

        if tcp:
            trunk.listen()
        thread = threading.Thread(target=answer)
        thread.start()
        address = f"127.0.0.1:{trunk.getsockname()[1]}"
        assert answers_options(address, tcp=tcp) == "200 OK"
        thread.join()


@pytest.mark.parametrize("address", ["[::1]:1", "127.0.0.1:99999", "no.such.host.invalid"])
def test_what_does_not_answer_is_not_an_error(address: str) -> None:
    assert answers_options(address) is None
