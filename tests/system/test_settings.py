"""What an assistant is told to do, heard on a call: first sentence, limits, patience, language."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec import Struct

from agent.stock_phrases import stock_phrases
from bench.calls import reply_delays_ms
from control_plane.domain.assistant import Language
from speech.offline.voice import Speaker
from tests.listener.phrase_bank import ACCEPT, PhraseBank
from tests.providers.script import Rule
from tests.providers.servers import ProviderServers
from tests.system.far_end import RATE, FarEnd, phone, render
from tests.system.platform import Platform
from tests.system.sound import Samples
from tests.system.test_conversation import number_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

GREETING = "Hello, this is the night desk."
GENERATED = "Good evening, you have reached the clinic."
QUESTION = "When do you open tomorrow?"
ANSWER = "We open at nine in the morning."
STORY = "Let me tell you all about our long history in this town. "
TIME_UP = "I am afraid our time is up."
OWN = stock_phrases(Language.EN_US)
CLOUD = {"type": "dedicated-instance", "name": "gpt-4.1"}
_callees = itertools.count(700)
_Told = TypeVar("_Told")


class Held(Struct, frozen=True):
    """A call that is over: the attempt, what the phone heard, what happened there."""

    attempt: dict[str, Any]
    heard: Samples
    far_end: FarEnd

    @property
    def said(self) -> list[str]:
        """The agent's words."""
        return [i["content"] for i in self.attempt["transcript"] if i["role"] == "assistant"]

    def at(self, name: str, **facts: Any) -> float:
        """Return when the phone's first event of this name and these facts was."""
        seen = (e for e in self.far_end.events if e["event"] == name and facts.items() <= e.items())
        return float(next(seen)["t"])


class Caller:
    """Holds calls with a phone that follows a script."""

    def __init__(self, platform: Platform, speaker: Speaker, folder: Path) -> None:
        self._platform = platform
        self._speaker = speaker
        self._folder = folder

    def says(self, text: str) -> dict[str, Any]:
        """Return the step that says `text`."""
        return {"say": render(self._speaker, self._folder, text, trimmed=True)}

    def call(
        self, *script: dict[str, Any], order: dict[str, Any] | None = None, **told: Any
    ) -> Held:
        """Call a phone and return how it went; it hangs up last of all."""
        with phone(self._folder, [*script, {"hangup": True}]) as far_end:
            assistant = {
                "name": "Settings",
                "prompt": "You are the night desk.",
                "first_sentence": GREETING,
                "first_sentence_mode": "static",
                "from_phone_number": number_at(self._platform, "settings", far_end.port),
            } | told
            placed = self._platform.order(
                f"+1202555{next(_callees):04d}", assistant=assistant, **(order or {})
            )
            far_end.wait("over", 100.0)
            heard = far_end.heard()
        call = self._platform.finished(placed["id"])
        return Held(call["last_call_attempt"], heard, far_end)

    def together(self, *calls: Callable[[], _Told]) -> Iterator[_Told]:
        """Hold calls at the same time: each is a function of nothing; returns what they return."""
        with ThreadPoolExecutor(len(calls)) as callers:
            return callers.map(lambda call: call(), calls)


@pytest.fixture
def caller(
    platform: Platform, providers: ProviderServers, speaker: Speaker, folder: Path
) -> Caller:
    providers.controls.reset()
    providers.controls.rules(
        Rule(when="open", say=ANSWER),
        Rule(when="history", say=STORY * 8),
        Rule(say=GENERATED),
    )
    providers.journal.clear()
    return Caller(platform, speaker, folder)


@pytest.fixture(scope="module")
def bank(speaker: Speaker) -> PhraseBank:
    return PhraseBank([GREETING, GENERATED, ANSWER, TIME_UP, *OWN.asks, OWN.silent])


def hears(bank: PhraseBank, held: Held, phrase: str) -> bool:
    return bank.best_in(held.heard, RATE, phrase) >= ACCEPT


@pytest.mark.shows("first_sentence_delay_ms", "first_sentence_mode", "from_phone_number")
def test_the_first_sentence_waits_for_its_delay_and_none_waits_for_the_person(
    caller: Caller, bank: PhraseBank
) -> None:
    question = caller.says(QUESTION)
    late, none = caller.together(
        lambda: caller.call({"listen": 0.8}, first_sentence_delay_ms=2_000),
        lambda: caller.call(
            {"stay": 4}, question, {"listen": 0.8}, first_sentence_mode="none", llm_model=CLOUD
        ),
    )
    waited = late.at("speech", what="begins") - late.at("connected")
    assert waited >= 2.0
    assert late.said == [GREETING]
    assert hears(bank, late, GREETING)
    assert none.at("speech", what="begins") > none.at("said")
    assert none.said == [ANSWER]
    assert hears(bank, none, ANSWER)


@pytest.mark.shows("faq_items", "first_sentence", "first_sentence_mode")
def test_a_generated_first_sentence_is_ready_before_the_answer(
    caller: Caller, bank: PhraseBank, providers: ProviderServers
) -> None:
    held = caller.call(
        {"listen": 0.8},
        first_sentence_mode="generated",
        first_sentence="Greet {{who}} warmly.",
        llm_model=CLOUD,
        faq_items=[{"question": "Is there parking?", "answer": "Behind the dial_plan."}],
        order={"prompt_variables": {"who": "Ada"}},
    )
    (asked,) = providers.journal.entries("openai.chat", "request")
    assert asked.time < held.at("connected")
    told = str(asked.asked["messages"])
    assert "Greet Ada warmly." in told
    assert "Q: Is there parking?" in told
    assert "Behind the dial_plan." in told
    assert held.said == [GENERATED]
    assert hears(bank, held, GENERATED)


@pytest.mark.long
def test_who_speaks_first_gets_the_first_sentence_as_the_reply_once(
    caller: Caller, bank: PhraseBank
) -> None:
    held = caller.call(
        caller.says("Who is calling me?"), {"listen": 1.5}, first_sentence_delay_ms=3_000
    )
    (reply,) = held.said  # with the model's answer behind it, where the recogniser heard a question
    assert reply.startswith(GREETING)
    assert reply.count(GREETING) == 1
    assert hears(bank, held, GREETING)
    assert held.at("speech", what="begins") > held.at("said")


@pytest.mark.shows("max_call_duration_secs", "max_duration_end_message")
def test_the_longest_duration_ends_with_its_message_whatever_the_person_says(
    caller: Caller, bank: PhraseBank
) -> None:
    limit_s = 20
    told = {"max_call_duration_secs": limit_s, "llm_model": CLOUD}
    tell = caller.says("Tell me about your history.")
    over = caller.says("Stop, stop. Please let me say something.")
    silent, spoken = caller.together(
        lambda: caller.call({"listen": 0.8}, tell, {"stay": 60}, **told),
        lambda: caller.call(
            {"listen": 0.8}, tell, {"hear": 5}, {"stay": 6}, over, over, {"stay": 60},
            max_duration_end_message=TIME_UP, **told,
        ),
    )  # fmt: skip
    for held in (silent, spoken):
        assert (held.attempt["ended_by"], held.attempt["end_reason"]) == ("system", "max_duration")
        lasted = held.at("state", state="DISCONNECTED") - held.at("connected")
        assert lasted <= limit_s + 3.0
    assert spoken.said[-1] == TIME_UP
    assert hears(bank, spoken, TIME_UP)
    assert not hears(bank, silent, TIME_UP)


@pytest.mark.shows("silence_timeout_secs")
@pytest.mark.long
def test_silence_is_asked_twice_and_then_left(caller: Caller, bank: PhraseBank) -> None:
    held = caller.call({"stay": 60}, silence_timeout_secs=9)
    assert (held.attempt["ended_by"], held.attempt["end_reason"]) == ("agent", "silence")
    assert held.said == [GREETING, *OWN.asks, OWN.silent]
    for sentence in held.said:
        assert hears(bank, held, sentence), sentence


@pytest.mark.long
@pytest.mark.shows("language")
def test_the_language_reaches_stt_model_and_voice(
    caller: Caller, providers: ProviderServers
) -> None:
    held = caller.call(
        caller.says(QUESTION),
        {"listen": 1.0},
        language="es-MX",
        first_sentence_mode="none",
        llm_model=CLOUD,
        voice={"provider": "cartesia", "id": "voice-a"},
        stt={"provider": "openai"},
        silence_timeout_secs=300,
    )
    assert held.attempt["transcript"]
    told = providers.journal.entries("openai.chat", "request")[0].asked["messages"]
    assert "Speak Mexican Spanish." in str(told)
    for capability in ("openai.stt", "cartesia.tts"):
        asked = [e.asked for e in providers.journal.entries(capability) if "language" in e.asked]
        assert {each["language"] for each in asked} == {"es"}, capability


@pytest.mark.shows("turn_taking")
@pytest.mark.long
def test_a_patient_agent_waits_longer_than_a_fast_one(
    caller: Caller, providers: ProviderServers
) -> None:
    """At the same time: what else the machine does, it does to both."""
    providers.controls.hear("openai.stt", *[QUESTION] * 12)
    turns = [step for _ in range(3) for step in (caller.says(QUESTION), {"listen": 0.8})]

    def held(profile: str) -> float:
        call = caller.call(
            {"listen": 0.8}, *turns,
            turn_taking=profile, llm_model=CLOUD, stt={"provider": "openai"},
        )  # fmt: skip
        return statistics.median(reply_delays_ms(call.far_end))

    fast, patient = caller.together(lambda: held("fast"), lambda: held("patient"))
    assert patient > fast + 250


@pytest.mark.shows("recording_enabled")
def test_what_was_broken_off_is_in_the_transcript_as_far_as_it_was_heard(caller: Caller) -> None:
    tell = caller.says("Tell me about your history.")
    start: tuple[dict[str, Any], ...] = ({"listen": 0.8}, tell, {"hear": 5}, {"stay": 3})
    told = {"llm_model": CLOUD, "recording_enabled": False}
    spoken_over, left = caller.together(
        lambda: caller.call(*start, caller.says(QUESTION), {"stay": 2}, {"listen": 0.8}, **told),
        lambda: caller.call(*start, **told),
    )
    for held in (spoken_over, left):
        cut = next(i["content"] for i in held.attempt["transcript"] if i["interrupted"])
        assert 0 < len(cut) < len(STORY * 8)
        assert (STORY * 8).startswith(cut.rstrip())
        assert (held.attempt["recording_state"], held.attempt["recording_url"]) == ("absent", None)
    assert spoken_over.said[-1] == ANSWER
    assert len(left.said) == 2
