"""Which sound plays when: the background all along, the thinking sound by chance and by turn."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from livekit.agents import AgentSession, AgentStateChangedEvent, UserStateChangedEvent

from agent.audio.frames import SAID_RATE
from agent.audio.mixing import Loop
from agent.audio.sounds import _BACKGROUNDS, Sounds, clip
from control_plane.domain.assistant import BackgroundSound, ThinkingSound
from tests.factories import spec

pytestmark = pytest.mark.unit


class Line:
    """A line that only remembers what plays."""

    def __init__(self) -> None:
        self.playing: list[Loop] = []
        self.begun = 0

    def play(self, loop: Loop) -> None:
        self.begun += 1
        self.playing.append(loop)

    def stop(self, loop: Loop) -> None:
        if loop in self.playing:
            self.playing.remove(loop)


class Turns:
    """An agent's states, one after the other."""

    def __init__(self, sounds: Sounds) -> None:
        self._sounds = sounds
        self._state: Any = "listening"

    def go(self, *states: Any) -> None:
        for state in states:
            event = AgentStateChangedEvent(old_state=self._state, new_state=state)
            self._state = state
            self._sounds.on_agent_state(event)

    def caller_speaks(self) -> None:
        self._sounds.on_user_state(
            UserStateChangedEvent(old_state="listening", new_state="speaking")
        )


async def ready(
    draw: Callable[[], float] = lambda: 0.0, **settings: Any
) -> tuple[Sounds, Line, Turns]:
    """Return the sounds of an answered call."""
    line = Line()
    sounds = Sounds(spec(**settings), line, draw=draw)
    await sounds.load()
    assert line.playing == []  # nothing before the answer
    session: AgentSession[None] = AgentSession()
    sounds.begin(session)
    return sounds, line, Turns(sounds)


TYPING = {"thinking_sound": ThinkingSound.MORE_TYPING}


@pytest.mark.parametrize("sound", ThinkingSound)
def test_every_clip_is_there_and_audible(sound: ThinkingSound) -> None:
    samples = clip(sound.value)
    assert samples.dtype == np.int16
    assert len(samples) > 3 * SAID_RATE
    assert np.abs(samples).max() > 300
    assert clip(sound.value) is samples  # decoded once


def test_every_background_has_its_clip() -> None:
    assert set(_BACKGROUNDS) == set(get_args(BackgroundSound))
    office = clip(_BACKGROUNDS["audio/office.ogg"])
    assert office is clip(ThinkingSound.OFFICE.value)
    assert len(office) == pytest.approx(22 * SAID_RATE, rel=0.05)


async def test_the_background_plays_from_the_answer_on_whatever_happens() -> None:
    _, line, turns = await ready(background_sound="audio/office.ogg", background_sound_volume=0.5)
    (loop,) = line.playing
    assert loop.under_words
    expected = clip("office-ambience.ogg")[:480] * np.float32(0.5)
    assert loop.read(480).tolist() == expected.tolist()
    turns.go("thinking", "speaking", "listening")
    turns.caller_speaks()
    assert line.playing == [loop]


async def test_without_settings_nothing_plays() -> None:
    _, line, turns = await ready()
    turns.go("thinking", "speaking", "listening")
    assert line.begun == 0


@pytest.mark.parametrize(
    "silent",
    [
        {"background_sound": "audio/office.ogg", "background_sound_volume": 0.0},
        {**TYPING, "thinking_sound_volume": 0.0},
    ],
)
async def test_volume_nought_costs_nothing(silent: dict[str, Any]) -> None:
    _, line, turns = await ready(**silent)
    turns.go("thinking")
    assert line.begun == 0


async def test_the_thinking_sound_lasts_as_long_as_the_thinking() -> None:
    _, line, turns = await ready(**TYPING, thinking_sound_volume=0.25)
    assert line.playing == []
    turns.go("thinking")
    (loop,) = line.playing
    assert not loop.under_words
    expected = clip("keyboard-typing2.ogg")[:480] * np.float32(0.25)
    assert loop.read(480).tolist() == expected.tolist()
    turns.go("speaking")
    assert line.playing == []


async def test_it_stops_at_once_when_the_caller_speaks() -> None:
    _, line, turns = await ready(**TYPING)
    turns.go("thinking")
    turns.caller_speaks()
    assert line.playing == []


@pytest.mark.parametrize(("probability", "begun"), [(0.0, 0), (1.0, 1_000)])
async def test_never_is_never_and_always_is_always(probability: float, begun: int) -> None:
    chance = random.Random(7)
    _, line, turns = await ready(chance.random, **TYPING, thinking_sound_probability=probability)
    for _ in range(1_000):
        turns.go("thinking", "speaking", "listening")
    assert line.begun == begun


async def test_half_is_the_turns_that_the_dice_say() -> None:
    dice, same_dice = random.Random(7), random.Random(7)
    _, line, turns = await ready(dice.random, **TYPING, thinking_sound_probability=0.5)
    for _ in range(1_000):
        expected = line.begun + (same_dice.random() < 0.5)
        turns.go("thinking")
        assert line.begun == expected
        turns.go("speaking", "listening")
    assert 450 < line.begun < 550


async def test_a_turn_that_waits_for_tools_is_drawn_once() -> None:
    drawn = iter([0.4, 0.9, 0.4])
    _, line, turns = await ready(drawn.__next__, **TYPING, thinking_sound_probability=0.5)
    turns.go("thinking", "speaking", "thinking", "speaking", "listening")
    assert line.begun == 2
    turns.go("thinking", "speaking", "thinking", "speaking", "listening")
    assert line.begun == 2
    turns.go("thinking")
    assert line.begun == 3
