"""What calls leave behind in the processes that carry them: nothing, however they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from msgspec import Struct

from tests.system.platform import Platform, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

BUSY, NO_ANSWER = "+12025550102", "+12025550104"
DROPS, HANGS_UP, SILENCE = (f"+120255501{last}" for last in (10, 11, 12))
PARTS = ("agent", "gateway")
ROUNDS, AT_ONCE = 5, 3
MARGIN = 4
"""An idle worker keeps a thread more or less for the next call, with two files or three."""
QUIET_LIMIT_S = 60.0
# What is idle now may be awake for a moment; another call of the suite may be going on beside.
CPU_WINDOW_S, CPU_MARGIN = 2.0, 0.03


class Held(Struct, frozen=True):
    """What a process holds."""

    threads: int
    native: int
    files: int


def held(process: psutil.Process) -> Held:
    """Look at a process; threads of the resolver and of tokio come and go by themselves."""
    names = []
    for task in process.threads():
        try:
            with open(f"/proc/{process.pid}/task/{task.id}/comm") as file:
                names.append(file.read().strip())
        except OSError:
            continue
    passing = ("AsyncResolver", "tokio-rt-worker")
    return Held(
        threads=sum(name not in passing for name in names),
        native=sum(name.startswith("AudioSource") for name in names),
        files=process.num_fds(),
    )


def refused(platform: Platform) -> None:
    platform.finished(platform.order(BUSY)["id"])


def dropped(platform: Platform) -> None:
    platform.finished(platform.order(DROPS)["id"])


def hung_up(platform: Platform) -> None:
    platform.finished(platform.order(HANGS_UP)["id"])


def cancelled_ringing(platform: Platform) -> None:
    cancelled(platform, NO_ANSWER, "started_at")


def cancelled_talking(platform: Platform) -> None:
    cancelled(platform, SILENCE, "answered_at")


def ended_by_the_agent(platform: Platform) -> None:
    limits = {"name": "Brief", "prompt": "Be brief.", "max_call_duration_secs": 10}
    platform.finished(platform.order(SILENCE, assistant=limits)["id"])


def cancelled(platform: Platform, number: str, once: str) -> None:
    order = platform.order(number)
    platform.wait_call(
        order["id"], lambda call: bool((call["last_call_attempt"] or {}).get(once)), 30.0
    )
    platform.api.post(f"/call/{order['id']}/cancel")
    platform.finished(order["id"])


KINDS: tuple[Callable[[Platform], None], ...] = (
    refused,
    dropped,
    hung_up,
    cancelled_ringing,
    cancelled_talking,
    ended_by_the_agent,
)


def test_thirty_calls_of_six_kinds_leave_nothing_behind(platform: Platform) -> None:
    processes = {name: psutil.Process(platform.supervisor.pid(name)) for name in PARTS}
    hold(platform, KINDS)  # what is made once is made
    before = {name: settled(process) for name, process in processes.items()}
    busy_before = {name: busy(process) for name, process in processes.items()}
    hold(platform, KINDS * ROUNDS)
    for name, process in processes.items():
        wait_for(lambda p=process: held(p), lambda now, n=name: fits(now, before[n]), QUIET_LIMIT_S)
        most = busy_before[name] + CPU_MARGIN
        wait_for(lambda p=process: busy(p), lambda now, m=most: now <= m, QUIET_LIMIT_S)


def hold(platform: Platform, kinds: Sequence[Callable[[Platform], None]]) -> None:
    """Hold these calls, some at a time; nobody listens to them."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in threads.map(lambda kind: kind(platform), kinds):
            pass


def fits(now: Held, before: Held) -> bool:
    """Whether a process is back to what it was; calls of one kind alone would leave five."""
    return (
        now.threads <= before.threads + MARGIN
        and now.native <= before.native + MARGIN
        and now.files <= before.files + 2 * MARGIN
    )


def settled(process: psutil.Process) -> Held:
    """Return what a process holds once two looks, a second apart, agree."""
    last: list[Any] = [None, 0.0]

    def steady(now: Held) -> bool:
        if now != last[0]:
            last[:] = now, time.monotonic()
        return time.monotonic() - last[1] > 1.0

    found: Held = wait_for(lambda: held(process), steady, QUIET_LIMIT_S)
    return found


def busy(process: psutil.Process) -> float:
    """Return the share of a core that an idle process uses."""
    return process.cpu_percent(CPU_WINDOW_S) / 100
