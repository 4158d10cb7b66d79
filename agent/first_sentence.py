"""The first sentence, made ready while the phone still rings."""

from __future__ import annotations

from typing import Any

from livekit.agents import APIError, llm, tts

from agent import prompt
from agent.failures import blame
from agent.prompt import Texts
from agent.spoken import Spoken, speak
from control_plane.domain.assistant import FirstSentenceMode
from control_plane.domain.brief import CallBrief
from speech import limits


class NotPrepared(Exception):
    """The model or the voice failed; says which, and how."""


async def prepare(
    brief: CallBrief,
    texts: Texts,
    model: llm.LLM[Any] | llm.RealtimeModel,
    voice: tts.TTS[Any] | None,
) -> Spoken | str | None:
    """Return the first sentence ready to be played, or null when the agent waits.

    A model that speaks by itself gets what to say, as an instruction.

    Raises:
        NotPrepared: the model or the voice failed.
    """
    spec = brief.assistant
    if spec.first_sentence_mode is FirstSentenceMode.NONE:
        return None
    wanted = texts.spoken(spec.first_sentence)
    if spec.first_sentence_mode is FirstSentenceMode.STATIC:
        text = wanted
        if voice is None:
            return prompt.word_for_word(text)
    elif isinstance(model, llm.RealtimeModel):
        return prompt.opening(wanted or None)
    else:
        try:
            text = await _generate(texts, model, wanted or None)
        except APIError as exc:
            raise NotPrepared(blame("llm_error", model, exc)) from exc
    if not text.strip():
        return None
    assert voice is not None, "only a model that speaks by itself has none"
    try:
        return await speak(text, brief, voice)
    except APIError as exc:
        raise NotPrepared(blame("tts_error", voice, exc)) from exc


async def _generate(texts: Texts, model: llm.LLM[Any], wanted: str | None) -> str:
    context = llm.ChatContext()
    context.add_message(role="system", content=texts.instructions())
    context.add_message(role="system", content=prompt.opening(wanted))
    async with model.chat(chat_ctx=context, conn_options=limits.LLM) as stream:
        reply = await stream.collect()
    return reply.text
