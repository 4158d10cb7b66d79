"""`offhook up` as a newcomer types it: the first call, what is printed, what a second one says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.platform import settings, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

OF_A_CALL = {"room", "call", "job_id", "dispatch_id", "session_id", "sip_call_id"}
"""Keys that only lines about one call have."""
STARVED = ("native audio stream queue overflow", "event loop blocked for")
"""What the SDK warns of, with reason, when other tests leave a call too little of the machine."""
LEFT = "websocket: close sent"
"""What livekit-server warns of when it had a word for somebody who was just leaving."""
ROOT = Path(__file__).resolve().parents[2]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "offhook", *words]


def offhook(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), cwd=ROOT, env=env, capture_output=True, text=True, timeout=200, check=False
    )


@contextmanager
def staying_up(env: dict[str, str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `offhook up` until its line that it is up, and stop it afterwards."""
    with output.open("wb") as out:
        process = subprocess.Popen(command("up"), cwd=ROOT, env=env, stdout=out, stderr=out)
        try:
            wait_for(output.read_text, lambda text: "Offhook is up." in text, 150.0)
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def stalled(line: dict[str, Any]) -> bool:
    """Whether the SDK warns that a loop stood still which had no processor meanwhile."""
    waited = line.get("duration", 0.0) - line.get("cpu_time", 0.0)
    return STARVED[1] in line["msg"] and waited > line["duration"] / 2


def check_logs(folder: Path, *, attempt: str) -> None:
    """Find out whether a first call that went well left only good lines, each with its id."""
    told: set[tuple[str, str]] = set()
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)  # more wants to run than there are cores
    for path in folder.glob("*.log"):
        for text in path.read_text().splitlines():
            line = json.loads(text)  # nothing but structured lines: no traceback, no print
            starved = (busy and any(words in text for words in STARVED)) or stalled(line)
            is_theirs = path.stem == "livekit"
            excused = starved or (is_theirs and line.get("error") == LEFT)
            assert line["level"] in ("debug", "info") or excused, text
            if is_theirs:  # it names the room
                continue
            if attempt in text or line.keys() & OF_A_CALL:
                assert line.get("attempt_id") == attempt, text
                told.add((path.stem, line["msg"]))
    assert told >= {("agent", "a call begins"), ("gateway", "call ends")}, told


def test_once_is_answered_understood_and_recorded(tmp_path: Path) -> None:
    env = settings(tmp_path / "data")
    done = offhook(env, "up", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agent   Hello, this is the Bright Smile dental clinic." in done.stdout
    assert "callee  What are your opening hours?" in done.stdout
    assert "answered, understood both ways, recorded" in done.stdout
    recordings = list((tmp_path / "data" / "recordings").rglob("*.ogg"))
    assert len(recordings) == 1
    assert str(recordings[0]) in done.stdout

    check_logs(tmp_path / "data" / "log", attempt=recordings[0].stem)

    credentials = tmp_path / "data" / "credentials.toml"
    assert credentials.stat().st_mode & 0o777 == 0o600
    key = tomllib.loads(credentials.read_text())["api_key"]

    # A later start reuses everything, skips the call and does not print the key again.
    with staying_up(env, tmp_path / "later.txt"):
        text = (tmp_path / "later.txt").read_text()
        assert "The first phone call" not in text
        assert key not in text
        assert key[:8] in text
        page = f"http://127.0.0.1:{env['OFFHOOK_API_PORT']}/try"
        assert page in text
        assert httpx.get(page, trust_env=False).text.startswith("<!doctype html>")
        second = offhook(env, "up")
        assert second.returncode == 0
        assert "up already" in second.stdout
        refused = offhook(env, "reset", "--yes")
        assert refused.returncode == 1
        assert "offhook down" in refused.stderr
    assert list((tmp_path / "data" / "recordings").rglob("*.ogg")) == recordings
    gone = json.loads((tmp_path / "data" / "run" / "up.json").read_text() or "{}")
    assert gone == {}


def test_a_busy_port_is_named_with_the_remedy(tmp_path: Path) -> None:
    env = settings(tmp_path / "data")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", int(env["OFFHOOK_SIP_PORT"])))
        done = offhook(env, "up")
    assert done.returncode == 1
    assert f"port {env['OFFHOOK_SIP_PORT']}/udp" in done.stderr
    assert "OFFHOOK_SIP_PORT=OTHER" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr


def test_livekit_path_says_which_and_why(tmp_path: Path) -> None:
    done = offhook(settings(tmp_path), "livekit", "path")
    assert done.returncode == 0
    assert "because" in done.stdout
