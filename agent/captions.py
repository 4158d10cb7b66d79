"""What both sides say, as text for the page of a browser session: LiveKit's transcriptions.

LiveKit's own would come with its room output, which a call has no use for (agent/entrypoint.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, ConversationItemAddedEvent, UserInputTranscribedEvent
from livekit.agents.llm import ChatMessage
from livekit.agents.types import (
    ATTRIBUTE_TRANSCRIPTION_FINAL,
    ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID,
    TOPIC_TRANSCRIPTION,
)
from livekit.agents.voice import io
from msgspec import Struct

from agent.audio.output import AudioOutput
from agent.typed import TYPED
from control_plane.domain.brief import CallBrief, Direction
from control_plane.domain.ids import new_id
from process.logs import get_logger

log = get_logger(__name__)


class Caption(Struct):
    """Some words in a row of one side; sent again, whole, whenever they change.

    An empty text takes back what was shown.
    """

    is_person: bool
    segment: str
    text: str = ""
    is_final: bool = False


Send = Callable[[Caption], Awaitable[None]]


class Captions(io.TextOutput):
    """Takes the agent's words as the model gives them, and what the STT makes of the person's.

    Words that were broken off are put right once it is known how many were heard. What a person
    adds to their turn replaces the turn.

    Args:
        transcript: is told the agent's words, too.
    """

    def __init__(self, transcript: io.TextOutput, send: Send) -> None:
        super().__init__(label="captions", next_in_chain=transcript)
        self._transcript = transcript
        self._send = send
        self._open: Caption | None = None  # the agent's, being captured
        self._unsettled: list[Caption] = []  # the agent's; nobody has told how much was heard
        self._turn: Caption | None = None  # the person's latest; they may add to it
        self._interim: Caption | None = None  # of what the person is still saying
        self._waiting: dict[str, Caption] = {}  # to be sent, by segment
        self._sending: asyncio.Task[None] | None = None

    def follow(self, session: AgentSession[Any]) -> None:
        """Show what is said in `session`, until it is closed."""
        session.on("close", lambda _: self.close())
        session.on("user_input_transcribed", self._heard)
        session.on("conversation_item_added", self._said)

    async def capture_text(self, text: str) -> None:
        await self._transcript.capture_text(text)
        if self._open is None:
            self._open = Caption(is_person=False, segment=new_id())
            self._unsettled.append(self._open)
        self._open.text += text
        self._show(self._open)

    def flush(self) -> None:
        self._transcript.flush()
        self._open = None

    def close(self) -> None:
        """Show nothing more."""
        self._waiting.clear()
        if self._sending is not None:
            self._sending.cancel()

    def _heard(self, event: UserInputTranscribedEvent) -> None:
        words = event.transcript.strip()
        if not words:
            return
        if not event.is_final:
            self._interim = self._interim or Caption(is_person=True, segment=new_id())
            self._interim.text = words
            self._show(self._interim)
            return
        caption, self._interim = self._interim, None
        if self._turn is not None and words.startswith(f"{self._turn.text} "):
            if caption is not None:
                self._take_back(caption)
            caption = self._turn
        self._turn = caption = caption or Caption(is_person=True, segment=new_id())
        caption.text, caption.is_final = words, True
        self._show(caption)

    def _said(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage):
            return
        if item.extra.get(TYPED):
            self._turn = None  # what they say next is no part of it
            self._show(Caption(True, item.id, item.text_content or "", is_final=True))
        if item.role != "assistant":
            return
        heard = (item.text_content or "").strip()
        mine = next((c for c in self._unsettled if c.text.strip().startswith(heard)), None)
        if mine is None:
            return
        while (caption := self._unsettled.pop(0)) is not mine:
            self._take_back(caption)  # nobody heard it
        mine.text, mine.is_final = heard, True
        self._turn = None  # what they say next is no part of what was answered
        self._show(mine)

    def _take_back(self, caption: Caption) -> None:
        caption.text, caption.is_final = "", True
        self._show(caption)

    def _show(self, caption: Caption) -> None:
        self._waiting[caption.segment] = caption
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_waiting(), name="captions")

    async def _send_waiting(self) -> None:
        """Send one after the other; what has changed meanwhile is sent as it is by then."""
        while self._waiting:
            caption = self._waiting.pop(next(iter(self._waiting)))
            try:
                await self._send(caption)
            except (RuntimeError, ConnectionError) as exc:  # the room is gone: nobody reads them
                log.info("captions cannot be sent", why=type(exc).__name__)
                self._waiting.clear()


def connect_output(
    session: AgentSession[Any], output: AudioOutput, room: rtc.Room, brief: CallBrief
) -> None:
    """Let `session` speak into the line, and show captions in the room of a browser session."""
    session.output.audio, session.output.transcription = output, output.transcript
    if brief.direction is not Direction.BROWSER:
        return

    async def send(caption: Caption) -> None:
        me = room.local_participant
        writer = await me.stream_text(
            topic=TOPIC_TRANSCRIPTION,
            sender_identity=brief.participant_identity if caption.is_person else me.identity,
            attributes={
                ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID: caption.segment,
                ATTRIBUTE_TRANSCRIPTION_FINAL: "true" if caption.is_final else "false",
            },
        )
        await writer.write(caption.text)
        await writer.aclose()

    captions = Captions(output.transcript, send)
    captions.follow(session)
    session.output.transcription = captions
