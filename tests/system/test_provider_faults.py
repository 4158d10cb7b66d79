"""A provider that fails in the middle of a call: what the caller hears, judged from the wire."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from msgspec import Struct

from agent.sayings import sayings
from control_plane.domain.assistant import Language
from speech.offline.voice import SAMPLE_RATE, Speaker
from tests.ears.phrase_bank import PhraseBank, utterances
from tests.providers.behaviour import Behaviour, Fault
from tests.providers.script import Rule
from tests.providers.servers import KEY, ProviderServers
from tests.system.far_end import RATE, FarEnd, phone, render, without_silence
from tests.system.platform import Platform
from tests.system.test_conversation import number_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

OWN = sayings(Language.EN_US)
FILLER, LONGER = OWN.fillers[0], "I am still looking."
SORRY, UNHEARD = "I am sorry, I have a technical problem and must end this call.", OWN.unheard
NOT_CAUGHT = "Sorry, I did not catch that."
GREETING = "Hello, this is the night desk."
QUESTION = "When do you open tomorrow?"
ANSWER = "We open at nine."
OTHER = "Sunday is our busiest day of the whole week."
HEARD = 0.85
"""Calls at the same time on a busy machine: sentences come a little warped."""
MOST_SILENCE_S = 3.0
BYE_S = 5.0
ONCE, LASTS = 1, None
_callees = itertools.count(500)

OPENAI = {"type": "dedicated-instance", "name": "gpt-4.1"}
MISTRAL = {"type": "dedicated-instance", "name": "ministral-3-8b-instruct"}
ROUTED = {"type": "openrouter", "openrouter_model_id": "m/l", "openrouter_provider": "groq"}
CUSTOM = {"type": "custom", "model_name": "mine", "api_key": KEY, "api_url": "filled in"}
REALTIME = {"type": "realtime", "provider": "openai", "realtime_model_id": "gpt-realtime"}
GOOGLE = {"type": "realtime", "provider": "google", "realtime_model_id": "gemini-live"}
CARTESIA = {"provider": "cartesia", "id": "voice-a"}
ELEVENLABS = {"provider": "elevenlabs", "id": "voice-b"}


class Row(Struct, frozen=True, kw_only=True):
    """One call.

    Args:
        assistant: beside its sentences.
        before: what the providers do from the order on; `faults`: from the greeting's end on, and
            how often.
        heard: the phrases that must be heard; `unheard`: those that must not.
        detail: parts of what the attempt says of its failure; none: the caller hangs up content.
        said: what the transcript must hold of the agent's own sentences.
        questions: how often the caller asks; `patience_s`: when they hang up on an answer that
            does not end.
    """

    assistant: Mapping[str, Any]
    before: Mapping[str, Behaviour] = {}
    faults: Mapping[str, tuple[Behaviour, int | None]] = {}
    heard: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    questions: int = 1
    patience_s: float | None = None


def fault(kind: Fault, **more: Any) -> Behaviour:
    return Behaviour(fault=kind, **more)


SAVED = {"heard": (ANSWER,), "unheard": (SORRY,)}
LOST: dict[str, Any] = {"heard": (SORRY,), "said": (OWN.apology,)}

GROUPS: dict[str, dict[str, Row]] = {
    "models that refuse": {
        "429 lasts": Row(
            assistant={"llm_model": OPENAI},
            faults={"openai.chat": (Behaviour(status=429), LASTS)},
            detail=("model", "openai", "429"),
            **LOST,
        ),
        "500 once": Row(
            assistant={"llm_model": MISTRAL},
            faults={"mistral.chat": (Behaviour(status=500), ONCE)},
            **SAVED,
        ),
        "reset lasts": Row(
            assistant={"llm_model": ROUTED},
            faults={"openrouter.chat": (fault(Fault.DISCONNECT), LASTS)},
            detail=("model", "openrouter", "broke off"),
            **LOST,
        ),
        "healthy": Row(assistant={"llm_model": CUSTOM}, **SAVED),
    },
    "models that are late": {
        "timeout once": Row(
            assistant={"llm_model": OPENAI},
            faults={"openai.chat": (fault(Fault.HANG), ONCE)},
            said=(FILLER,),
            heard=(FILLER, ANSWER),
            unheard=(SORRY,),
        ),
        "timeout lasts": Row(
            assistant={"llm_model": MISTRAL},
            faults={"mistral.chat": (fault(Fault.HANG), LASTS)},
            detail=("model", "mistral", "in time"),
            said=(FILLER, OWN.apology),
            heard=(FILLER, LONGER, SORRY),
        ),
        "fallbacks in order": Row(
            assistant={"llm_model": ROUTED, "llm_fallbacks": [MISTRAL, CUSTOM]},
            faults={
                "openrouter.chat": (fault(Fault.HANG), LASTS),
                "mistral.chat": (fault(Fault.HANG), LASTS),
            },
            said=(FILLER,),
            heard=(FILLER, ANSWER),
            unheard=(SORRY,),
        ),
    },
    "models that say nothing of use": {
        "empty once": Row(
            assistant={"llm_model": OPENAI},
            faults={"openai.chat": (fault(Fault.EMPTY), ONCE)},
            **SAVED,
        ),
        "empty lasts": Row(
            assistant={"llm_model": MISTRAL},
            faults={"mistral.chat": (fault(Fault.EMPTY), LASTS)},
            detail=("model", "mistral", "empty"),
            **LOST,
        ),
        "garbage lasts": Row(
            assistant={"llm_model": ROUTED},
            faults={"openrouter.chat": (fault(Fault.GARBAGE), LASTS)},
            detail=("model", "openrouter", "broke off"),
            **LOST,
        ),
    },
    "models that say too much": {
        "endless": Row(
            assistant={"llm_model": OPENAI},
            faults={"openai.chat": (fault(Fault.ENDLESS, gap_ms=5), LASTS)},
            patience_s=8,
            unheard=(SORRY,),
        ),
        "1 MB": Row(
            assistant={"llm_model": MISTRAL},
            faults={"mistral.chat": (fault(Fault.HUGE), ONCE)},
            patience_s=8,
            **SAVED,
        ),
        "stalls in the middle": Row(
            assistant={"llm_model": ROUTED},
            faults={"openrouter.chat": (fault(Fault.STALL, after=3), LASTS)},
            detail=("model", "openrouter", "in time"),
            **LOST,
        ),
    },
    "voices": {
        "stall lasts": Row(
            assistant={"llm_model": CUSTOM, "voice": CARTESIA},
            faults={"cartesia.tts": (fault(Fault.STALL), LASTS)},
            detail=("voice", "cartesia", "in time"),
            said=(FILLER, OWN.apology),
            heard=(FILLER, SORRY),
        ),
        "nothing lasts": Row(
            assistant={"llm_model": MISTRAL, "voice": ELEVENLABS},
            faults={"elevenlabs.tts": (fault(Fault.ZERO_BYTES), LASTS)},
            detail=("voice", "elevenlabs"),
            said=(FILLER, OWN.apology),
            heard=(FILLER, SORRY),
        ),
    },
    "a voice that fails before the call": {
        "fails before the call": Row(
            assistant={
                "llm_model": MISTRAL,
                "voice": {"provider": "elevenlabs", "id": "voice-before"},
                "voice_fallbacks": [{"provider": "cartesia", "id": "voice-before"}],
            },
            before={"elevenlabs.tts": Behaviour(status=500)},
            **SAVED,
        ),
        "realtime drops once": Row(
            assistant={"llm_model": REALTIME},
            faults={"openai.realtime": (fault(Fault.DISCONNECT), ONCE)},
            **SAVED,
        ),
        "empty, then a fallback": Row(
            assistant={"llm_model": CUSTOM, "llm_fallbacks": [ROUTED]},
            faults={"custom.chat": (fault(Fault.EMPTY), LASTS)},
            **SAVED,
        ),
    },
    "voices that come back": {
        "stall once": Row(
            assistant={"llm_model": CUSTOM, "voice": CARTESIA},
            faults={"cartesia.tts": (fault(Fault.STALL), ONCE)},
            said=(FILLER,),
            heard=(FILLER, ANSWER),
            unheard=(SORRY,),
        ),
        "nothing, then a fallback": Row(
            assistant={
                "llm_model": OPENAI,
                "voice": ELEVENLABS,
                "voice_fallbacks": [CARTESIA],
            },
            faults={"elevenlabs.tts": (fault(Fault.HANG), LASTS)},
            said=(FILLER,),
            heard=(FILLER, ANSWER),
            unheard=(SORRY,),
        ),
        "realtime drops, lasts": Row(
            assistant={"llm_model": REALTIME},
            faults={"openai.realtime": (fault(Fault.DISCONNECT), LASTS)},
            detail=("realtime model", "openai"),
            **LOST,
        ),
    },
    "a voice that stalls and its fallback": {
        "stall, then a fallback": Row(
            assistant={
                "llm_model": OPENAI,
                "voice": ELEVENLABS,
                "voice_fallbacks": [CARTESIA],
            },
            faults={"elevenlabs.tts": (fault(Fault.STALL), LASTS)},
            **SAVED,
        ),
        "wrong rate": Row(
            assistant={"llm_model": CUSTOM, "voice": CARTESIA},
            faults={"cartesia.tts": (Behaviour(sample_rate=16_000), ONCE)},
            unheard=(ANSWER, SORRY),
        ),
        "realtime hangs": Row(
            assistant={"llm_model": REALTIME},
            faults={"openai.realtime": (fault(Fault.HANG), LASTS)},
            detail=("no reply",),
            said=(FILLER, OWN.apology),
            heard=(FILLER, SORRY),
        ),
    },
    "realtime models": {
        "google drops once": Row(
            assistant={"llm_model": GOOGLE},
            faults={"google.realtime": (fault(Fault.DISCONNECT), ONCE)},
            **SAVED,
        ),
        "a key that is refused by now": Row(
            assistant={"llm_model": REALTIME},
            faults={"openai.realtime": (Behaviour(status=401), LASTS)},
            detail=("realtime model", "openai"),
            **LOST,
        ),
        "google drops, lasts": Row(
            assistant={"llm_model": GOOGLE},
            faults={"google.realtime": (fault(Fault.DISCONNECT), LASTS)},
            detail=("realtime model", "google"),
            **LOST,
        ),
        "a frame that is no JSON": Row(
            assistant={"llm_model": REALTIME},
            faults={"openai.realtime": (fault(Fault.GARBAGE), ONCE)},
            detail=("realtime model", "openai"),
            **LOST,
        ),
    },
    "ears": {
        "silent": Row(
            assistant={"llm_model": CUSTOM, "ears": {"provider": "openai"}},
            faults={"openai.stt": (fault(Fault.EMPTY), LASTS)},
            detail=("ears", "no words"),
            said=(UNHEARD, OWN.apology),
            heard=(NOT_CAUGHT, SORRY),
            questions=3,
        ),
        "finals twice": Row(
            assistant={"llm_model": MISTRAL, "ears": {"provider": "elevenlabs"}},
            faults={"elevenlabs.stt": (fault(Fault.DUPLICATE_FINALS), LASTS)},
            **SAVED,
        ),
        "finals late": Row(
            assistant={"llm_model": OPENAI, "ears": {"provider": "cartesia"}},
            faults={"cartesia.stt": (fault(Fault.LATE_FINALS), LASTS)},
            said=(FILLER,),
            **SAVED,
        ),
    },
    "ears that go": {
        "disconnect lasts": Row(
            assistant={"llm_model": CUSTOM, "ears": {"provider": "openai"}},
            faults={"openai.stt": (fault(Fault.DISCONNECT), LASTS)},
            detail=("ears", "openai", "broke off"),
            **LOST,
        ),
        "disconnect, then a fallback": Row(
            assistant={
                "llm_model": MISTRAL,
                "ears": {"provider": "elevenlabs"},
                "ears_fallbacks": [{"provider": "offline"}],
            },
            faults={"elevenlabs.stt": (fault(Fault.DISCONNECT), LASTS)},
            questions=2,
            **SAVED,
        ),
        "disconnect once": Row(
            assistant={"llm_model": OPENAI, "ears": {"provider": "cartesia"}},
            faults={"cartesia.stt": (fault(Fault.DISCONNECT), ONCE)},
            questions=2,
            **SAVED,
        ),
    },
}


class Ear:
    """The independent ear, a second at a time: on a busy machine a long sentence slips often."""

    def __init__(self, speaker: Speaker) -> None:
        phrases = (GREETING, ANSWER, FILLER, LONGER, SORRY, NOT_CAUGHT)
        self._parts = {phrase: _seconds_of(speaker, phrase) for phrase in phrases}
        sounds = {
            f"{phrase} {n}": part
            for phrase, parts in self._parts.items()
            for n, part in enumerate(parts)
        }
        self._bank = PhraseBank(sounds, [], speak=sounds.__getitem__)

    def score(self, heard: npt.NDArray[np.int16], phrase: str) -> float:
        """Return how well `phrase` is heard, 0 to 1."""
        names = [f"{phrase} {n}" for n in range(len(self._parts[phrase]))]
        return sum(self._bank.best_in(heard, RATE, name) for name in names) / len(names)


def _seconds_of(speaker: Speaker, phrase: str) -> list[npt.NDArray[np.float64]]:
    pcm = np.frombuffer(b"".join(speaker.stream(phrase)), np.int16).astype(np.float64)
    pcm = without_silence(pcm)
    return np.array_split(pcm, max(1, round(pcm.size / SAMPLE_RATE)))


@pytest.fixture(scope="module")
def ear(speaker: Speaker) -> Ear:
    return Ear(speaker)


def _pairs() -> dict[str, dict[str, Row]]:
    """Two calls at a time: more, and a small machine chops what is heard."""
    found: dict[str, dict[str, Row]] = {}
    for group in GROUPS.values():
        rows = list(group.items())
        found |= {rows[n][0]: dict(rows[n : n + 2]) for n in range(0, len(rows), 2)}
    return found


PAIRS = _pairs()


@pytest.mark.parametrize("name", PAIRS)
def test_calls_at_the_same_time(
    platform: Platform,
    providers: ProviderServers,
    speaker: Speaker,
    ear: Ear,
    folder: Path,
    name: str,
) -> None:
    """Each row is a call of its own; nobody else's call suffers from its failure."""
    providers.controls.reset()
    providers.controls.rules(
        Rule(when="open", say=ANSWER), Rule(when=GREETING, say=GREETING), Rule(say=OTHER)
    )
    group = PAIRS[name]
    numbers_known = Barrier(len(group))

    def hold(row: str) -> list[str]:
        own = folder / row.replace(" ", "-")
        own.mkdir()
        call = Faulty(platform, providers, group[row], own, numbers_known)
        try:
            call.hold(render(speaker, own, QUESTION))
        except AssertionError as failure:  # the others are judged all the same
            return [f"{row}: {failure}"]
        return [f"{row}: {wrong}" for wrong in call.judge(ear)]

    with ThreadPoolExecutor(len(group)) as callers:
        wrongs = [wrong for found in callers.map(hold, group) for wrong in found]
    assert wrongs == [], "\n".join(wrongs)


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
        self._events: list[dict[str, Any]] = []
        self._heard: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self._attempt: dict[str, Any] = {}

    def hold(self, question: str) -> None:
        """Have the conversation."""
        ask: list[dict[str, Any]] = [{"listen": 0.6}, {"say": question}]
        for _ in range(self._row.questions - 1):
            ask += [{"listen": 2.9}, {"say": question}]
        if self._row.patience_s is not None:
            ask += [{"stay": self._row.patience_s}, {"hangup": True}]
        else:
            ask += [{"stay": 30}] if self._row.detail else [{"listen": 2.9}, {"hangup": True}]
        with phone(self._folder, ask) as far_end:
            assistant = {
                "name": self._folder.name,
                "prompt": "You are the night desk.",
                "first_sentence": GREETING,
                "first_sentence_mode": "static",
                **self._row.assistant,
            }
            number = number_at(self._platform, self._folder.name, far_end.port)
            # A number is known to the scheduler within a second: no order may come in between.
            self._numbers_known.wait(40.0)
            for capability, behaviour in self._row.before.items():
                self._providers.controls.behave(capability, behaviour)
            placed = self._platform.order(
                f"+1202555{next(_callees):04d}",  # nobody is called twice at a time
                from_phone_number=number,
                assistant=self._with_url(assistant),
            )
            self._fail(far_end)
            far_end.wait("over", 60.0)
            self._attempt = self._platform.finished(placed["id"])["last_call_attempt"]
            self._events, self._heard = far_end.events, far_end.heard()

    def _fail(self, far_end: FarEnd) -> None:
        """Let the providers fail, once the greeting was heard."""
        far_end.wait("speech", 40.0, what="ended")
        for capability, (behaviour, times) in self._row.faults.items():
            self._providers.controls.behave(capability, behaviour, times=times)

    def _with_url(self, assistant: dict[str, Any]) -> dict[str, Any]:
        """Return `assistant` with the custom model's address, known only while it runs."""

        def placed(model: Any) -> Any:
            url = {"api_url": self._providers.custom_url}
            return model | url if model["type"] == "custom" else model

        model, others = assistant["llm_model"], assistant.get("llm_fallbacks", [])
        return assistant | {
            "llm_model": placed(model),
            "llm_fallbacks": [placed(each) for each in others],
        }

    def judge(self, ear: Ear) -> list[str]:
        """Return what is wrong with the call."""
        row, attempt = self._row, self._attempt
        wrongs = [*self._silences()]
        for phrase in (GREETING, *row.heard):
            score = ear.score(self._heard, phrase)
            if score < HEARD:
                wrongs.append(f"{phrase!r} was not heard ({score:.2f})")
        wrongs += [
            f"{phrase!r} was heard"
            for phrase in row.unheard
            if ear.score(self._heard, phrase) >= HEARD
        ]
        said = [item["content"] for item in attempt["transcript"]]
        wrongs += [f"{text!r} is not in the transcript" for text in row.said if text not in said]
        end = (attempt["ended_by"], attempt["end_reason"])
        if end != (("system", "provider_failed") if row.detail else ("user", None)):
            wrongs.append(f"it ended {end}")
        detail = attempt["detail"] or ""
        wrongs += [f"{part!r} is not in {detail!r}" for part in row.detail if part not in detail]
        if wrongs:
            wrongs.append(f"transcript {said}, detail {detail!r}, sounds {self._sounds()}")
        return wrongs

    def _sounds(self) -> list[tuple[str, float, float]]:
        """Return who was heard from when to when, in seconds from the connection."""
        ours = [
            ("agent", part.start, part.end) for part in utterances(self._heard, RATE, pause=0.25)
        ]
        theirs = [
            ("caller", event["began"] - self._connected, event["ended"] - self._connected)
            for event in self._events
            if event["event"] == "said"
        ]
        return sorted(
            [(who, round(float(a), 2), round(float(b), 2)) for who, a, b in (*ours, *theirs)],
            key=lambda sound: sound[1],
        )

    @property
    def _connected(self) -> float:
        return float(next(e["t"] for e in self._events if e["event"] == "connected"))

    def _silences(self) -> list[str]:
        """Return the silences that are too long: those in which the agent owed words."""
        sounds = self._sounds()
        asked = next((end for who, _, end in sounds if who == "caller"), None)
        if asked is None:
            return ["the caller never spoke"]
        over = next(
            e["t"] - self._connected
            for e in self._events
            if e["event"] == "state" and e["state"].startswith("DISCON")
        )
        wrongs, quiet_from = [], asked
        for who, start, end in sounds:
            if end <= asked:
                continue
            gap = start - quiet_from
            if who == "agent" and gap > MOST_SILENCE_S:
                wrongs.append(f"{gap:.1f} s of silence at {quiet_from:.1f} s")
            quiet_from = max(quiet_from, end)
        if self._row.detail and over - quiet_from > BYE_S:
            wrongs.append(f"{over - quiet_from:.1f} s from the apology to the end")
        return wrongs
