"""Turn taking on the wire: Offhook, a stock livekit-agents worker and pipecat, side by side.

Telephones (an independent SIP stack) ask, are answered, interrupt, and pause in the middle of
sentences; one call of each arm goes on at a time, all at the same time, so that what disturbs one
disturbs the others. The arms talk to provider servers whose ears claim what was said at once and
whose voices give a tone. What is measured is the RTP (bench/wire.py). OFFHOOK_BENCH_TURNS makes
the cells smaller, to try the bench out.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from agent.session import SILENCE_S
from bench import wire
from bench.arms import GREETING_DELAY_MS, OURS, PIPECAT, STOCK, Arm, arms, side_by_side
from bench.calls import row
from bench.phrases import Phrases
from bench.rows import percentile
from bench.tapped import Script, tapped
from speech.offline.voice import Speaker
from tests.providers.behaviour import PLAIN, Behaviour
from tests.providers.script import Rule
from tests.system.platform import running

TURNS = int(os.environ.get("OFFHOOK_BENCH_TURNS", "108"))  # a cell and arm; some are discarded
PER_CALL = 27
CALL_LIMIT_S = 240.0
QUIET_S = 0.25  # after a reply, before the next phrase
QUESTION, ANSWER = "Are you open today?", "Yes."
LONG = "Let me tell you all about it. " * 12
PARTS = (  # a sentence with a pause inside
    ("I would like to book", "an appointment for tomorrow."),
    ("My name is", "Peter Miller."),
    ("Could you tell me if", "you are open on Sunday?"),
    ("I am calling because", "my tooth hurts."),
    ("I need to change the", "time of my appointment."),
)
PAUSES_S = (0.4, 0.6, 0.8, 1.0)
SETTINGS = (
    f"ours: {SILENCE_S:g} s of silence and what was said; "
    "peers: their own defaults for silence and turn model"
)
SHARES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"), (1.0, "max"))
Rows = list[dict[str, Any]]


class Call(Struct, frozen=True):
    """One call: what was on the wire, and what the phone played."""

    caller: wire.Marks
    agent: wire.Marks
    answered: float | None
    said: list[dict[str, Any]]


class Found(Struct):
    """What one arm gave in one cell."""

    values: list[float] = field(default_factory=list)
    discards: Counter[str] = field(default_factory=Counter)

    def add(self, measured: Callable[[], float]) -> None:
        """Take a measurement, or the reason why there is none."""
        try:
            self.values.append(measured())
        except wire.Discarded as why:
            self.discards[str(why)] += 1


Cell = dict[str, Found]


async def run() -> Rows:
    """Return the rows; takes about fifteen minutes."""
    return await asyncio.to_thread(measure)


def measure() -> Rows:
    """Start everything, measure the arms, stop everything."""
    with (
        tempfile.TemporaryDirectory() as name,
        running(Path(name) / "data", {"OFFHOOK_ALLOW_PRIVATE": "127.0.0.0/8"}) as platform,
        arms(platform, Path(name), OURS, STOCK, PIPECAT) as started,
    ):
        return Bench(started, Phrases(Speaker.load(), Path(name)), Path(name)).measure()


class Bench:
    """The arms, and what they are asked."""

    def __init__(self, started: list[Arm], phrases: Phrases, folder: Path) -> None:
        self._arms = started
        self._phrases = phrases
        self._folder = folder
        self._greetings = self._cell()

    def measure(self) -> Rows:
        """Return every row."""
        warm: Script = [{"say": self._phrases.file(QUESTION)}, {"reply": QUIET_S}]
        self._calls("warming up", warm, (Rule(say=ANSWER),), turns=1)
        self._greetings = self._cell()
        replies, stops = self._interrupted()
        late = self._replies(Behaviour(latency_ms=300), Behaviour(latency_ms=100))
        cut = self._cut_offs()
        what = "end of speech → first sound"
        rows = compared("B1", f"{what}, no latency ({SETTINGS})", replies, {STOCK: 0.6, PIPECAT: 1})
        rows.append(beyond_silence(replies[OURS]))
        rows += compared("B3", f"{what}, model 300 ms, voice 100 ms", late, {STOCK: 0.7})
        rows += false_starts(cut)
        rows += compared("B5", "barge-in: first sound → the agent's last", stops, {STOCK: 0.5})
        rows.append(limited("B5", "barge-in, p95", stops[OURS], 350))
        rows += greetings(self._greetings)
        return rows

    def _interrupted(self) -> tuple[Cell, Cell]:
        """Ask again and again over a long answer: how soon it stops, how soon the next begins."""
        turn: Script = [{"say": self._phrases.file(QUESTION)}, {"again": 5.0}, {"stay": 0.35}]
        replies, stops = self._cell(), self._cell()
        for arm, call in self._calls("B1 and B5", turn, (Rule(say=LONG),)):
            for said in call.said:
                replies[arm].add(lambda c=call, s=said: reply_ms(c, s))
            for said in call.said[1:]:  # the first one interrupts nothing
                stops[arm].add(lambda c=call, s=said: stop_ms(c, s))
        return replies, stops

    def _replies(self, model: Behaviour, voice: Behaviour) -> Cell:
        """Ask short things of slow providers."""
        turn: Script = [{"say": self._phrases.file(QUESTION)}, {"reply": QUIET_S}]
        found = self._cell()
        for arm, call in self._calls("B3", turn, (Rule(say=ANSWER),), model, voice):
            for said in call.said:
                found[arm].add(lambda c=call, s=said: reply_ms(c, s))
        return found

    def _cut_offs(self) -> Cell:
        """Pause inside sentences: 1.0 for each pause taken for the end."""
        cases = [(*parts, pause) for pause in PAUSES_S for parts in PARTS]
        script: Script = []
        for first, second, pause in cases:
            script += [{"say": self._phrases.file(first)}, {"stay": pause}]
            script += [{"say": self._phrases.file(second)}, {"reply": QUIET_S}]
        found = self._cell()
        rules, each = (Rule(say=ANSWER),), len(script) // len(cases)
        for arm, call in self._calls("B4", script, rules, steps=each):
            for first, second in zip(call.said[::2], call.said[1::2], strict=False):
                found[arm].add(lambda c=call, f=first, s=second: float(was_cut(c, f, s)))
        return found

    def _cell(self) -> Cell:
        return {arm.name: Found() for arm in self._arms}

    def _calls(
        self,
        what: str,
        turn: Script,
        rules: tuple[Rule, ...],
        model: Behaviour = PLAIN,
        voice: Behaviour = PLAIN,
        *,
        steps: int | None = None,
        turns: int = TURNS,
    ) -> list[tuple[str, Call]]:
        """Return the calls of every arm, in which `turn` comes again and again.

        Args:
            steps: how many steps of `turn` make one case; null makes it one case whole.
        """
        cases = len(turn) // steps if steps else 1
        each = max(1, min(PER_CALL, turns) // cases)
        greeted: Script = [{"listen": QUIET_S}]
        done: list[tuple[str, Call]] = []
        rounds = max(1, turns // (each * cases))
        script = [*greeted, *turn * each]
        if cases > turns:
            script = script[: 1 + turns * (steps or 1)]
        for number in range(rounds):
            began = time.monotonic()
            calling = []
            for arm in self._arms:
                arm.stubs.controls.reset()
                arm.stubs.controls.rules(*rules)
                arm.stubs.controls.behave("openai.chat", model)
                arm.stubs.controls.behave("cartesia.tts", voice)
                args = (what, arm, script, done)
                calling.append(threading.Thread(target=self._call, args=args, name=arm.name))
            side_by_side(calling, CALL_LIMIT_S + 120)
            took = time.monotonic() - began
            print(f"  {what}: round {number + 1} of {rounds}, {took:.0f} s", flush=True)
        return done

    def _call(self, what: str, arm: Arm, script: Script, done: list[tuple[str, Call]]) -> None:
        try:
            with tapped(self._folder, script, self._phrases.heard_by(arm.stubs)) as phone:
                arm.dial(phone.port)
                capture = phone.over(CALL_LIMIT_S)
        except (AssertionError, OSError, RuntimeError) as problem:
            print(f"  {what}: a call of {arm.name} failed: {str(problem)[:300]}", flush=True)
            self._greetings[arm.name].discards["the call failed"] += 1
            return
        said = phone.said()
        caller = wire.caller_marks(capture.caller, self._phrases.played(said))
        call = Call(caller, wire.agent_marks(capture.agent), capture.answered, said)
        self._greetings[arm.name].add(lambda: greeting_ms(call))
        done.append((arm.name, call))


def reply_ms(call: Call, said: dict[str, Any]) -> float:
    """Return how long the reply to a phrase took."""
    return wire.reply_ms(call.caller, call.agent, said["began"], said["ended"], said["until"])


def stop_ms(call: Call, said: dict[str, Any]) -> float:
    """Return how long the agent went on against an interruption."""
    return wire.stop_ms(call.caller, call.agent, said["began"], said["until"])


def was_cut(call: Call, first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Return whether the agent spoke between a sentence's first part and its end."""
    during = (first["began"], first["ended"])
    return wire.cut_off(call.caller, call.agent, during, second["ended"])


def greeting_ms(call: Call) -> float:
    """Return how long after the answer the agent was heard."""
    if call.answered is None:
        raise wire.Discarded("no answer on the wire")
    return wire.start_ms(call.agent, call.answered)


def compared(id_: str, what: str, cell: Cell, goals: dict[str, float]) -> Rows:
    """Return the rows of a measure: median, tail and discards, beside each peer."""
    ours = cell[OURS].values
    rows: Rows = []
    for peer in (name for name in cell if name != OURS):
        theirs = cell[peer].values
        for share, name in SHARES if ours and theirs else ():
            value, beside = percentile(ours, share), percentile(theirs, share)
            text = what if share == 0.5 else what.partition(" (")[0]
            made = row(id_, f"{text}, {name}", value, "ms", len(ours))
            made |= {
                "peer": peer,
                "peer_value": round(beside, 1),
                "ratio": round(value / beside, 3),
            }
            if share == 0.5 and peer in goals:
                made |= {"goal": f"≤ {goals[peer]:g}×", "met": value / beside <= goals[peer]}
            rows.append(made)
    return rows + discarded(id_, what.partition(" (")[0], cell)


def discarded(id_: str, what: str, cell: Cell) -> Rows:
    """Return a row an arm of the turns that are in no figure, and why."""
    rows = []
    for arm, found in cell.items():
        why = ", ".join(f"{reason}: {times}" for reason, times in found.discards.most_common())
        text = f"{what}: discarded, {arm}{f' ({why})' if why else ''}"
        tried = len(found.values) + found.discards.total()
        rows.append(row(id_, text, found.discards.total(), "turns", tried))
    return rows


def limited(id_: str, what: str, found: Found, most: float) -> dict[str, Any]:
    """Return a row of a p95 that has a limit of its own."""
    late = percentile(found.values, 0.95) if found.values else float("inf")
    made = row(id_, what, late, "ms", len(found.values), goal=f"≤ {most:g} ms")
    return made | {"met": late <= most}


def beyond_silence(replies: Found) -> dict[str, Any]:
    """Return what a reply takes beyond the silence that we choose to wait for."""
    beyond = Found([value - SILENCE_S * 1000 for value in replies.values])
    return limited("B1", f"beyond the {SILENCE_S:g} s of silence chosen, p95", beyond, 200)


def false_starts(cell: Cell) -> Rows:
    """Return how many pauses inside a sentence were taken for its end, beside each peer."""
    shares = {arm: found.values for arm, found in cell.items() if found.values}
    percent = {arm: 100 * sum(values) / len(values) for arm, values in shares.items()}
    what = f"pauses of {PAUSES_S[0]}–{PAUSES_S[-1]} s inside a sentence taken for its end"
    rows: Rows = []
    for peer in (name for name in percent if name != OURS and OURS in percent):
        made = row("B4", f"{what} ({SETTINGS})", percent[OURS], "%", len(shares[OURS]))
        made |= {"peer": peer, "peer_value": round(percent[peer], 1)}
        made["ratio"] = round(percent[OURS] / percent[peer], 3) if percent[peer] else None
        if peer == STOCK:
            made |= {"goal": "≤ 0.5×", "met": percent[OURS] <= percent[peer] / 2}
        rows.append(made)
    return rows + discarded("B4", what, cell)


def greetings(cell: Cell) -> Rows:
    """Return how soon after the answer the agent speaks; ours beyond the delay it is told."""
    ours = Found([value - GREETING_DELAY_MS for value in cell[OURS].values], cell[OURS].discards)
    what = "answer → first agent sound beyond first_sentence_delay_ms"
    rows = compared("B6", f"{what} (peers: no delay)", {**cell, OURS: ours}, {})
    return [limited("B6", f"{what}, p95", ours, 300), *rows]
