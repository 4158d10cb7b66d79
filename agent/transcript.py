"""AgentSession's events become transcript items, as they happen."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    FunctionToolsExecutedEvent,
)
from livekit.agents.llm import ChatMessage
from msgspec import Struct

from agent.continuation import GOES_ON_S, Continuation
from agent.masking import Masks
from agent.reporter import Reporter
from agent.telemetry import report_turn
from control_plane.domain.events import ItemSaid, Role

# LiveKit's per-message figures (seconds) and the words we report them by (milliseconds).
_DELAYS = {
    "transcription_delay": "transcription",
    "end_of_turn_delay": "end_of_turn",
    "llm_node_ttft": "llm_first_token",
    "tts_node_ttfb": "tts_first_byte",
    "e2e_latency": "first_sound",
}


class Transcriber:
    """Reports every transcript item of `session`; knows whether the person said anything.

    A turn of the person's is reported once it can grow no more: what they add to it belongs into
    the same item. What comes after it waits behind it. What `masks` hide is left out of all.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        reporter: Reporter,
        continuation: Continuation,
        masks: Masks,
    ) -> None:
        self._reporter = reporter
        self._masks = masks
        self._continuation = continuation
        self._held: ChatMessage | None = None  # a turn that may grow
        self._behind: list[_Item] = []
        self._timer: asyncio.TimerHandle | None = None
        self.person_spoke = False
        session.on("conversation_item_added", self._said)
        session.on("function_tools_executed", self._tools_ran)

    def said_aside(self, text: str) -> None:
        """The agent said `text`, which is no part of what the model sees of the conversation."""
        self._add(_Item(at=time.time(), role=Role.ASSISTANT, content=text))

    def take_back(self, message: ChatMessage) -> None:
        """The person goes on: `message` comes again, in a longer one."""
        if self._held is message:
            self._held = None
            self._behind = [each for each in self._behind if not self._is_pending(each)]
            self.settle()

    def _is_pending(self, item: _Item) -> bool:
        """Whether it was only requested, and has been taken back with the turn."""
        return item.call_id is not None and self._continuation.is_pending(item.call_id)

    def settle(self) -> None:
        """Report what waits: it can change no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, None
        behind, self._behind = self._behind, []
        if held is not None:
            self._report(_said_by(held, held.created_at))
        for each in behind:
            self._report(each)

    def _said(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage) or item.role not in ("user", "assistant"):
            return  # hand-overs and instructions are nobody's words
        if not (item.text_content or "").strip():
            return
        if item.role == "user":
            self.person_spoke = True
            self.settle()
            self._held = item
            self._wait()
        elif self._held is not None and item.interrupted:
            self._behind.append(_said_by(item, time.time()))
        else:
            self.settle()
            self._report(_said_by(item, time.time()))

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(GOES_ON_S, self._check)

    def _check(self) -> None:
        if self._continuation.is_undecided:
            self._wait()
        else:
            self.settle()

    def _tools_ran(self, event: FunctionToolsExecutedEvent) -> None:
        for call, output in event.zipped():
            item = _Item(
                at=time.time(),
                role=Role.TOOL,
                call_id=call.call_id,
                tool_name=call.name,
                tool_arguments=call.arguments,
                tool_output=output.output if output else None,
                tool_is_error=output.is_error if output else None,
            )
            self._add(item)

    def _add(self, item: _Item) -> None:
        if self._held is None:
            self._report(item)
        else:
            self._behind.append(item)

    def _report(self, item: _Item) -> None:
        facts = msgspec.structs.asdict(item)
        message = facts.pop("message")
        del facts["call_id"]
        for name in ("content", "tool_arguments", "tool_output"):
            if facts[name]:
                facts[name] = self._masks.applied(facts[name])
        self._reporter.report(ItemSaid, **facts)
        if message is not None:
            report_turn(message, item.delays_ms, datetime.now(UTC))


class _Item(Struct, frozen=True, kw_only=True):
    """The facts of an `ItemSaid`, with the message or the tool's call that they are about."""

    at: float
    role: Role
    content: str = ""
    interrupted: bool = False
    tool_name: str | None = None
    tool_arguments: str | None = None
    tool_output: str | None = None
    tool_is_error: bool | None = None
    delays_ms: dict[str, float] = msgspec.field(default_factory=dict)
    message: ChatMessage | None = None
    call_id: str | None = None


def _said_by(message: ChatMessage, at: float) -> _Item:
    return _Item(
        at=at,
        role=Role(message.role),
        content=(message.text_content or "").strip(),
        interrupted=message.interrupted,
        delays_ms=delays_ms(dict(message.metrics)),
        message=message,
    )


def delays_ms(metrics: dict[str, Any]) -> dict[str, float]:
    """Return the delays that `metrics` holds, in milliseconds by our names."""
    return {
        ours: round(float(metrics[theirs]) * 1000, 1)
        for theirs, ours in _DELAYS.items()
        if metrics.get(theirs) is not None
    }
