"""The whole suite: `python -m tests.suite`, `--long` for what takes long; else pytest with these.

What needs no call runs first, in lanes side by side. It yields to what has a clock to keep. Calls
come after it, one part at a time. The simulator, whose time is not the machine's, takes what all
others leave, from the beginning to the end. What failed is run again when nothing else is, twice
at most, judged by that, and told: a starved machine fails tests, but seldom one that is alone.
Which part proves what: docs/explanation/tests.md.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from tests import equipment, timing

PYTEST = (sys.executable, "-m", "pytest", "-p", "tests.timing", "-p", "no:cacheprovider")
LIMIT_S, LONG_LIMIT_S = 2_400.0, 14_400.0
SLOWEST = 10
IDLE = 20
"""Beyond the nicest."""
AGAIN, TIMES = 5, 2
"""So many tests of a part may have failed by the machine's fault, and are run so often again."""
TOLD = 400
"""Characters of why a test failed."""


class Part(Struct, frozen=True):
    """One pytest.

    Args:
        only: what it runs; `without`: what of that it leaves to others; `marked`: the tests with
            this mark alone.
        niceness: how much it yields to others; `IDLE`: it takes the time that they leave.
        is_equipment: of no use while nothing that it tests has changed.
    """

    name: str
    only: tuple[str, ...]
    without: tuple[str, ...] = ()
    marked: str = ""
    niceness: int = 0
    is_equipment: bool = False

    @property
    def command(self) -> tuple[str, ...]:
        """How it is run."""
        more = (f"--ignore={each}" for each in self.without)
        # The one above would have it stand on the whole control plane.
        cut = ("--confcutdir=tests/carrier",) if self.is_equipment else ()
        marked = ("-m", self.marked) if self.marked else ()
        return (*PYTEST, *cut, *marked, *self.only, *more)


class Done(Struct, frozen=True):
    """A part that is over; its report is told."""

    part: Part
    status: int
    took_s: float
    times: timing.Times

    @property
    def can_be_again(self) -> bool:
        """Whether it may be the machine that failed."""
        return self.status == 1 and len(self.times.failed) <= AGAIN


Lane = Sequence[Part]

DATABASE = ("tests/campaigns", "tests/control_plane", "tests/compliance")
CONTRACT = "tests/contract/sip"
ROW_CALLS = tuple(
    f"tests/system/test_{name}.py"
    for name in (
        *("admission", "assistant_tests", "dialects", "lines", "lost_parts", "order_book"),
        *("scenarios", "webhook_url"),
    )
)
BROWSER = "tests/browser"
SHORT_WAY = "tests/contract/sip/test_short_way.py"
AGENT_CALLS = (
    "tests/agent/test_closing.py",
    "tests/agent/test_going_on.py",
    "tests/agent/test_output_sounds.py",
    "tests/agent/test_provider_faults.py",
    "tests/agent/test_second_opinion.py",
    "tests/agent/test_usage.py",
)
CALLS = ("tests/agent", BROWSER, "tests/contract/sip", "tests/system")
PROVIDER_FAULTS = "tests/system/test_provider_faults.py"
SPOKEN = ("tests/providers", "tests/speech")
FAULTS = Part("faults", ("tests/faults",), niceness=5)
SIMULATOR = Part("simulator", ("tests/simulator",), niceness=IDLE)
STRANGERS = Part("strangers' datagrams", ("tests/sip/test_hostile.py",), niceness=IDLE)
MANY_ROWS = Part("many rows", ("tests/campaigns/test_many_rows.py",))
EQUIPMENT = Part("equipment", equipment.TESTS, is_equipment=True)
ELSEWHERE = (
    *("tests/agent", BROWSER, CONTRACT, "tests/faults", "tests/simulator", "tests/system"),
    *equipment.TESTS,
    *DATABASE,
    *SPOKEN,
)

STAGES: tuple[tuple[Lane, ...], ...] = (
    (
        (
            Part("SIP contract", (CONTRACT,), (SHORT_WAY,)),
            Part("agent", ("tests/agent",), AGENT_CALLS),
            Part("providers", SPOKEN, equipment.TESTS),
            Part("calls judged by rows", ROW_CALLS),
        ),
        (Part("API and database", DATABASE, niceness=10),),
        (Part("all others", ("tests",), ELSEWHERE, niceness=10),),
        (FAULTS,),
    ),
    (
        # One after the other, beside nothing: where others took the rest of the machine, replies
        # came late and four of 54 calls failed.
        (
            Part("calls", ("tests/system",), ROW_CALLS),
            Part("calls without SIP", (*AGENT_CALLS, SHORT_WAY)),
            Part("calls from a browser", (BROWSER,)),
        ),
    ),
    ((EQUIPMENT,),),
)
ALL_ALONG: Lane = (SIMULATOR,)
LONG: tuple[tuple[Lane, ...], ...] = (
    ((Part("faults", ("tests/faults", "--log-cli-level=INFO")),), (STRANGERS, MANY_ROWS)),
    (
        (
            Part("provider faults over SIP", (PROVIDER_FAULTS,)),
            Part("long calls", CALLS, (PROVIDER_FAULTS,), marked="long"),
        ),
    ),
    ((Part("on PostgreSQL", ("tests",), (*CALLS, "tests/faults", "tests/simulator"), "long"),),),
    ((EQUIPMENT,),),
)
AT_LENGTH = {
    "OFFHOOK_TEST_LONG": "1",
    "OFFHOOK_TEST_KILLS": "200",
    "OFFHOOK_TEST_ORDERS": "2000",
    "OFFHOOK_TEST_FREEZE_S": "60",
    "OFFHOOK_TEST_LOCK_S": "30",
    "OFFHOOK_TEST_SCHEDULES": "10000",
    "OFFHOOK_TEST_ROWS": "100000",
    "OFFHOOK_TEST_BACKLOG": "2",
    "OFFHOOK_TEST_CALLS": "5000",
    "OFFHOOK_TEST_EXAMPLES": "150000",
}


def main() -> int:
    """Run what the command line asks for and return the exit status."""
    options = sys.argv[1:]
    if options not in ([], ["--long"]):
        return subprocess.run([sys.executable, "-m", "pytest", *options], check=False).returncode
    is_long = bool(options)
    began = time.monotonic()
    with TemporaryDirectory(prefix="offhook-suite-") as folder:
        suite = Suite(Path(folder), is_long=is_long)
        asyncio.run(suite.run(LONG if is_long else STAGES, ALL_ALONG))
    suite.conclude(time.monotonic() - began)
    return 1 if any(done.status for done in suite.done) else 0


class Suite:
    """Runs parts and tells of them."""

    def __init__(self, folder: Path, *, is_long: bool) -> None:
        self._folder = folder
        self._is_long = is_long
        self.done: list[Done] = []

    async def run(self, stages: Sequence[Sequence[Lane]], all_along: Lane) -> None:
        """Run each stage's lanes side by side, one stage after the other; one lane all along."""
        async with asyncio.TaskGroup() as whole:
            whole.create_task(self._run_each(all_along))
            for lanes in stages:
                async with asyncio.TaskGroup() as stage:
                    for lane in lanes:
                        stage.create_task(self._run_each(lane))
        for each in [done for done in self.done if done.can_be_again]:
            await self._run_again(each)

    async def _run_again(self, first: Done) -> None:
        runs = [first]
        while runs[-1].can_be_again and len(runs) <= TIMES:
            await self._run(Part(f"{first.part.name}, again", tuple(runs[-1].times.failed)))
            runs.append(self.done[-1])
        if runs[-1].status == 0:
            self.done = [
                msgspec.structs.replace(each, status=0) if each in runs else each
                for each in self.done
            ]

    async def _run_each(self, lane: Lane) -> None:
        for part in lane:
            if part.is_equipment and not self._is_long and equipment.has_passed():
                _tell(f"{part.name}: passed here as it is; `make test-long` runs it all the same")
            else:
                await self._run(part)

    async def _run(self, part: Part) -> None:
        began = time.monotonic()
        times, log = (self._folder / f"{part.name}.{kind}" for kind in ("json", "log"))
        environment = {**(AT_LENGTH if self._is_long else {}), **os.environ}
        _tell(f"{part.name} begins")
        with log.open("wb") as told:
            process = await asyncio.create_subprocess_exec(
                *part.command,
                env={**environment, timing.VARIABLE: str(times)},
                stdout=told,
                stderr=subprocess.STDOUT,
                preexec_fn=partial(_yield, part.niceness),
            )
            status = await self._status_of(process)
        done = Done(part, status, time.monotonic() - began, timing.read(times))
        self.done.append(done)
        _tell(f"\n== {part.name}, {done.took_s:.0f} s\n{log.read_text(errors='replace')}")
        if part.is_equipment and status == 0:
            why_not = equipment.passed(done.times.modules)
            if why_not:
                _tell(f"{part.name} is run again next time: {why_not}")

    async def _status_of(self, process: asyncio.subprocess.Process) -> int:
        """Return how it ended: by itself, out of time, or with the suite."""
        try:
            async with asyncio.timeout(LONG_LIMIT_S if self._is_long else LIMIT_S):
                return await process.wait()
        except TimeoutError:
            _tell("out of time")
            return 1
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    def conclude(self, took_s: float) -> None:
        """Tell the time of each part, the slowest tests, and what failed."""
        _tell("\n== the time of each part: seconds, of processors, tests")
        for each in self.done:
            count = len(each.times.tests)
            _tell(f"{each.took_s:6.0f} {each.times.cpu_s:6.0f} {count:6d}  {each.part.name}")
        _tell(f"\n== the {SLOWEST} slowest tests")
        tests = ((s, name) for each in self.done for name, s in each.times.tests.items())
        for seconds, name in heapq.nlargest(SLOWEST, tests):
            _tell(f"{seconds:6.1f}  {name}")
        for each in self.done:
            for name, why in each.times.failed.items():
                verdict = "failed" if each.status else "failed, and passed alone"
                _tell(f"\n== {verdict}: {name}\n{why[:TOLD]}")
        failed = [each.part.name for each in self.done if each.status]
        told = f"{', '.join(failed)} failed" if failed else "all passed"
        _tell(f"\nThe suite took {took_s:.0f} s: {told}")


def _yield(niceness: int) -> None:
    if niceness == IDLE:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(niceness)


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
