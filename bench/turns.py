"""Turn taking on the wire: Offhook, a stock livekit-agents worker and pipecat, side by side.

Telephones (an independent SIP stack) ask, are answered, interrupt, and pause in the middle of
sentences; one call of each arm goes on at a time, all at the same time, so that what disturbs one
disturbs the others. The arms talk to provider servers whose STT claims what was said at once and
whose voices give a tone. What is measured is the RTP (bench/wire.py). OFFHOOK_BENCH_TURNS makes
the cells smaller, to try the bench out.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from msgspec import Struct

from bench import wire
from bench.arms import OURS, PIPECAT, STOCK, Arm, CallRefused, arms, side_by_side
from bench.beside import (
    SETTINGS,
    Cell,
    Found,
    Rows,
    beyond_silence,
    compared,
    greetings,
    limited,
    shares,
)
from bench.phrases import Phrases
from bench.tapped import Script, tapped
from speech.offline.voice import Speaker
from tests.providers.behaviour import PLAIN, Behaviour
from tests.providers.script import Rule
from tests.system.platform import running

TURNS = int(os.environ.get("OFFHOOK_BENCH_TURNS", "104"))  # a cell and arm; some are discarded
PER_CALL = 26
CALL_LIMIT_S = 240.0
QUIET_S = 0.25  # after a reply, before the next phrase
QUESTION, ANSWER = "Are you open today?", "Yes."
STOP = "Please wait a moment."
LONG = "Let me tell you all about it. " * 3  # five seconds; more would keep the stubs busy
STATEMENT = "I live in Oak Street."
KINDS = {  # sentences with a pause inside, by where it is; none is in a test of the judgement
    "after a whole clause that goes on": (
        ("Great, thank you.", "That is all."),
        ("I moved last month.", "My new address is Oak Street twelve."),
        ("My daughter is ill.", "She has had a fever since Sunday."),
        ("The parcel came this morning.", "But the box was open."),
        ("We will be four people.", "Two of them are children."),
    ),
    "after a content word": (
        ("I want to book", "a table for two."),
        ("The heating in the bathroom", "has been cold since Friday."),
        ("When my train got to Berlin", "the connection was gone."),
        ("I bought a washing machine", "from your shop in March."),
        ("The lady at the counter", "promised me a refund."),
    ),
    "after a word that asks for more": (
        ("I would like to book", "an appointment for tomorrow."),
        ("My name is", "Peter Miller."),
        ("Could you tell me if", "you are open on Sunday?"),
        ("I am calling because", "my tooth hurts."),
        ("I need to change the", "time of my appointment."),
    ),
}
B4_CALLS = 3  # the cases are shared out: one call with all of them takes too long
PAUSES_S = (0.35, 0.5, 0.7, 1.0)


class Call(Struct, frozen=True):
    """One call: what was on the wire, and what the phone played."""

    caller: wire.Marks
    agent: wire.Marks
    answered: float | None
    said: list[dict[str, Any]]


async def run() -> Rows:
    """Return the rows; takes about eighteen minutes."""
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
        told = self._replies(PLAIN, PLAIN, says=STATEMENT)
        what = "end of speech → first sound"
        rows = compared("B1", f"{what}, no latency ({SETTINGS})", replies, {STOCK: 0.6, PIPECAT: 1})
        rows += beyond_silence(replies[OURS])
        rows += compared("B3", f"{what}, model 300 ms, voice 100 ms", late, {STOCK: 0.7})
        rows += compared("B1", "the same after a statement", told, {STOCK: 0.85})
        for kind, by_pause in self._cut_offs().items():
            for pause_s, cut in by_pause.items():
                rows += shares("B4", f"spoke into the pause of {pause_s} s {kind}", cut)
        rows += compared("B5", "barge-in: first sound → the agent's last", stops, {STOCK: 0.5})
        rows += limited("B5", "barge-in, p95", stops[OURS], 350)
        rows += greetings(self._greetings)
        return rows

    def _interrupted(self) -> tuple[Cell, Cell]:
        """Ask for something long and stop it: replies, and how soon the agent was quiet."""
        question, stop = self._phrases.file(QUESTION), self._phrases.file(STOP)
        turn: Script = [
            {"say": question}, {"again": 5.0}, {"stay": 0.4}, {"say": stop}, {"reply": QUIET_S},
        ]  # fmt: skip
        rules = (Rule(when="wait", say=ANSWER), Rule(say=LONG))
        replies, stops = self._cell(), self._cell()
        for arm, call in self._calls("B1 and B5", turn, rules):
            for said in call.said:
                if said["file"] == question:
                    replies[arm].add(reply_ms, call, said)
                else:
                    stops[arm].add(stop_ms, call, said)
        return replies, stops

    def _replies(self, model: Behaviour, voice: Behaviour, *, says: str = QUESTION) -> Cell:
        """Say short things to providers that may be slow."""
        turn: Script = [{"say": self._phrases.file(says)}, {"reply": QUIET_S}]
        found, what = self._cell(), "B3" if says == QUESTION else "B1, statements"
        for arm, call in self._calls(what, turn, (Rule(say=ANSWER),), model, voice):
            for said in call.said:
                found[arm].add(reply_ms, call, said)
        return found

    def _cut_offs(self) -> dict[str, dict[float, Cell]]:
        """Pause inside sentences, by kind and pause: 1.0 for each pause that was spoken into."""
        cases = [
            (kind, pause_s, *parts)
            for parts_of in zip(*KINDS.values(), strict=True)
            for pause_s in PAUSES_S
            for kind, parts in zip(KINDS, parts_of, strict=True)
        ]
        kinds = {self._phrases.file(first): kind for kind, _, first, _ in cases}
        found = {kind: {pause_s: self._cell() for pause_s in PAUSES_S} for kind in KINDS}
        share = len(cases) // B4_CALLS
        for at in range(0, len(cases), share):
            script: Script = []
            for _, pause_s, first, second in cases[at : at + share]:
                script += [{"say": self._phrases.file(first)}, {"stay": pause_s}]
                script += [{"say": self._phrases.file(second)}, {"reply": QUIET_S}]
            turns, rules = TURNS // B4_CALLS, (Rule(say=ANSWER),)
            for arm, call in self._calls("B4", script, rules, steps=4, turns=turns):
                for part, rest in zip(call.said[::2], call.said[1::2], strict=False):
                    pause_s = min(PAUSES_S, key=lambda s: abs(rest["began"] - part["ended"] - s))
                    found[kinds[part["file"]]][pause_s][arm].add(was_cut, call, part, rest)
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
        except (AssertionError, CallRefused, OSError, RuntimeError) as problem:
            print(f"  {what}: a call of {arm.name} failed: {str(problem)[:300]}", flush=True)
            self._greetings[arm.name].discards["the call failed"] += 1
            return
        said = phone.said()
        caller = wire.caller_marks(capture.caller, self._phrases.played(said))
        call = Call(caller, wire.agent_marks(capture.agent), capture.answered, said)
        self._greetings[arm.name].add(greeting_ms, call)
        done.append((arm.name, call))


def reply_ms(call: Call, said: dict[str, Any]) -> float:
    """Return how long the reply to a phrase took."""
    return wire.reply_ms(call.caller, call.agent, said["began"], said["ended"], said["until"])


def stop_ms(call: Call, said: dict[str, Any]) -> float:
    """Return how long the agent went on against an interruption."""
    return wire.stop_ms(call.caller, call.agent, said["began"], said["until"])


def was_cut(call: Call, first: dict[str, Any], second: dict[str, Any]) -> float:
    """Return 1 where the agent spoke between a sentence's first part and its end, else 0."""
    during = (first["began"], first["ended"])
    return float(wire.cut_off(call.caller, call.agent, during, second["ended"]))


def greeting_ms(call: Call) -> float:
    """Return how long after the answer the agent was heard."""
    if call.answered is None:
        raise wire.Discarded("no answer on the wire")
    return wire.start_ms(call.agent, call.answered)
