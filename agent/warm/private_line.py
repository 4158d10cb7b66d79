"""The agent's line to a human in the person's room, which the person does not hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from livekit import rtc
from livekit.agents import APIError, stt

from agent.audio.input import AudioInput
from agent.audio.output import AudioOutput
from agent.warm.gates import Gates
from process.logs import get_logger
from sip.settings import LiveKitSettings
from sip.subscriptions import RoomSubscriptions
from speech import limits

log = get_logger(__name__)


class PrivateLine:
    """One human's, from before their telephone rings; an async context manager.

    Leaving it takes the agent's second track away and changes nothing of who hears whom.

    Args:
        person: the identity of who must not hear it.
        output: what the person hears of the agent.
        recogniser: gives the human's words; null: there are keys alone.
    """

    def __init__(
        self,
        room: rtc.Room,
        person: str,
        livekit: LiveKitSettings,
        *,
        output: AudioOutput,
        recogniser: stt.STT[Any] | None,
    ) -> None:
        self.on_words: Callable[[str], None] | None = None
        self.on_key: Callable[[str], None] | None = None
        self.on_left: Callable[[], None] | None = None
        self._room = room
        self._recogniser = recogniser
        self._heard = AudioInput(lambda samples, until=None: None)
        self._said = AudioOutput(lambda samples, at: None, lambda at: None)
        self._subscriptions = RoomSubscriptions(livekit, room.name)
        self._gates = Gates(
            room,
            person,
            self._subscriptions,
            line=lambda: output.source.sid,
            aside=lambda: self._said.source.sid,
        )
        self._track: rtc.Track | None = None
        self._is_answered = False
        self._listening: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> PrivateLine:
        await self._subscriptions.__aenter__()
        self._room.on("track_subscribed", self._on_track)
        self._room.on("participant_disconnected", self._on_left)
        self._room.on("sip_dtmf_received", self._on_key)
        self._gates.begin()
        # Not broken off: of half a track the SDK keeps everything.
        await asyncio.shield(self._said.publish(self._room, "aside"))
        self._gates.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.on_words = self.on_key = self.on_left = None
        self._room.off("track_subscribed", self._on_track)
        self._room.off("participant_disconnected", self._on_left)
        self._room.off("sip_dtmf_received", self._on_key)
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        self._heard.close()
        await self._gates.aclose()
        sid = self._said.source.sid
        await self._said.aclose()
        if sid and self._room.isconnected():
            with suppress(rtc.participant.UnpublishTrackError):
                await self._room.local_participant.unpublish_track(sid)
        await self._subscriptions.__aexit__(None, None, None)

    def say(self, frames: Iterable[rtc.AudioFrame]) -> float:
        """Have the human hear this after what they hear; returns how long it is (s)."""
        told = list(frames)
        self._said.aside(told)
        return sum(frame.duration for frame in told)

    async def isolate(self) -> None:
        """Return once the human and the person do not hear each other; listen to the human."""
        await self._gates.set_apart()
        self._is_answered = True
        self._listen()
        if self._gates.human is None and self.on_left is not None:
            self.on_left()

    async def connect(self) -> None:
        """Have the human and the person hear each other."""
        await self._gates.open()

    async def put_out(self) -> None:
        """Hang up the human."""
        human = self._gates.human
        if human is not None:
            await self._subscriptions.put_out(human.identity)

    def _on_track(self, track: rtc.Track, _: object, participant: rtc.RemoteParticipant) -> None:
        if self._gates.is_human(participant) and track.kind == rtc.TrackKind.KIND_AUDIO:
            self._track = track
            self._listen()

    def _listen(self) -> None:
        """Have the human's words understood: recognisers cost by the second, ringing too."""
        if self._listening or not self._is_answered:
            return
        if self._recogniser is None or self._track is None:
            return
        self._heard.connect(self._track)
        words = self._recogniser.stream(conn_options=limits.STT)
        self._listening = [
            asyncio.create_task(self._hear(words), name="human in"),
            asyncio.create_task(self._understand(words), name="human's words"),
        ]

    async def _hear(self, words: stt.RecognizeStream) -> None:
        async for frame in self._heard:
            words.push_frame(frame)

    async def _understand(self, words: stt.RecognizeStream) -> None:
        try:
            async with words:
                async for event in words:
                    if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT and event.alternatives:
                        said = event.alternatives[0].text.strip()
                        if said and self.on_words is not None:
                            self.on_words(said)
        except APIError as exc:
            log.warning("the human's words are not understood", why=type(exc).__name__)

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        is_human = self._gates.is_human(participant)
        if is_human and self._gates.human is None and self.on_left is not None:
            self.on_left()

    def _on_key(self, event: rtc.SipDTMF) -> None:
        sender = event.participant
        if sender is not None and self._gates.is_human(sender) and self.on_key is not None:
            self.on_key(event.digit)
