"""The scripted dialogue behind LiveKit's LLM interface: text deltas, tool calls, usage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
    llm,
    utils,
)
from livekit.agents.llm import utils as llm_utils

from speech.offline.dialogue import Reply, Turn, reply
from speech.offline.meaning import Meaning
from speech.offline.prompt import NO_MARKS

_ROLES = {"user": "caller", "assistant": "agent"}


class OfflineLLM(llm.LLM[str]):
    """The embedded dialogue; it sees what any model would see, and nothing more."""

    def __init__(self, meaning: Meaning, executor: Executor) -> None:
        super().__init__()
        self._meaning = meaning
        self._executor = executor

    @property
    def model(self) -> str:
        return "scripted"

    @property
    def provider(self) -> str:
        return "offline"

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
        """Return the reply to `chat_ctx`; `tool_choice="none"` keeps it from calling tools."""
        # It never calls two tools at once, and takes no provider's extras.
        del parallel_tool_calls, extra_kwargs
        offered = [] if tool_choice == "none" else list(tools or [])
        return _Stream(self, chat_ctx, offered, conn_options, self._meaning, self._executor)


class _Stream(llm.LLMStream):
    def __init__(
        self,
        owner: OfflineLLM,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        conn_options: APIConnectOptions,
        meaning: Meaning,
        executor: Executor,
    ) -> None:
        self._meaning = meaning
        self._executor = executor
        super().__init__(owner, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options)

    async def _run(self) -> None:
        instructions, aside, history = read_context(self._chat_ctx)
        schemas = tool_schemas(self._tools)
        decide = partial(
            reply, history, instructions, list(schemas), meaning=self._meaning, aside=aside
        )
        decided = await asyncio.get_running_loop().run_in_executor(self._executor, decide)
        request_id = utils.shortuuid("offline_")
        said = history[-1].text if history else ""
        for delta in _deltas(decided, schemas, said):
            self._event_ch.send_nowait(llm.ChatChunk(id=request_id, delta=delta))
        self._event_ch.send_nowait(
            llm.ChatChunk(id=request_id, usage=_usage(self._chat_ctx, decided))
        )


def read_context(ctx: llm.ChatContext) -> tuple[str, str | None, list[Turn]]:
    """Return the instructions, the instruction for this reply alone, and the conversation."""
    system = [item for item in ctx.items if _is_system(item)]
    aside: str | None = None
    # LiveKit appends the instructions of one reply as a last system message.
    if len(system) > 1 and ctx.items[-1] is system[-1]:
        aside = _text(system.pop())
    history = [turn for item in ctx.items if (turn := _turn(item)) is not None]
    return "\n".join(_text(item) for item in system), aside, history


def tool_schemas(tools: Sequence[llm.Tool]) -> dict[str, dict[str, Any]]:
    """Return each function tool's parameters as JSON Schema, by name."""
    schemas: dict[str, dict[str, Any]] = {}
    for tool in tools:
        if isinstance(tool, llm.RawFunctionTool):
            raw = tool.info.raw_schema
            schemas[str(raw["name"])] = dict(raw.get("parameters", {}))
        elif isinstance(tool, llm.FunctionTool):
            legacy = llm_utils.build_legacy_openai_schema(tool)["function"]
            schemas[str(legacy["name"])] = dict(legacy.get("parameters", {}))
    return schemas


def _is_system(item: llm.ChatItem) -> bool:
    return item.type == "message" and item.role in ("system", "developer")


def _text(item: llm.ChatItem) -> str:
    return (item.text_content or "") if item.type == "message" else ""


def _turn(item: llm.ChatItem) -> Turn | None:
    if item.type == "function_call_output":
        return Turn("tool", item.output, name=item.name, failed=item.is_error)
    if item.type != "message" or item.role not in _ROLES:
        return None
    said = (item.text_content or "").translate(NO_MARKS)
    return Turn("caller" if item.role == "user" else "agent", said)


def _deltas(decided: Reply, schemas: dict[str, dict[str, Any]], said: str) -> list[llm.ChoiceDelta]:
    deltas = [llm.ChoiceDelta(role="assistant", content=word) for word in _pieces(decided.text)]
    deltas += [
        llm.ChoiceDelta(
            role="assistant",
            tool_calls=[
                llm.FunctionToolCall(
                    name=call.name,
                    arguments=json.dumps(
                        _arguments(schemas.get(call.name, {}), said) | call.arguments
                    ),
                    call_id=utils.shortuuid("call_"),
                )
            ],
        )
        for call in decided.tool_calls
    ]
    return deltas


def _pieces(text: str) -> list[str]:
    """Sentences, each with the space that follows: the voice can begin with the first."""
    pieces = [piece + ". " for piece in text.split(". ")]
    return [*pieces[:-1], text.rsplit(". ", 1)[-1]] if text else []


def _arguments(schema: dict[str, Any], said: str) -> dict[str, Any]:
    """The required arguments that can be filled honestly: the caller's words, or a first choice."""
    properties = schema.get("properties", {})
    filled: dict[str, Any] = {}
    for name in schema.get("required", []):
        kind = properties.get(name, {})
        if "enum" in kind:
            filled[name] = kind["enum"][0]
        elif kind.get("type", "string") == "string":
            filled[name] = said
    return filled


def _usage(ctx: llm.ChatContext, decided: Reply) -> llm.CompletionUsage:
    """Words for tokens: near enough to see how long a conversation has become."""
    prompt = sum(len(_text(item).split()) for item in ctx.items)
    completion = len(decided.text.split())
    return llm.CompletionUsage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
    )
