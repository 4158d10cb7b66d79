"""The background and the thinking sound, heard from the wire and in the recording."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import resample_poly

from agent.audio.sounds import clip
from speech.offline.voice import Speaker
from tests.providers.behaviour import Behaviour
from tests.providers.script import Rule
from tests.providers.servers import ProviderServers, in_background
from tests.system.far_end import RATE, phone, render
from tests.system.platform import Platform
from tests.system.sound import Samples, channels, full_mix
from tests.system.test_conversation import number_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

GREETING = "Hello, this is the Bright Smile dental clinic. How can I help you today?"
GREETING_DELAY_S = 3.0
GREETING_S = 5.0
ROUND = 0.04
"""Seconds over which a level is taken."""
QUIET = 3.0
"""Of 32,768: a line on which nothing plays, after G.711 and Opus."""
THINKING_S = 3.0  # the model has half a second more
CITY = "city-ambience.ogg"
AT_A_TIME = 2
_callees = itertools.count(600)


@pytest.fixture(scope="module")
def servers() -> Iterator[ProviderServers]:
    with in_background(tone=True) as started:
        yield started


def held(
    platform: Platform, folder: Path, script: list[dict[str, Any]], **assistant: Any
) -> tuple[Samples, Samples, list[dict[str, Any]]]:
    """Call a phone that follows `script`.

    Returns:
        what it heard, the recording's right channel, its events.
    """
    heard, attempt, events = called(platform, folder, script, **assistant)
    assert attempt["recording_mix_url"] is None
    return heard, channels(platform, attempt)[1], events


def called(
    platform: Platform, folder: Path, script: list[dict[str, Any]], **assistant: Any
) -> tuple[Samples, dict[str, Any], list[dict[str, Any]]]:
    """Call a phone that follows `script`; returns what it heard, the attempt, its events."""
    told = {"name": "Sounds", "prompt": "You are a receptionist.", **assistant}
    with phone(folder, [*script, {"hangup": True}]) as far_end:
        number = number_at(platform, "sounds", far_end.port)
        callee = f"+1202555{next(_callees):04d}"  # nobody is called twice at a time
        placed = platform.order(callee, from_phone_number=number, assistant=told)
        far_end.wait("over", 100.0)
        heard = far_end.heard()
    platform.finished(placed["id"])
    call = platform.wait_call(
        placed["id"], lambda c: c["last_call_attempt"]["recording_url"] is not None, 10.0
    )
    return heard, call["last_call_attempt"], far_end.events


def levels(samples: Samples) -> list[float]:
    """Return the level (root mean square) of each `ROUND`."""
    size = int(ROUND * RATE)
    rounds = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    return [float(level) for level in np.sqrt(np.mean(rounds**2, axis=1))]


def level(samples: Samples, start_s: float, end_s: float) -> float:
    part = samples[int(start_s * RATE) : int(end_s * RATE)].astype(np.float64)
    return float(np.sqrt(np.mean(part**2)))


def around_words(samples: Samples) -> tuple[float, float, float]:
    """Return the level before the greeting, the lowest in its pauses, and the one after it."""
    loud = [index for index, each in enumerate(levels(samples)) if each > 500]
    first, last = loud[0] * ROUND, loud[-1] * ROUND
    assert last - first > GREETING_S / 2
    lowest = min(levels(samples)[loud[0] : loud[-1]])
    return level(samples, first - 2.0, first - 0.3), lowest, level(samples, last + 1, last + 4)


@pytest.mark.shows("background_sound", "background_sound_volume")
def test_the_background_is_heard_before_between_and_after_the_words_at_its_level(
    platform: Platform, folder: Path
) -> None:
    volumes = (1.0, 0.25, 0.0)

    def hear(volume: float) -> tuple[Samples, Samples, list[dict[str, Any]]]:
        return held(
            platform,
            folder,
            [{"stay": GREETING_DELAY_S + GREETING_S + 6}],
            first_sentence=GREETING,
            first_sentence_mode="static",
            first_sentence_delay_ms=int(GREETING_DELAY_S * 1000),
            background_sound="audio/office.ogg",
            background_sound_volume=volume,
        )

    with ThreadPoolExecutor(AT_A_TIME) as callers:
        found = dict(zip(volumes, callers.map(hear, volumes), strict=True))
    narrow = resample_poly(clip("office-ambience.ogg").astype(np.float64), 1, 3)
    usual = float(np.sqrt(np.mean(narrow**2)))
    for which in (0, 1):  # at the far end, in the recording
        loud, soft, none = (around_words(found[volume][which]) for volume in (1.0, 0.25, 0.0))
        assert max(none) < QUIET
        assert loud[0] / soft[0] == pytest.approx(4.0, rel=0.3)
        assert loud[2] / soft[2] == pytest.approx(4.0, rel=0.3)
        assert 0.4 * usual < loud[0] < 2.5 * usual  # it is not the same loudness all along
        assert loud[1] > 3 * QUIET  # the voice's own pauses are not silent


def stretches(samples: Samples, wanted: float) -> list[tuple[float, float]]:
    """Return where the level is about `wanted` for half a second at least: its start, its length.

    A word that is as loud for a moment is shorter.
    """
    found, begun = [], None
    for index, each in enumerate([*levels(samples), 0.0]):
        if 0.5 * wanted < each < 2 * wanted:
            begun = index if begun is None else begun
        elif begun is not None:
            if (index - begun) * ROUND >= 0.5:
                found.append((begun * ROUND, (index - begun) * ROUND))
            begun = None
    return found


def thinker(servers: ProviderServers, **more: Any) -> dict[str, Any]:
    """Return an assistant that thinks for long, to a steady sound."""
    servers.controls.behave("custom.chat", Behaviour(latency_ms=int(THINKING_S * 1000)))
    servers.controls.rules(Rule(say="We are open from nine to five."))
    return {
        "llm_model": {
            "type": "custom",
            "api_url": servers.custom_url,
            "model_name": "slow",
            "api_key": "a-key",
        },
        "first_sentence_mode": "none",
        "thinking_sound": CITY,
        "thinking_sound_volume": 0.5,
        **more,
    }


CITY_LEVEL = 0.0161 * 32_768 * 0.5


@pytest.mark.shows("thinking_sound", "thinking_sound_volume")
def test_the_thinking_sound_is_heard_while_the_agent_thinks_and_at_no_other_time(
    platform: Platform, speaker: Speaker, servers: ProviderServers, folder: Path
) -> None:
    question = render(speaker, folder, "What are your opening hours?")
    script = [{"stay": 1.5}, {"say": question}, {"stay": THINKING_S + 6}]
    heard, right, events = held(platform, folder, script, **thinker(servers))
    ((began, lasted),) = stretches(heard, CITY_LEVEL)
    connected = next(event["t"] for event in events if event["event"] == "connected")
    asked = next(event for event in events if event["event"] == "said")
    assert began > asked["ended"] - connected - 0.2
    assert lasted == pytest.approx(THINKING_S, abs=1.2)
    assert max(levels(heard[: int((began - 0.2) * RATE)])) < QUIET
    # The answer follows, and then nothing.
    assert level(heard, began + lasted, began + lasted + 1.5) > 1_000
    assert max(levels(heard)[-20:]) < QUIET
    ((_, recorded),) = stretches(right, CITY_LEVEL)
    assert recorded == pytest.approx(lasted, abs=0.3)
    assert max(levels(right)[-20:]) < QUIET


@pytest.mark.shows("thinking_sound_probability")
@pytest.mark.long
def test_a_probability_of_nought_leaves_the_thinking_silent(
    platform: Platform, speaker: Speaker, servers: ProviderServers, folder: Path
) -> None:
    question = render(speaker, folder, "What are your opening hours?")
    script = [{"stay": 1.5}, {"say": question}, {"stay": THINKING_S + 6}]
    settings = thinker(servers, thinking_sound_probability=0.0)
    heard, right, _ = held(platform, folder, script, **settings)
    for samples in (heard, right):
        assert stretches(samples, CITY_LEVEL) == []
        assert max(levels(samples)) > 1_000  # it did answer


@pytest.mark.long
def test_the_thinking_sound_stops_when_the_caller_goes_on(
    platform: Platform, speaker: Speaker, servers: ProviderServers, folder: Path
) -> None:
    question = render(speaker, folder, "What are your opening hours?")
    more = render(speaker, folder, "I mean the opening hours of this week, and of next week too.")
    script = [{"stay": 1.5}, {"say": question}, {"stay": 2.0}, {"say": more}, {"stay": 0.1}]
    heard, _, events = held(platform, folder, script, **thinker(servers))
    connected = next(event["t"] for event in events if event["event"] == "connected")
    _, second = (event for event in events if event["event"] == "said")
    again, until = second["began"] - connected, second["ended"] - connected
    assert level(heard, again - 0.8, again - 0.2) == pytest.approx(CITY_LEVEL, rel=0.4)
    assert max(levels(heard[int((again + 0.9) * RATE) : int((until - 0.3) * RATE)])) < QUIET


@pytest.mark.long
@pytest.mark.shows("recording_full_mix")
def test_the_full_mix_holds_the_caller_and_the_agent_with_its_sounds(
    platform: Platform, speaker: Speaker, folder: Path
) -> None:
    question = render(speaker, folder, "What are your opening hours?")
    _, attempt, _ = called(
        platform,
        folder,
        [{"stay": 2.5}, {"say": question}, {"stay": 6}],
        first_sentence_mode="none",
        background_sound="audio/office.ogg",
        background_sound_volume=1.0,
        recording_full_mix=True,
    )
    left, right = channels(platform, attempt)
    both = full_mix(platform, attempt)
    assert len(both) == pytest.approx(len(left), abs=RATE // 10)
    halves = [(0.5 * at, 0.5 * at + 0.5) for at in range(1, len(left) // (RATE // 2) - 1)]
    compared = [[level(each, *half) for each in (left, right, both)] for half in halves]
    for caller, agent, mix in compared:
        if max(caller, agent) > 20:  # below, two encoders of noise differ too much
            assert mix == pytest.approx((caller**2 + agent**2) ** 0.5, rel=0.35)
    # Each was alone at some time, and the mix had it.
    assert any(caller > 500 > 10 * agent for caller, agent, _ in compared)
    assert any(agent > 500 > 10 * caller for caller, agent, _ in compared)
    assert any(20 < agent < 200 and caller < QUIET for caller, agent, _ in compared)
