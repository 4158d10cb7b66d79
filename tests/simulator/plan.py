"""A schedule: everything that will happen, drawn from its seed and nothing else."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from process.crash_points import POINTS

NUMBERS = ("+12025550123", "+12025550124", "+18125550125", "+33142685300")
"""Washington; southern Indiana, which has two zones; Paris."""

_ZONES = (None, None, "America/New_York", "Europe/Paris", "Asia/Kolkata", "Australia/Lord_Howe")
_BEGINNINGS = tuple(
    datetime(2026, *parts, tzinfo=UTC)
    for parts in ((3, 7, 20), (3, 28, 23), (6, 17, 13), (6, 19, 21), (10, 24, 15), (10, 31, 22))
)
_WINDOWS = (
    (("00:00", "24:00"),),
    (("00:00", "24:00"),),
    (("09:00", "18:00"),),
    (("10am", "12:00"), ("14:00", "5:30pm")),
    (("22:00", "03:00"),),
    (("01:30", "02:30"),),
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_STATUSES = (486, 600, 480, 408, 487, 404, 410, 484, 604, 603, 607, 608, 488, 403, 401, 407)
_TROUBLE = (429, 503, 500, 502, 504)


@dataclass
class DialOutcome:
    """What becomes of one dial: `kind`, and when."""

    kind: str
    status: int = 0
    after: float = 1.0
    talk: float = 5.0
    human: bool = True
    lost_after: float = 0.0


@dataclass
class AgentPlan:
    """What one agent does."""

    kind: str = "works"
    delay: float = 0.3
    after: float = 0.0
    duplicates: bool = False


@dataclass
class Event:
    """Something that somebody does at a time, seconds from the start."""

    at: float
    kind: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Fault:
    """What befalls the scheduler that passes a crash point for the nth time."""

    point: str
    nth: int
    kind: str


@dataclass
class Plan:
    """The whole of it."""

    seed: int
    begins: datetime
    trunks: list[dict[str, Any]]
    attempts_per_day: int | None
    calls_per_day: int | None
    events: list[Event]
    faults: list[Fault]
    outcomes: dict[str, list[DialOutcome]]
    agents: list[AgentPlan]
    error_chance: float
    lost_wakes: float
    slow: float
    livekit_troubles: list[tuple[float, float]]
    horizon: float


def draw(seed: int) -> Plan:
    """Return the schedule of a seed."""
    rng = random.Random(seed)
    calm = rng.random() < 0.3
    begins = rng.choice(_BEGINNINGS) + timedelta(seconds=rng.randrange(0, 6 * 3600))
    orders = rng.choice((1, 1, 1, 1, 2, 2, 3))
    most = rng.choice((1, 1, 1, 2, 3))
    events = _orders(rng, orders, most, begins)
    horizon = rng.choice((20.0, 60.0, 60.0, 600.0))
    events += _interference(rng, orders, horizon)
    if not calm:
        events += _mishaps(rng, horizon)
    events.sort(key=lambda event: event.at)
    faults = []
    if not calm:
        for _ in range(rng.choice((0, 1, 1, 2))):
            kind = "crash" if rng.random() < 0.6 else "freeze"
            faults.append(Fault(rng.choice(POINTS), rng.choice((1, 1, 1, 2)), kind))
    return Plan(
        seed=seed,
        begins=begins,
        trunks=[
            {"cps": rng.choice((0.2, 1.0, 1.0, 3.0)), "most": rng.choice((1, 2, 10))}
            for _ in range(2)
        ],
        attempts_per_day=rng.choice((None, None, None, 1, 2)),
        calls_per_day=rng.choice((None, None, None, 1, 2)),
        events=events,
        faults=faults,
        outcomes={
            number: [_outcome(rng, calm=calm) for _ in range(rng.choice((0, 1, 1, 2)))]
            for number in NUMBERS
        },
        agents=[_agent(rng, calm=calm) for _ in range(rng.choice((0, 1, 1, 2)))],
        error_chance=0.0 if calm else rng.choice((0.0, 0.0, 0.02, 0.1)),
        lost_wakes=rng.choice((0.0, 0.0, 0.2, 1.0)),
        slow=rng.choice((0.0, 0.0, 0.01, 0.05)),
        livekit_troubles=[]
        if calm or rng.random() < 0.8
        else [(begin := rng.uniform(0, 30), begin + rng.uniform(1, 30))],
        horizon=horizon,
    )


def _orders(rng: random.Random, orders: int, most: int, begins: datetime) -> list[Event]:
    events = []
    same = rng.random() < 0.5
    number = rng.choice(NUMBERS)
    key = rng.choice((None, None, "line"))
    owner = 0
    for index in range(orders):
        if not same:
            number, owner = rng.choice(NUMBERS), rng.choice((0, 0, 1))
        zone = rng.choice(_ZONES) if number != NUMBERS[3] else rng.choice((None, "Europe/Paris"))
        timing = rng.random() + 0.25 * (orders > 1)
        force, later = timing < 0.15, None
        if 0.15 <= timing < 0.35:
            later = begins + timedelta(seconds=rng.choice((-60, 5, 90, 7_200, 90_000)))
        together = orders > 1 and rng.random() < 0.7  # so that they meet
        windows = _WINDOWS[0] if together else rng.choice(_WINDOWS)
        delay = rng.choice((1, 20, 600, 7_200))
        body: dict[str, Any] = {
            "phone_number": number,
            "force_now": force,
            "call_retry_config": {
                "allowed_days": _DAYS
                if together
                else rng.choice((_DAYS, _DAYS, _DAYS[:5], _DAYS[5:])),
                "call_twice_in_a_row": rng.random() < 0.3,
                "calling_windows": [
                    {
                        "calling_window_start_time": start,
                        "calling_window_end_time": end,
                        "retry_delay_seconds": delay,
                    }
                    for start, end in windows
                ],
                "max_retry_attempts": 1 if together else most,
                "timezone": zone,
            },
        }
        if later is not None:
            body["scheduled_at"] = later.isoformat()
        if key is not None and rng.random() < 0.8:
            body["concurrency"] = {"key": key, "max": rng.choice((1, 1, 2))}
        at = 0.0 if index == 0 else rng.choice((0.0, rng.uniform(0, 10)))
        repeats = [
            rng.choice((0.0, 0.001, rng.uniform(0, 5))) for _ in range(rng.choice((0, 0, 0, 1, 2)))
        ]
        for again in (0.0, *repeats):
            facts = {"owner": owner, "body": body, "order": index, "key": f"key-{index}"}
            events.append(Event(at + again, "place", facts))
    return events


def _interference(rng: random.Random, orders: int, horizon: float) -> list[Event]:
    """Return what owners do meanwhile."""
    events = []
    for index in range(orders):
        chance = rng.random()
        at = rng.choice((rng.uniform(0, 3), rng.uniform(0, 15), rng.uniform(0, horizon)))
        if chance < 0.2:
            events.append(Event(at, "cancel", {"order": index}))
        elif chance < 0.38:
            at = min(at, rng.uniform(0, 12))
            events.append(Event(at, "pause", {"order": index}))
            if rng.random() < 0.7:
                resumed = at + rng.choice((1.0, 30.0, 4_000.0))
                events.append(Event(resumed, "resume", {"order": index}))
        elif chance < 0.45:
            events.append(Event(at, "never_call", {"order": index}))
    return events


def _mishaps(rng: random.Random, horizon: float) -> list[Event]:
    """Return what befalls processes at some time, wherever they are."""
    events = []
    for _ in range(rng.choice((0, 1, 1, 2))):
        at = rng.choice((rng.uniform(0, 6), rng.uniform(0, 20), rng.uniform(0, horizon)))
        kind = rng.choice(("crash", "crash", "freeze", "api_crash"))
        events.append(Event(at, kind, {"which": rng.randrange(2)}))
    return events


def _outcome(rng: random.Random, *, calm: bool) -> DialOutcome:
    after, talk = rng.choice((0.1, 1.0, rng.uniform(0, 8))), rng.choice((0.05, 2.0, 2.0, 8.0))
    chance = rng.random()
    if chance < 0.35:
        return DialOutcome("answer", after=after, talk=talk, human=rng.random() < 0.5)
    if chance < 0.55:
        return DialOutcome("status", status=rng.choice(_STATUSES), after=after)
    if chance < 0.65:
        return DialOutcome("status", status=rng.choice(_TROUBLE), after=after)
    if chance < 0.70:
        return DialOutcome("no_answer")
    if chance < 0.75 or calm:
        return DialOutcome("edge", after=rng.uniform(-0.05, 0.05), talk=talk)
    lost = rng.choice((0.0, 0.5, rng.uniform(0, 12)))
    kind = rng.choice(("unknown_live", "unknown_live", "unknown_dead", "service_down", "kind"))
    return DialOutcome(kind, after=after, talk=talk, human=rng.random() < 0.5, lost_after=lost)


def _agent(rng: random.Random, *, calm: bool) -> AgentPlan:
    delay = rng.choice((0.05, 0.3, 2.0))
    chance = rng.random()
    if chance < 0.45 or calm:
        return AgentPlan("works", delay, duplicates=rng.random() < 0.2)
    if chance < 0.55:
        return AgentPlan("late", rng.uniform(11.5, 13))
    if chance < 0.62:
        return AgentPlan("never")
    if chance < 0.70:
        return AgentPlan("gives_up", delay)
    if chance < 0.85:
        return AgentPlan("dies", delay, after=rng.choice((0.5, 3.0, 9.0)))
    return AgentPlan("freezes", delay, after=rng.choice((0.5, 3.0, 9.0)))
