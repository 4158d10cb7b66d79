"""A whole Offhook on free ports, for tests: the supervisor of `offhook up`, in a thread."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from control_plane.domain.brief import ProviderAccess
from control_plane.domain.providers import Provider
from offhook import ports
from offhook.api_client import ApiClient, connect
from offhook.installation import Installation
from offhook.livekit_server import obtain
from offhook.parts import parts
from offhook.supervisor import Supervisor
from tests.free_ports import area

EMBEDDED = {"type": "embedded"}
START_LIMIT_S = 180.0
POLL_S = 0.1


class Platform:
    """A running Offhook: its API, its data folder, its processes."""

    def __init__(self, home: Installation, supervisor: Supervisor) -> None:
        self.home = home
        self.supervisor = supervisor
        self.api: ApiClient = connect(home)

    def use(self, access: Mapping[Provider, ProviderAccess]) -> None:
        """Reach these providers from now on, with these keys.

        The assistants that are there keep the scripted dialogue, which tests know by heart.
        """
        for provider, given in access.items():
            body = {"api_key": given.api_key, "api_url": given.api_url}
            self.api.put(f"/provider/{provider.value}", body)
        for each in self.api.get("/assistant")["assistants"]:
            self.api.patch(f"/assistant/{each['id']}", {"llm_model": EMBEDDED})

    def order(self, number: str, **fields: Any) -> dict[str, Any]:
        """Place an order now; returns the call object."""
        once = {"call_retry_config": {"max_retry_attempts": 1}}
        if "assistant" in fields:
            fields["assistant"] = {"llm_model": EMBEDDED, **fields["assistant"]}
        body = {"phone_number": number, "force_now": True, **once, **fields}
        call: dict[str, Any] = self.api.post("/call", body)["call"]
        return call

    def call(self, order_id: str) -> dict[str, Any]:
        """Return the call object as it is."""
        call: dict[str, Any] = self.api.get(f"/call/{order_id}")["call"]
        return call

    def wait_call(
        self, order_id: str, done: Callable[[dict[str, Any]], bool], limit_s: float
    ) -> dict[str, Any]:
        """Return the call object once `done` says so.

        Raises:
            AssertionError: it did not within `limit_s`; with the last object.
        """
        return wait_for(lambda: self.call(order_id), done, limit_s)

    def finished(self, order_id: str, limit_s: float = 90.0) -> dict[str, Any]:
        """Return the call object in its final state."""
        final = ("completed", "cancelled", "errored")
        return self.wait_call(order_id, lambda call: call["status"] in final, limit_s)

    def witness(self, **facts: Any) -> list[dict[str, Any]]:
        """Return the simulator's log lines that have these facts."""
        path = self.home.carrier_log
        whole, _, _ = path.read_text().rpartition("\n") if path.exists() else ("", "", "")
        rows = [json.loads(line) for line in whole.splitlines()]  # less what is being written
        return [row for row in rows if facts.items() <= row.items()]


def wait_for(look: Callable[[], Any], done: Callable[[Any], bool], limit_s: float) -> Any:
    """Return what `look` sees once `done` accepts it; what another process does has no event here.

    Raises:
        AssertionError: nothing acceptable was seen within `limit_s`.
    """
    deadline = time.monotonic() + limit_s
    while True:
        seen = look()
        if done(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s} s; last seen: {seen}")
        time.sleep(POLL_S)


def settings(data: Path) -> dict[str, str]:
    """Return an environment with free ports and `data` as data folder."""
    chosen = next(found for found in iter(_ports, {}) if found is not None)
    chosen |= {"OFFHOOK_DATA": str(data), "OFFHOOK_LOG_PII": "true", "OFFHOOK_RINGING_TIMEOUT": "8"}
    return {**os.environ, **chosen}


def _ports() -> dict[str, str] | None:
    """Return a block of ports that nobody has, or null when this one is not free.

    Below the ephemeral ports, so that nothing else is given one of them meanwhile.
    """
    base = area()
    chosen = {}
    for index, (low, high, *_) in enumerate(ports.RANGES):
        chosen |= {low: base + index * 400, high: base + index * 400 + 399}
    # Every second one: a SIP stack may take the port above its own for TLS.
    chosen |= {port.setting: base + 800 + 2 * n for n, port in enumerate(ports.PORTS)}
    try:
        ports.check_free(chosen, {})
    except ports.PortRefused:
        return None
    return {name: str(number) for name, number in chosen.items()}


@contextmanager
def running(
    data: Path, environment: Mapping[str, str] | None = None, *, without: Collection[str] = ()
) -> Iterator[Platform]:
    """Run Offhook with its data in `data`; everything is stopped afterwards.

    Args:
        environment: settings beside the ports.
        without: the parts that are not started.
    """
    home = Installation({**settings(data), **(environment or {})})
    home.prepare()
    livekit = obtain(os.environ, print)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="supervisor", daemon=True)
    thread.start()
    supervisor = asyncio.run_coroutine_threadsafe(_build(home, livekit, without), loop).result(5)

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(START_LIMIT_S)

    try:
        run(supervisor.start(f"{home.api_url}/health/ready"))
        platform = Platform(home, supervisor)
        yield platform
        platform.api.close()
    finally:
        run(supervisor.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _build(home: Installation, livekit: Any, without: Collection[str]) -> Supervisor:
    chosen = [part for part in parts(home, livekit) if part.name not in without]
    return Supervisor(chosen, home.environment(), home.logs, print)
