"""The first sentence, made ready while the phone still rings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from livekit import rtc
from livekit.agents import llm, tts
from msgspec import Struct

from agent import prompt
from control_plane.domain.assistant import FirstSentenceMode, Voice
from control_plane.domain.brief import CallBrief

SPOKEN_KEPT = 64
"""First sentences kept per worker, at about 50 kB a second of speech."""

_spoken: dict[tuple[str, Voice | None, str], tuple[rtc.AudioFrame, ...]] = {}


class FirstSentence(Struct, frozen=True):
    """Words and their sound (mono int16 at the voice's own rate)."""

    text: str
    frames: tuple[rtc.AudioFrame, ...]

    async def audio(self) -> AsyncIterator[rtc.AudioFrame]:
        """Yield the sound."""
        for frame in self.frames:
            yield frame


async def prepare(
    brief: CallBrief, model: llm.LLM[Any], voice: tts.TTS[Any]
) -> FirstSentence | None:
    """Return the first sentence ready to be played, or null when the agent waits.

    Raises:
        livekit.agents.APIError: the model or the voice failed.
    """
    spec = brief.assistant
    if spec.first_sentence_mode is FirstSentenceMode.NONE:
        return None
    wanted = prompt.render(spec.first_sentence or "", brief.prompt_variables)
    if spec.first_sentence_mode is FirstSentenceMode.STATIC:
        text = wanted
    else:
        text = await _generate(brief, model, wanted or None)
    if not text.strip():
        return None
    return FirstSentence(text, await _speak(text, brief, voice))


async def _speak(text: str, brief: CallBrief, voice: tts.TTS[Any]) -> tuple[rtc.AudioFrame, ...]:
    """Return the sound of `text`; what every call of an assistant says first is spoken once."""
    key = (brief.organization_id, brief.assistant.voice, text)
    known = _spoken.get(key)
    if known is None:
        async with voice.synthesize(text) as stream:
            known = tuple([chunk.frame async for chunk in stream])
        _spoken[key] = known
        while len(_spoken) > SPOKEN_KEPT:
            _spoken.pop(next(iter(_spoken)))
    return known


async def _generate(brief: CallBrief, model: llm.LLM[Any], wanted: str | None) -> str:
    context = llm.ChatContext()
    context.add_message(
        role="system", content=prompt.instructions(brief.assistant, brief.prompt_variables)
    )
    context.add_message(role="system", content=prompt.opening(wanted))
    async with model.chat(chat_ctx=context) as stream:
        reply = await stream.collect()
    return reply.text
