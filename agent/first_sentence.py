"""The first sentence, made ready while the phone still rings."""

from __future__ import annotations

from typing import Any

from livekit.agents import llm, tts

from agent import prompt
from agent.spoken import Spoken, speak
from control_plane.domain.assistant import FirstSentenceMode
from control_plane.domain.brief import CallBrief
from speech import limits


async def prepare(
    brief: CallBrief, model: llm.LLM[Any] | llm.RealtimeModel, voice: tts.TTS[Any] | None
) -> Spoken | str | None:
    """Return the first sentence ready to be played, or null when the agent waits.

    A model that speaks by itself gets what to say, as an instruction.

    Raises:
        livekit.agents.APIError: the model or the voice failed.
    """
    spec = brief.assistant
    if spec.first_sentence_mode is FirstSentenceMode.NONE:
        return None
    wanted = prompt.render(spec.first_sentence or "", brief.prompt_variables)
    if spec.first_sentence_mode is FirstSentenceMode.STATIC:
        text = wanted
        if voice is None:
            return prompt.word_for_word(text)
    elif isinstance(model, llm.RealtimeModel):
        return prompt.opening(wanted or None)
    else:
        text = await _generate(brief, model, wanted or None)
    if not text.strip():
        return None
    assert voice is not None, "only a model that speaks by itself has none"
    return await speak(text, brief, voice)


async def _generate(brief: CallBrief, model: llm.LLM[Any], wanted: str | None) -> str:
    context = llm.ChatContext()
    context.add_message(
        role="system", content=prompt.instructions(brief.assistant, brief.prompt_variables)
    )
    context.add_message(role="system", content=prompt.opening(wanted))
    async with model.chat(chat_ctx=context, conn_options=limits.LLM) as stream:
        reply = await stream.collect()
    return reply.text
