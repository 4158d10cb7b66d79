"""AgentSession's events become transcript items, as they happen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    FunctionToolsExecutedEvent,
)
from livekit.agents.llm import ChatMessage

from agent.reporter import Reporter
from agent.telemetry import tell_turn
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
    """Reports every transcript item of `session`; knows whether the person said anything."""

    def __init__(self, session: AgentSession[Any], reporter: Reporter) -> None:
        self._reporter = reporter
        self.person_spoke = False
        session.on("conversation_item_added", self._said)
        session.on("function_tools_executed", self._tools_ran)

    def _said(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage) or item.role not in ("user", "assistant"):
            return  # hand-overs and instructions are nobody's words
        text = (item.text_content or "").strip()
        if not text:
            return
        role = Role(item.role)
        self.person_spoke = self.person_spoke or role is Role.USER
        delays = delays_ms(dict(item.metrics))
        self._reporter.report(
            ItemSaid,
            role=role,
            content=text,
            interrupted=item.interrupted,
            delays_ms=delays,
        )
        tell_turn(item, delays, datetime.now(UTC))

    def _tools_ran(self, event: FunctionToolsExecutedEvent) -> None:
        for call, output in event.zipped():
            self._reporter.report(
                ItemSaid,
                role=Role.TOOL,
                content="",
                tool_name=call.name,
                tool_arguments=call.arguments,
                tool_output=output.output if output else None,
                tool_is_error=output.is_error if output else None,
            )


def delays_ms(metrics: dict[str, Any]) -> dict[str, float]:
    """Return the delays that `metrics` holds, in milliseconds by our names."""
    return {
        ours: round(float(metrics[theirs]) * 1000, 1)
        for theirs, ours in _DELAYS.items()
        if metrics.get(theirs) is not None
    }
