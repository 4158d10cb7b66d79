"""The assistant as LiveKit's Agent: its instructions, its tool, its first sentence."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from typing import Any

from livekit.agents import Agent, ModelSettings, RunContext, function_tool, llm

from agent import prompt
from agent.first_sentence import FirstSentence
from control_plane.domain.brief import CallBrief


class Persona(Agent):
    """Speaks as the brief's assistant.

    Args:
        first: the prepared first sentence. Said by `agent/call.py` some time after the answer;
            a person who speaks before that gets it as the reply.
        on_end_call: called once the model wants to hang up; says the closing and ends the call.
    """

    def __init__(
        self, brief: CallBrief, *, first: FirstSentence | None, on_end_call: Callable[[], None]
    ) -> None:
        super().__init__(
            instructions=prompt.instructions(brief.assistant, brief.prompt_variables),
            tools=[_end_call_tool(on_end_call)],
        )
        self.first = first
        """Null once the agent has begun to speak. Not cleared when a reply is only generated:
        LiveKit generates replies ahead of time and throws them away when the person goes on."""

    async def llm_node(
        self,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        model_settings: ModelSettings,
    ) -> AsyncIterable[llm.ChatChunk | str]:
        """Reply to the person; the first reply of all is the first sentence."""
        if self.first is not None:
            yield self.first.text
            return
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk  # type: ignore[misc]


def _end_call_tool(on_end_call: Callable[[], None]) -> llm.Tool:
    @function_tool(
        name="end_call",
        description=(
            "Hang up. Call it when the person says goodbye, wants nothing more, asks to end "
            "the call, or asks never to be called again."
        ),
    )
    async def end_call(context: RunContext[Any]) -> None:
        context.disallow_interruptions()
        on_end_call()

    return end_call
