"""Say nothing this time."""

from __future__ import annotations

from typing import Any

from livekit.agents import llm

from agent.tools.tool import Surroundings, Tool, Work


def _make(_: Surroundings) -> Work:
    async def skip_turn(*_: Any) -> llm.ToolResult:
        return llm.ToolResult("You said nothing, and listen on.", reply_required=False)

    return skip_turn


SKIP_TURN = Tool(
    name="skip_turn",
    description=(
        "Say nothing now and listen on: while a recording speaks that does not want an answer yet, "
        "while a menu has not come to what you look for, while you are asked to wait, or while "
        "music plays. Never when a person waits for your answer."
    ),
    is_offered=lambda spec: spec.ivr_navigation_enabled,
    can_be_taken_back=True,
    make=_make,
)
