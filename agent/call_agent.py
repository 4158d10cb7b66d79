"""The assistant as LiveKit's Agent: its instructions, its tools, its first sentence."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable

from livekit import rtc
from livekit.agents import (
    NOT_GIVEN,
    Agent,
    ConversationItemAddedEvent,
    ModelSettings,
    StopResponse,
    UserStateChangedEvent,
    llm,
    stt,
)

from agent import opening
from agent.continuation import Continuation
from agent.hearing import Echoes, Words, text_of
from agent.opening import Opening
from agent.prompt import Texts, as_data
from agent.spoken import Spoken
from agent.turn_taking import TurnJudge, is_backchannel
from agent.typed import TYPED
from control_plane.domain.brief import CallBrief


class CallAgent(Agent):
    """Speaks as the brief's assistant.

    Args:
        first: the first sentence. Said by `agent/call.py` some time after the answer; a person who
            speaks before that, or into its beginning, gets it as the reply.
        continuation: joins what the person adds to the turn before.
        is_speaking: whether words of the agent were begun and not all heard.
        tools: what the model may call.
        may_reply: whether a turn that is over is answered: not to a machine.
    """

    def __init__(
        self,
        brief: CallBrief,
        texts: Texts,
        *,
        first: Opening,
        continuation: Continuation,
        is_speaking: Callable[[], bool],
        tools: list[llm.Tool],
        may_reply: Callable[[], Awaitable[bool]],
    ) -> None:
        super().__init__(instructions=texts.instructions(), tools=[*tools])
        self._language = brief.assistant.language
        self._continuation = continuation
        self._is_speaking = is_speaking
        self._may_reply = may_reply
        self.first = first

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterable[stt.SpeechEvent | str]:
        """Hear the person; a "mm-hm" while the agent speaks is no turn, and it goes on."""
        echoes, judge = Echoes(), self.session.turn_detection
        words = judge.words if isinstance(judge, TurnJudge) else Words()

        def on_user_state(event: UserStateChangedEvent) -> None:
            if event.new_state == "speaking":
                echoes.speech_began()

        self.session.on("user_state_changed", on_user_state)
        try:
            async for event in Agent.default.stt_node(self, audio, model_settings):
                words.receive(event)
                nods = self._is_speaking() and self._is_backchannel(event)
                if echoes.is_echo(event) or nods:
                    words.drop()
                else:
                    yield await self._joined(event)
        finally:
            self.session.off("user_state_changed", on_user_state)

    async def _joined(self, event: stt.SpeechEvent | str) -> stt.SpeechEvent | str:
        if isinstance(event, str):
            return event
        joined, context = self._continuation.joined(event, self.chat_ctx)
        if context is not None:
            await self.update_chat_ctx(context)
        return joined

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        """Answer machines nothing; have a model that speaks by itself say its first sentence."""
        if not await self._may_reply():
            await self._store(new_message)
            raise StopResponse
        if isinstance(self.first.pending, str):
            self.session.generate_reply(instructions=self.first.pending)
            raise StopResponse

    async def receive_typed(self, text: str) -> None:
        """Take what the person typed as their turn, and answer it aloud; the model has it as data.

        Raises:
            RuntimeError: the session is closing.
        """
        message = llm.ChatMessage(role="user", content=[text], extra={TYPED: True})
        shown = message.model_copy(update={"content": [as_data(text)], "extra": {}})
        await self._store(message, shown)
        first = self.first.pending
        aside = first if isinstance(first, str) else NOT_GIVEN
        self.session.generate_reply(instructions=aside, input_modality="text")

    async def _store(self, message: llm.ChatMessage, shown: llm.ChatMessage | None = None) -> None:
        """Have what was said in the transcript, and before the model once it replies.

        Args:
            shown: as the model sees it; null: as it is.
        """
        context = self.chat_ctx.copy()
        context.items.append(shown or message)
        await self.update_chat_ctx(context)
        self.session.emit("conversation_item_added", ConversationItemAddedEvent(item=message))

    def _is_backchannel(self, event: stt.SpeechEvent | str) -> bool:
        return is_backchannel(text_of(event), self._language)

    async def llm_node(
        self,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        model_settings: ModelSettings,
    ) -> AsyncIterable[llm.ChatChunk | str]:
        """Reply to the person; the first reply of all is the first sentence, and begins with it
        where the person asks something."""
        first = self.first.pending
        if isinstance(first, Spoken):
            yield first.text
            if self.first.is_answered_by_it(opening.said_last(chat_ctx)):
                return
            yield " "
            chat_ctx = opening.as_said_before(chat_ctx, first.text)
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk  # type: ignore[misc]

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncIterable[rtc.AudioFrame]:
        """Speak; the sound of the first sentence is there already."""
        first = self.first.pending
        chunks = aiter(text)
        head = await anext(chunks, None)
        if isinstance(first, Spoken) and head == first.text:
            for frame in first.frames:
                yield frame
            head = await anext(chunks, None)
        if head is None:
            return
        rest = opening.chained(head, chunks)
        async for frame in Agent.default.tts_node(self, rest, model_settings):
            yield frame
