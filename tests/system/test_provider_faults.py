"""A provider that fails in the middle of a call: what the caller hears, judged from the wire.

One row of each class of failures, in pairs; the others are held without SIP by
`tests/agent/test_provider_faults.py`. Two calls at a time leave half a core of two to anything
else: more, and a small machine chops what is heard.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from speech.offline.voice import Speaker
from tests.agent.provider_judging import Ear, Held, wrongs
from tests.agent.provider_rows import (
    ALWAYS,
    ELEVENLABS,
    QUESTION,
    ROWS,
    Row,
    assistant_of,
    every_pair,
    prepare,
)
from tests.providers.behaviour import Behaviour
from tests.providers.servers import ProviderServers
from tests.system.far_end import RATE, FarEnd, phone, render
from tests.system.platform import Platform
from tests.system.test_conversation import number_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

PAIRS = [
    pytest.param(pair, marks=[pytest.mark.long] if at >= ALWAYS else [], id=" beside ".join(pair))
    for at, pair in enumerate(every_pair())
]
_callees = itertools.count(500)


@pytest.fixture(scope="module")
def ear(speaker: Speaker) -> Ear:
    return Ear(speaker)


@pytest.mark.shows("stt_fallbacks", "llm_fallbacks", "voice_fallbacks")
@pytest.mark.parametrize("pair", PAIRS)
def test_calls_at_the_same_time(
    platform: Platform,
    providers: ProviderServers,
    speaker: Speaker,
    ear: Ear,
    folder: Path,
    pair: tuple[str, ...],
) -> None:
    """Each row is a call of its own; nobody else's call suffers from its failure."""
    prepare(providers)
    numbers_known = Barrier(len(pair))

    def hold(name: str) -> list[str]:
        own = folder / name.replace(" ", "-")
        own.mkdir()
        call = Faulty(platform, providers, ROWS[name], own, numbers_known)
        try:
            held = call.hold(render(speaker, own, QUESTION))
        except AssertionError as failure:  # the others are judged all the same
            return [f"{name}: {failure}"]
        return [f"{name}: {wrong}" for wrong in wrongs(ROWS[name], held, ear)]

    with ThreadPoolExecutor(len(pair)) as callers:
        found = [wrong for each in callers.map(hold, pair) for wrong in each]
    assert found == [], "\n".join(found)


def test_a_voice_that_fails_before_the_call_calls_nobody(
    platform: Platform, providers: ProviderServers, folder: Path
) -> None:
    providers.controls.reset()
    providers.controls.behave("elevenlabs.tts", Behaviour(status=500))
    with phone(folder, [{"stay": 1}]) as far_end:
        number = number_at(platform, "nobody", far_end.port)
        assistant = {
            "name": "Mute",
            "prompt": "You are the night desk.",
            "first_sentence": "Nobody ever hears this sentence.",
            "first_sentence_mode": "static",
            "voice": ELEVENLABS,
        }
        placed = platform.order(
            f"+1202555{next(_callees):04d}", from_phone_number=number, assistant=assistant
        )
        call = platform.wait_call(
            placed["id"],
            lambda call: (call["last_call_attempt"] or {}).get("end_reason") is not None,
            30.0,
        )
        attempt = call["last_call_attempt"]
        assert (attempt["ended_by"], attempt["end_reason"]) == ("system", "provider_failed")
        assert attempt["answered_at"] is None
        assert "voice" in attempt["detail"]
        assert "500" in attempt["detail"]
        platform.api.post(f"/call/{placed['id']}/cancel")
        assert [event["event"] for event in far_end.events] == ["up"]


class Faulty:
    """One call whose providers fail after the greeting."""

    def __init__(
        self,
        platform: Platform,
        providers: ProviderServers,
        row: Row,
        folder: Path,
        numbers_known: Barrier,
    ) -> None:
        self._numbers_known = numbers_known
        self._platform = platform
        self._providers = providers
        self._row = row
        self._folder = folder

    def hold(self, question: str) -> Held:
        """Have the conversation."""
        ask: list[dict[str, Any]] = [{"listen": 0.6}, {"say": question}]
        for _ in range(self._row.questions - 1):
            ask += [{"listen": 2.9}, {"say": question}]
        if self._row.patience_s is not None:
            ask += [{"stay": self._row.patience_s}, {"hangup": True}]
        else:
            ask += [{"stay": 30}] if self._row.detail else [{"listen": 2.9}, {"hangup": True}]
        with phone(self._folder, ask) as far_end:
            assistant = assistant_of(self._row, self._folder.name, self._providers)
            number = number_at(self._platform, self._folder.name, far_end.port)
            # A number is known to the scheduler within a second: no order may come in between.
            self._numbers_known.wait(40.0)
            for capability, behaviour in self._row.before.items():
                self._providers.controls.behave(capability, behaviour)
            placed = self._platform.order(
                f"+1202555{next(_callees):04d}",  # nobody is called twice at a time
                from_phone_number=number,
                assistant=assistant,
            )
            self._fail(far_end)
            far_end.wait("over", 60.0)
            attempt = self._platform.finished(placed["id"])["last_call_attempt"]
            return _held(attempt, far_end)

    def _fail(self, far_end: FarEnd) -> None:
        """Let the providers fail, once the greeting was heard."""
        far_end.wait("speech", 40.0, what="ended")
        for capability, (behaviour, times) in self._row.faults.items():
            self._providers.controls.behave(capability, behaviour, times=times)


def _held(attempt: dict[str, Any], far_end: FarEnd) -> Held:
    events = far_end.events
    connected = float(next(e["t"] for e in events if e["event"] == "connected"))
    over = next(e for e in events if e["event"] == "state" and e["state"].startswith("DISCON"))
    said = [e for e in events if e["event"] == "said"]
    return Held(
        heard=far_end.heard(),
        rate=RATE,
        asked=[(e["began"] - connected, e["ended"] - connected) for e in said],
        over_at=over["t"] - connected,
        ended=(attempt["ended_by"], attempt["end_reason"]),
        detail=attempt["detail"] or "",
        said=[item["content"] for item in attempt["transcript"]],
    )
