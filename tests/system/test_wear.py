"""What calls leave behind in the processes that carry them: nothing, however they end."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import linear_regression
from typing import Any

import psutil
import pytest
from msgspec import Struct

from tests.system.platform import Platform, wait_for

pytestmark = [pytest.mark.system]

log = logging.getLogger(__name__)

CALLS = int(os.environ.get("OFFHOOK_TEST_CALLS", "0"))
"""Short calls at length; none in the suite."""
WARM_UP = 0.2
"""How much of them comes first: what is made once is made, and memory has found its shape."""
POINTS = 8
"""So often is memory looked at after that, in equal steps; what counts is the line through them."""
MB_PER_CALL = 0.01
SPREAD_MB = {"agent": 30.0, "gateway": 5.0}
"""By so much memory differs from one rest to another without growing: measured over 120 calls."""
LONG_CPU_MARGIN = 0.01
LONG_LIMIT_S = 4 * 3600

BUSY, NO_ANSWER = "+12025550102", "+12025550104"
DROPS, HANGS_UP, SILENCE = (f"+120255501{last}" for last in (10, 11, 12))
PARTS = ("agent", "gateway")
WARM_ROUNDS, ROUNDS, AT_ONCE = 2, 5, 6
MARGIN = 4
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


@pytest.mark.timeout(300)
def test_thirty_calls_of_six_kinds_leave_nothing_behind(platform: Platform) -> None:
    processes = {name: psutil.Process(platform.supervisor.pid(name)) for name in PARTS}
    hold(platform, KINDS * WARM_ROUNDS)  # what is made once is made
    before = {name: settled(process) for name, process in processes.items()}
    busy_before = {name: busy(process) for name, process in processes.items()}
    hold(platform, KINDS * ROUNDS)
    for name, process in processes.items():
        # A connection that the SDK keeps of each call: 18 MB of the gateway, as measured.
        most_mb = before[name].memory_mb + SPREAD_MB[name]
        back_to(process, before[name], most_mb)
        most = busy_before[name] + CPU_MARGIN
        wait_for(lambda p=process: busy(p), lambda now, m=most: now <= m, QUIET_LIMIT_S)


@pytest.mark.long
@pytest.mark.skipif(not CALLS, reason="OFFHOOK_TEST_CALLS says how many; make test-long does")
@pytest.mark.timeout(LONG_LIMIT_S)
def test_short_calls_at_length_wear_nothing_out(platform: Platform) -> None:
    processes = {name: psutil.Process(platform.supervisor.pid(name)) for name in PARTS}
    step = max(1, round(CALLS * (1 - WARM_UP) / POINTS))
    hold(platform, (hung_up,) * max(1, CALLS - step * POINTS))
    before = {name: settled(process) for name, process in processes.items()}
    busy_before = {name: busy(process) for name, process in processes.items()}
    series = {name: [found.memory_mb] for name, found in before.items()}
    for _ in range(POINTS):
        hold(platform, (hung_up,) * step)
        for name, process in processes.items():
            series[name].append(settled(process).memory_mb)
    for name, process in processes.items():
        back_to(process, before[name])
        most = busy_before[name] + LONG_CPU_MARGIN
        idle = wait_for(lambda p=process: busy(p), lambda now, m=most: now <= m, QUIET_LIMIT_S)
        slope = linear_regression(range(0, step * POINTS + 1, step), series[name]).slope
        told = f"{name}: {100 * slope:.2f} MB for 100 calls, {series[name]}, idle {idle:.3f}"
        log.info("%s, then %s, first %s", told, held(process), before[name])
        # Few calls tell nothing of the slope: their memory may differ by its spread.
        assert slope * step * POINTS <= max(MB_PER_CALL * step * POINTS, SPREAD_MB[name]), told
    # Nothing had to begin anew for that.
    assert processes == {name: psutil.Process(platform.supervisor.pid(name)) for name in PARTS}
    assert '"the worker is worn' not in (platform.home.logs / "agent.log").read_text()


def back_to(process: psutil.Process, before: Held, most_mb: float = math.inf) -> None:
    """Wait until a process holds no more than before, and this much memory at most."""
    wait_for(
        lambda: held(process),
        lambda now: fits(now, before) and now.memory_mb <= most_mb,
        QUIET_LIMIT_S,
    )


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
        if now.threads != last[0]:
            last[:] = now.threads, time.monotonic()
        return time.monotonic() - last[1] > REST_S

    found: Held = wait_for(lambda: held(process), steady, QUIET_LIMIT_S)
    return found


def busy(process: psutil.Process) -> float:
    """Return the share of a core that an idle process uses."""
    return process.cpu_percent(CPU_WINDOW_S) / 100
