"""Hang up."""

from __future__ import annotations

from typing import Any

from agent.stock_phrases import stock_phrases
from agent.tools.irrevocable import Deed
from agent.tools.tool import Surroundings, Tool, Work
from control_plane.domain.events import EndedBy, EndReason


def _make(call: Surroundings) -> Work:
    spec = call.brief.assistant

    async def hang_up() -> None:
        call.ending.end(EndedBy.AGENT, EndReason.TOOL_END_CALL)

    async def end_call(*_: Any) -> Deed:
        return Deed(
            do=hang_up,
            sentence=call.texts.spoken(spec.end_of_call_sentence),
            fallback=stock_phrases(spec.language).closing,
        )

    return end_call


END_CALL = Tool(
    name="end_call",
    description=(
        "Hang up. Call it when the person says goodbye, wants nothing more, asks to end "
        "the call, or asks never to be called again."
    ),
    is_offered=lambda _: True,
    can_be_taken_back=False,
    make=_make,
)
