"""The assistant as LiveKit's Agent: its instructions, its tool, its first sentence."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable

from livekit import rtc
from livekit.agents import (
    Agent,
    ModelSettings,
    UserStateChangedEvent,
    function_tool,
    llm,
    stt,
)

from agent.hearing import Echoes
from agent.prompt import Texts
from agent.spoken import Spoken
from agent.turn_taking import is_backchannel
from control_plane.domain.brief import CallBrief


class Persona(Agent):
    """Speaks as the brief's assistant.

    Args:
        first: the prepared first sentence, or what a model that speaks by itself is told to begin
            with. Said by `agent/call.py` some time after the answer; a person who speaks before
            that gets it as the reply.
        is_speaking: whether words of the agent were begun and not all heard.
        on_end_call: called whenever the model wants to hang up.
    """

    def __init__(
        self,
        brief: CallBrief,
        texts: Texts,
        *,
        first: Spoken | str | None,
        is_speaking: Callable[[], bool],
        on_end_call: Callable[[], None],
    ) -> None:
        super().__init__(
            instructions=texts.instructions(),
            tools=[_end_call_tool(on_end_call)],
        )
        self._language = brief.assistant.language
        self._is_speaking = is_speaking
        self.first = first
        """Null once the agent has begun to speak. Not cleared when a reply is only generated:
        LiveKit generates replies ahead of time and throws them away when the person goes on."""

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterable[stt.SpeechEvent | str]:
        """Hear the person; a "mm-hm" while the agent speaks is no turn, and it goes on."""
        echoes = Echoes()

        def on_user_state(event: UserStateChangedEvent) -> None:
            if event.new_state == "speaking":
                echoes.speech_began()

        self.session.on("user_state_changed", on_user_state)
        try:
            async for event in Agent.default.stt_node(self, audio, model_settings):
                if echoes.is_echo(event):
                    continue
                if not (self._is_speaking() and self._is_backchannel(event)):
                    yield event
        finally:
            self.session.off("user_state_changed", on_user_state)

    def _is_backchannel(self, event: stt.SpeechEvent | str) -> bool:
        if isinstance(event, str):
            return is_backchannel(event, self._language)
        said = event.alternatives[0].text if event.alternatives else ""
        return is_backchannel(said, self._language)

    async def llm_node(
        self,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        model_settings: ModelSettings,
    ) -> AsyncIterable[llm.ChatChunk | str]:
        """Reply to the person; the first reply of all is the first sentence."""
        if isinstance(self.first, Spoken):
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
    async def end_call() -> None:
        on_end_call()

    return end_call
