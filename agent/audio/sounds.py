"""What is heard beside the agent's words: a background all along, a sound while it thinks."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from functools import cache
from importlib.resources import as_file, files
from typing import Protocol

import av
import numpy as np
from livekit.agents import AgentSession, AgentStateChangedEvent, UserStateChangedEvent

from agent.audio.frames import SAID_RATE
from agent.audio.mixing import Loop, Samples
from control_plane.domain.assistant import AssistantSpec, BackgroundSound

_BACKGROUNDS: dict[BackgroundSound, str] = {"audio/office.ogg": "office-ambience.ogg"}

_decoded: dict[str, Samples] = {}
_decoding = threading.Lock()


class Plays(Protocol):
    """Where the sounds are heard."""

    def play(self, loop: Loop) -> None:
        """Let `loop` be heard from now on, from its start."""

    def stop(self, loop: Loop) -> None:
        """Let `loop` be heard no more."""


def clip(name: str) -> Samples:
    """Return one of LiveKit's bundled clips, mono at `SAID_RATE`; decoded once per process."""
    with _decoding:
        if name not in _decoded:
            with as_file(files("livekit.agents.resources") / name) as path:
                _decoded[name] = _decode(str(path))
        return _decoded[name]


@cache
def ringback() -> Samples:
    """Return what is heard while it rings somewhere: 425 Hz, a second of five (ITU-T E.180)."""
    second = np.arange(SAID_RATE) / SAID_RATE
    tone = np.sin(2 * np.pi * 425 * second) * 0.2 * 32_767
    return np.concatenate((tone, np.zeros(4 * SAID_RATE))).astype(np.int16)


class Sounds:
    """Plays one assistant's sounds during one call.

    Args:
        draw: gives the number, at least 0 and below 1, that decides whether a turn of the agent's
            gets its sound: it does when the number is below the assistant's probability.
    """

    def __init__(
        self, spec: AssistantSpec, output: Plays, *, draw: Callable[[], float] = random.random
    ) -> None:
        self._spec = spec
        self._output = output
        self._draw = draw
        self._background: Loop | None = None
        self._thinking: Loop | None = None
        self._this_turn: bool | None = None  # whether it gets the sound; null: not drawn yet

    async def load(self) -> None:
        """Get the clips ready, off the event loop."""
        spec = self._spec
        if spec.background_sound is not None and spec.background_sound_volume > 0:
            samples = await asyncio.to_thread(clip, _BACKGROUNDS[spec.background_sound])
            self._background = Loop(samples, spec.background_sound_volume, under_words=True)
        if spec.thinking_sound is not None and spec.thinking_sound_volume > 0:
            samples = await asyncio.to_thread(clip, spec.thinking_sound.value)
            self._thinking = Loop(samples, spec.thinking_sound_volume, under_words=False)

    def begin(self, session: AgentSession[None]) -> None:
        """The call was answered: play the background, and follow what `session` does."""
        if self._background is not None:
            self._output.play(self._background)
        if self._thinking is not None:
            session.on("agent_state_changed", self.on_agent_state)
            session.on("user_state_changed", self.on_user_state)

    def on_agent_state(self, event: AgentStateChangedEvent) -> None:
        """Play the thinking sound while the agent thinks, and at no other time.

        Between listening and listening lies one turn, whatever tools it waits for meanwhile.
        """
        if self._thinking is None:
            return
        if event.new_state == "thinking":
            if self._this_turn is None:
                self._this_turn = self._draw() < self._spec.thinking_sound_probability
            if self._this_turn:
                self._output.play(self._thinking)
            return
        if event.new_state != "speaking":
            self._this_turn = None
        self._output.stop(self._thinking)

    def on_user_state(self, event: UserStateChangedEvent) -> None:
        """Be quiet for a caller who speaks."""
        if event.new_state == "speaking" and self._thinking is not None:
            self._output.stop(self._thinking)


def _decode(path: str) -> Samples:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAID_RATE)
    with av.open(path) as container:
        frames = [
            part.to_ndarray()[0]
            for frame in [*container.decode(audio=0), None]  # none: what the resampler still holds
            for part in resampler.resample(frame)
        ]
    return np.concatenate(frames).astype(np.int16)
