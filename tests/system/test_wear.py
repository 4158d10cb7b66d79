"""What calls leave behind in the processes that carry them: nothing, however they end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from msgspec import Struct, structs

from tests.system.platform import Platform, wait_for

pytestmark = [pytest.mark.system]

CALLS = int(os.environ.get("OFFHOOK_TEST_CALLS", "0"))
"""Short calls at length; none in the suite."""
WARM_UP = 0.2
"""How much of them comes first: what is made once is made, and memory has found its shape."""
MB_PER_CALL, MB_MARGIN = 0.01, 10.0
LONG_CPU_MARGIN = 0.01
LONG_LIMIT_S = 4 * 3600

BUSY, NO_ANSWER = "+12025550102", "+12025550104"
DROPS, HANGS_UP, SILENCE = (f"+120255501{last}" for last in (10, 11, 12))
PARTS = ("agent", "gateway")
ROUNDS, AT_ONCE = 5, 3
MARGIN = 4
LEAST_LEAK_MB = 12.0
"""Of memory after 30 calls; the connection that the SDK may keep of each takes half a megabyte."""
"""An idle worker keeps a thread more or less for the next call, with two files or three."""
QUIET_LIMIT_S, REST_S = 60.0, 6.0
# What is idle now may be awake for a moment; another call of the suite may be going on beside.
CPU_WINDOW_S, CPU_MARGIN = 2.0, 0.03


class Held(Struct, frozen=True):
    """What a process holds."""

    threads: int
    native: int
    files: int
    memory_mb: float


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
        memory_mb=process.memory_info().rss / 1_000_000,
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


@pytest.mark.timeout(240)
def test_thirty_calls_of_six_kinds_leave_nothing_behind(platform: Platform) -> None:
    processes = {name: psutil.Process(platform.supervisor.pid(name)) for name in PARTS}
    hold(platform, KINDS)  # what is made once is made
    before = {name: settled(process) for name, process in processes.items()}
    busy_before = {name: busy(process) for name, process in processes.items()}
    hold(platform, KINDS * ROUNDS)
    for name, process in processes.items():
        wait_for(lambda p=process: held(p), lambda now, n=name: fits(now, before[n]), QUIET_LIMIT_S)
        if name == "gateway":  # a worker's memory goes up and down by more than this
            most_mb = before[name].memory_mb + LEAST_LEAK_MB
            wait_for(lambda p=process: held(p).memory_mb, lambda mb, m=most_mb: mb < m, 10.0)
        most = busy_before[name] + CPU_MARGIN
        wait_for(lambda p=process: busy(p), lambda now, m=most: now <= m, QUIET_LIMIT_S)


@pytest.mark.skipif(not CALLS, reason="OFFHOOK_TEST_CALLS says how many; make test-long does")
@pytest.mark.timeout(LONG_LIMIT_S)
def test_short_calls_at_length_wear_nothing_out(platform: Platform) -> None:
    processes = {name: psutil.Process(platform.supervisor.pid(name)) for name in PARTS}
    warm_up = max(1, int(CALLS * WARM_UP))
    hold(platform, (hung_up,) * warm_up)
    before = {name: settled(process) for name, process in processes.items()}
    busy_before = {name: busy(process) for name, process in processes.items()}
    hold(platform, (hung_up,) * (CALLS - warm_up))
    for name, process in processes.items():
        most_mb = before[name].memory_mb + MB_PER_CALL * (CALLS - warm_up) + MB_MARGIN
        wait_for(
            lambda p=process: held(p),
            lambda now, n=name, m=most_mb: fits(now, before[n]) and now.memory_mb < m,
            QUIET_LIMIT_S,
        )
        most = busy_before[name] + LONG_CPU_MARGIN
        wait_for(lambda p=process: busy(p), lambda now, m=most: now <= m, QUIET_LIMIT_S)
    # Nothing had to begin anew for that.
    assert processes == {name: psutil.Process(platform.supervisor.pid(name)) for name in PARTS}
    assert '"the worker is worn' not in (platform.home.logs / "agent.log").read_text()


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
    """Return what a process holds once it is the same for a while."""
    last: list[Any] = [None, 0.0]

    def steady(now: Held) -> bool:
        # Longer than the processes take to come to rest and give back what they need no more.
        if structs.replace(now, memory_mb=0.0) != last[0]:
            last[:] = structs.replace(now, memory_mb=0.0), time.monotonic()
        return time.monotonic() - last[1] > REST_S

    found: Held = wait_for(lambda: held(process), steady, QUIET_LIMIT_S)
    return found


def busy(process: psutil.Process) -> float:
    """Return the share of a core that an idle process uses."""
    return process.cpu_percent(CPU_WINDOW_S) / 100
