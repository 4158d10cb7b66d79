"""A telephone whose call passes through the wire tap: what it did, and what was on the wire."""

from __future__ import annotations

import selectors
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.relay import PORTS
from bench.rows import ROOT
from bench.wire import Capture, read
from tests.free_ports import block
from tests.system.far_end import FarEnd, phone

_UP_S = 10.0
_starting = threading.Lock()  # a port that was found free is bound before the next is looked for
Script = list[dict[str, Any]]
Watch = Callable[[dict[str, Any]], None]


class Tapped:
    """A running telephone behind a running tap; the agent's side dials `port`."""

    def __init__(self, far_end: FarEnd, relay: subprocess.Popen[str], port: int, log: Path) -> None:
        self.far_end = far_end
        self.port = port
        self.processes = [psutil.Process(far_end.pid), psutil.Process(relay.pid)]
        """The telephone and the tap, for their CPU time."""
        self._relay = relay
        self._log = log

    def over(self, limit_s: float) -> Capture:
        """Wait for the script's end; returns what was on the wire.

        Raises:
            AssertionError: it did not end within `limit_s`, or never began.
        """
        self.far_end.wait("over", limit_s)
        self.close()
        return read(self._log)

    def said(self) -> list[dict[str, Any]]:
        """Return the phone's `said` events, each with `until`: when it did the next thing."""
        told = [e for e in self.far_end.events if e["event"] in ("said", "hung up", "over")]
        starts = [e.get("began", e["t"]) for e in told]
        pairs = zip(told, starts[1:], strict=False)
        return [told | {"until": until} for told, until in pairs if told["event"] == "said"]

    def close(self) -> None:
        """End the tap, which writes what it has."""
        if self._relay.poll() is None:
            self._relay.terminate()
        self._relay.wait(10)


@contextmanager
def tapped(folder: Path, script: Script, watch: Watch | None = None) -> Iterator[Tapped]:
    """Run a telephone that follows `script` and then hangs up, behind a tap.

    Args:
        watch: is told every event of the phone as it happens, in a thread of its own.
    """
    with ExitStack() as stack:
        with _starting:
            steps = [*script, {"hangup": True}]
            far_end = stack.enter_context(phone(folder, steps))
            far_end.watch = watch
            call = stack.enter_context(_behind_tap(far_end, folder))
        yield call


@contextmanager
def _behind_tap(far_end: FarEnd, folder: Path) -> Iterator[Tapped]:
    port = block(PORTS)
    log = folder / f"packets-{port}.bin"
    command = [sys.executable, "-S", str(ROOT / "bench" / "relay.py"), "--port", str(port)]
    command += ["--phone", str(far_end.port), "--log", str(log)]
    relay = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert relay.stdin is not None
    assert relay.stdout is not None
    call = Tapped(far_end, relay, port, log)
    with relay.stdin, relay.stdout:
        try:
            _wait_up(relay)
            yield call
        finally:
            call.close()


def _wait_up(relay: subprocess.Popen[str]) -> None:
    assert relay.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(relay.stdout, selectors.EVENT_READ)
        if not selector.select(_UP_S) or relay.stdout.readline() != "up\n":
            raise RuntimeError(f"the wire tap was not up within {_UP_S} s")
