"""The agent's own sentences, whoever speaks on the call: a voice, or a model with one inside."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from livekit.agents import AgentSession
from livekit.agents.voice import SpeechHandle

from agent import prompt
from agent.spoken import Spoken


class Speaker:
    """Says sentences that no model made up."""

    def __init__(self, session: AgentSession[Any]) -> None:
        self._session = session

    def say(self, text: str, *, allow_interruptions: bool = True) -> SpeechHandle:
        """Say `text`; a model that speaks by itself is asked to say it word for word."""
        if self._session.tts is not None:
            return self._session.say(text, allow_interruptions=allow_interruptions)
        return self._session.generate_reply(
            instructions=prompt.word_for_word(text),
            allow_interruptions=allow_interruptions,
        )

    def play(self, sentence: Spoken, *, allow_interruptions: bool = True) -> SpeechHandle:
        """Say a sentence whose sound is there already."""
        return self._session.say(
            sentence.text, audio=sentence.audio(), allow_interruptions=allow_interruptions
        )

    def interrupt(self) -> asyncio.Future[None]:
        """Fall silent, whatever is being said; done once the transcript has what was heard."""
        return self._session.interrupt(force=True)

    async def hush(self) -> None:
        """Do so, also where the session is closed and nothing is said any more."""
        with suppress(RuntimeError):
            await self.interrupt()
