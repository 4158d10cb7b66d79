"""How many calls at once two cores carry before quality goes, and what a live call costs.

Steps of 1, 2, 4, 6, 8, 10, 12 … calls at once, ours and the stock worker's in turns, with the same
telephones, provider servers, livekit-server and gateway. A step holds while every call is set up,
no RTP packet is lost, nothing the agent says has a gap of more than 40 ms, and the p95 of the
turns, of which at most a sixth may be uncertain, is 1.25 times that of one call at the most. A
step that does not hold is made once more; then it is the arm's last. All of it is on the same
cores; so the CPU of each part is told apart. OFFHOOK_BENCH_STEPS ("1,2") shortens it, to try the
bench out.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from msgspec import Struct, field

from bench import wire
from bench.arms import OURS, STOCK, Arm, CallRefused, arms, side_by_side
from bench.calls import row
from bench.phrases import Phrases
from bench.rows import percentile
from bench.tapped import Script, Tapped, tapped
from bench.usage import counted, memory_mb
from speech.offline.voice import Speaker
from tests.providers.script import Rule
from tests.system.platform import Platform, running

STEPS = tuple(map(int, os.environ.get("OFFHOOK_BENCH_STEPS", "1,2,4,6,8,10,12,14,16").split(",")))
TURNS = 7  # a call; the first is not counted, the calls are still being set up
ALONE = 2  # times as many in the single call by which the others are judged
CALL_LIMIT_S = 120.0
SETTLED_S, WINDOW_S = 8.0, 8.0  # from the first dial to CPU and memory being read, and how long
QUIET_S = 0.4
GAP_MS, SLOWER = 40.0, 1.25
QUESTION, ANSWER = "Are you open today?", "Yes, until six."
Rows = list[dict[str, Any]]


class Step(Struct):
    """What one number of calls at once gave."""

    calls: int
    turns: list[float] = field(default_factory=list)
    discards: int = 0
    failed: int = 0
    lost: int = 0
    gap_ms: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    memory_mb: float = 0.0

    @property
    def late(self) -> float:
        """Return the p95 of the turns, in ms."""
        return percentile(self.turns, 0.95) if self.turns else float("inf")

    def fails_by(self, single_ms: float) -> str | None:
        """Return why quality does not hold, beside the p95 of a single call."""
        if self.failed:
            return f"{self.failed} calls failed"
        if self.lost:
            return f"{self.lost} packets were lost"
        if self.discards > len(self.turns) // 5:
            return f"{self.discards} turns without a certain reply"
        if self.gap_ms > GAP_MS:
            return f"a gap of {self.gap_ms:.0f} ms"
        if self.late > SLOWER * single_ms:
            return f"p95 {self.late:.0f} ms, of one call {single_ms:.0f} ms"
        return None


class Course(Struct):
    """One arm's steps, and why it went no further."""

    steps: list[Step] = field(default_factory=list)
    idle_mb: float = 0.0
    why: str | None = None

    @property
    def holds(self) -> int:
        """Return the most calls at which quality held."""
        single = self.steps[0].late
        return max((s.calls for s in self.steps if s.fails_by(single) is None), default=0)


async def run() -> Rows:
    """Return the rows; takes about eight minutes."""
    return await asyncio.to_thread(measure)


def measure() -> Rows:
    """Start everything, go through the steps, stop everything."""
    limits = {"OFFHOOK_ALLOW_PRIVATE": "127.0.0.0/8", "OFFHOOK_WORKER_MAX_SESSIONS": "64"}
    with (
        tempfile.TemporaryDirectory() as name,
        running(Path(name) / "data", limits) as platform,
        arms(platform, Path(name), OURS, STOCK) as started,
    ):
        climb = Climb(platform, Phrases(Speaker.load(), Path(name)), Path(name))
        courses = {arm.name: Course() for arm in started}
        for arm in started:
            print(f"  warming up {arm.name}", flush=True)
            climb.step(arm, 1, turns=2)  # the first call pays for connections
            courses[arm.name].idle_mb = memory_mb(arm.process)
        for calls in STEPS:
            for arm in started:
                if courses[arm.name].why is None:
                    climb.take(arm, courses[arm.name], calls)
    return told(courses)


class Climb:
    """Makes the calls of a step."""

    def __init__(self, platform: Platform, phrases: Phrases, folder: Path) -> None:
        self._platform = platform
        self._phrases = phrases
        self._folder = folder

    def take(self, arm: Arm, course: Course, calls: int) -> None:
        """Add a step to an arm's course; one that does not hold is made a second time."""
        for _ in range(2):
            step = self.step(arm, calls, turns=TURNS * ALONE if calls == 1 else TURNS)
            single = course.steps[0].late if course.steps else step.late
            course.why = step.fails_by(single)
            late = f"p95 {step.late:.0f} ms, longest gap {step.gap_ms:.0f} ms"
            print(f"  {arm.name}, {calls} calls: {course.why or 'holds'} ({late})", flush=True)
            if course.why is None:
                break
        course.steps.append(step)

    def step(self, arm: Arm, calls: int, *, turns: int) -> Step:
        """Return what `calls` at once give, each of `turns`."""
        arm.stubs.controls.reset()
        arm.stubs.controls.rules(Rule(say=ANSWER))
        step = Step(calls)
        turn: Script = [{"say": self._phrases.file(QUESTION)}, {"reply": QUIET_S}]
        script = [{"listen": QUIET_S}, *turn * turns]
        phones: list[Tapped] = []
        lock = threading.Lock()

        def call(up: threading.Barrier) -> None:
            try:
                with tapped(self._folder, script, self._phrases.heard_by(arm.stubs)) as phone:
                    phones.append(phone)
                    up.wait(CALL_LIMIT_S)  # all telephones are up before the first is called
                    arm.dial(phone.port)
                    capture = phone.over(CALL_LIMIT_S)
                with lock:
                    self._judge(step, phone, capture)
            except (AssertionError, CallRefused, OSError, RuntimeError) as problem:
                print(f"  a call of {arm.name} failed: {str(problem)[:300]}", flush=True)
                with lock:
                    step.failed += 1

        up = threading.Barrier(calls + 1)
        work = [threading.Thread(target=call, args=(up,), name=arm.name) for _ in range(calls)]
        watching = threading.Thread(target=self._watch, args=(up, arm, step, phones), name="watch")
        side_by_side([*work, watching], 4 * CALL_LIMIT_S)
        return step

    def _judge(self, step: Step, phone: Tapped, capture: wire.Capture) -> None:
        said = phone.said()
        caller = wire.caller_marks(capture.caller, self._phrases.played(said))
        agent = wire.agent_marks(capture.agent)
        step.lost += capture.agent.lost
        for each in said[1:]:
            try:
                reply = wire.reply_ms(caller, agent, each["began"], each["ended"], each["until"])
            except wire.Discarded:
                step.discards += 1
                continue
            step.turns.append(reply)
            gap = wire.longest_gap_ms(agent, each["ended"], each["until"])
            step.gap_ms = max(step.gap_ms, gap)

    def _watch(self, up: threading.Barrier, arm: Arm, step: Step, phones: list[Tapped]) -> None:
        """Read CPU and memory while all calls go on."""
        up.wait(CALL_LIMIT_S)
        time.sleep(SETTLED_S)
        supervisor = self._platform.supervisor
        parts = {
            "agent worker": [arm.process],
            "gateway": [psutil.Process(supervisor.pid("gateway"))],
            "livekit-server": [psutil.Process(supervisor.pid("livekit"))],
            "far ends": [process for phone in phones for process in phone.processes],
        }
        with counted(parts, step.cpu):
            time.sleep(WINDOW_S / 2)
            step.memory_mb = memory_mb(arm.process)
            time.sleep(WINDOW_S / 2)


def told(courses: dict[str, Course]) -> Rows:
    """Return the rows of both arms."""
    ours, stock = courses[OURS], courses[STOCK]
    cores = psutil.cpu_count() or 1
    rule = "no gap over 40 ms, p95 ≤ 1.25× of one call, none lost, none failed"
    rows = [
        beside(
            "B18", f"calls at once while quality holds, {cores} cores ({rule})",
            (ours.holds, stock.holds), "calls", goal=(1.3, "≥"),
        ),
        *memory_rows(ours, stock),
    ]  # fmt: skip
    for arm, course in courses.items():
        end = course.why or "the last step tried held"
        last = course.steps[-1]
        rows.append(row("B18", f"{arm} at {last.calls} calls: {end}", last.calls, "calls", 1))
        for step in course.steps:
            rows += step_rows(arm, step)
    return rows


def memory_rows(ours: Course, stock: Course) -> Rows:
    """Return what a live call adds to the agent worker, at the most calls that both carried."""
    both = {s.calls for s in ours.steps} & {s.calls for s in stock.steps}
    calls = max(both)
    a, b = (next(s for s in c.steps if s.calls == calls) for c in (ours, stock))
    added = ((a.memory_mb - ours.idle_mb) / calls, (b.memory_mb - stock.idle_mb) / calls)
    whole = (a.memory_mb / calls, b.memory_mb / calls)
    at = f"at {calls} calls (PSS)"
    return [
        beside("B19", f"memory a live call adds to the agent worker, {at}", added, "MB",
               goal=(0.8, "≤")),
        beside("B19", f"memory of the agent worker per live call, {at}", whole, "MB"),
        beside("B19", "memory of the agent worker before the first call (PSS)",
               (ours.idle_mb, stock.idle_mb), "MB"),
    ]  # fmt: skip


def step_rows(arm: str, step: Step) -> Rows:
    """Return what one step gave: turns, gap and the CPU of every part."""
    at = f"{arm}, {step.calls} calls at once"
    made = []
    if step.turns:
        text = f"{at}: turn p95 ({step.discards} turns discarded)"
        made.append(row("B18t", text, step.late, "ms", len(step.turns)))
        text = f"{at}: longest gap inside speech"
        made.append(row("B18t", text, step.gap_ms, "ms", len(step.turns)))
    for part, used in step.cpu.items():
        text = f"{at}: CPU of the {part}, per call"
        made.append(row("B18t", text, 100 * used / step.calls, "% of a core", step.calls))
    return made


def beside(
    id_: str,
    what: str,
    values: tuple[float, float],
    unit: str,
    *,
    goal: tuple[float, str] | None = None,
) -> dict[str, Any]:
    """Return a row of ours beside stock; `goal` is a ratio and which way it limits."""
    ours, stock = values
    made = row(id_, what, ours, unit, 1) | {"peer": STOCK, "peer_value": round(stock, 1)}
    if stock:
        made["ratio"] = round(ours / stock, 3)
    if goal is not None:
        limit, way = goal
        met = ours >= max(1, limit * stock) if way == "≥" else ours <= limit * stock
        made |= {"goal": f"{way} {limit:g}×", "met": met}
    return made
