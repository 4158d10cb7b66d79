"""A model whose answers are not taken on trust: empty, endless and huge ones are failures too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from dataclasses import replace
from typing import Any, ClassVar

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    APIError,
    APITimeoutError,
    NotGivenOr,
    llm,
)

from process.logs import get_logger
from speech import limits

log = get_logger(__name__)


class EmptyAnswer(APIError):
    """A model answered in due form, with neither words nor a tool call."""

    def __init__(self) -> None:
        super().__init__("the answer is empty", retryable=True)


class ValidatedLLM(llm.LLM[Any]):
    """Wraps `inner`, a model of the provider `name`, which errors and figures are labelled with.

    An answer is a failure when it is empty, or when neither a word nor a tool call has come
    within `limits.REPLY_S`. One that goes on for ever is cut at `limits.REPLY_CHARACTERS`.
    """

    def __init__(self, inner: llm.LLM[Any], name: str) -> None:
        super().__init__()
        self.inner = inner
        self._label = name
        inner.on("metrics_collected", self._on_metrics)

    @property
    def model(self) -> str:
        return self.inner.model

    @property
    def provider(self) -> str:
        return self.inner.provider

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        how = {
            "parallel_tool_calls": parallel_tool_calls,
            "tool_choice": tool_choice,
            "extra_kwargs": extra_kwargs,
        }
        return _ValidatedStream(
            self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options, how=how
        )

    def prewarm(self, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.inner.prewarm(loop=loop)

    async def aclose(self) -> None:
        self.inner.off("metrics_collected", self._on_metrics)
        await self.inner.aclose()
        await super().aclose()

    def _on_metrics(self, *args: Any) -> None:
        self.emit("metrics_collected", *args)


class _ValidatedStream(llm.LLMStream):
    # The inner request's spans and figures are the ones that count.
    _llm_request_span_name: ClassVar[str] = "llm_careful"
    _llm_attempt_span_name: ClassVar[str | None] = None
    _genai_operation_name: ClassVar[str | None] = None

    def __init__(self, model: ValidatedLLM, *, how: dict[str, Any], **request: Any) -> None:
        super().__init__(model, **request)
        self._inner = model.inner
        self._how = how

    async def _run(self) -> None:
        answered, length = False, 0
        once = replace(self._conn_options, max_retry=0)
        try:
            async with (
                asyncio.timeout(limits.REPLY_S) as limit,
                self._inner.chat(
                    chat_ctx=self._chat_ctx, tools=self._tools, conn_options=once, **self._how
                ) as stream,
            ):
                async for chunk in stream:
                    if not answered and chunk.has_response():
                        answered = True
                        limit.reschedule(None)
                    left = limits.REPLY_CHARACTERS - length
                    length += _cut(chunk, left)
                    self._event_ch.send_nowait(chunk)
                    if length >= limits.REPLY_CHARACTERS:
                        log.warning("a model's answer was cut", model=self._llm.label)
                        return
        except TimeoutError:
            raise APITimeoutError(retryable=not answered) from None
        if not answered:
            raise EmptyAnswer

    async def _metrics_monitor_task(self, event_aiter: AsyncIterable[llm.ChatChunk]) -> None:
        async for _ in event_aiter:
            pass


def _cut(chunk: llm.ChatChunk, left: int) -> int:
    """Leave at most `left` characters of text in `chunk`; returns how many there are."""
    if chunk.delta is None or not chunk.delta.content:
        return 0
    chunk.delta.content = chunk.delta.content[:left]
    return len(chunk.delta.content)
