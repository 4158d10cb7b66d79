"""Every tool there is: whoever adds one adds its row here (docs/how-to/extend.md)."""

from __future__ import annotations

from livekit.agents import llm

from agent.tools.collect_digits import COLLECT_DIGITS
from agent.tools.end_call import END_CALL
from agent.tools.send_dtmf import SEND_DTMF
from agent.tools.skip_turn import SKIP_TURN
from agent.tools.tool import Surroundings, Tool
from agent.tools.transfer_call import TRANSFER_CALL

TOOLS: tuple[Tool, ...] = (END_CALL, COLLECT_DIGITS, SEND_DTMF, SKIP_TURN, TRANSFER_CALL)


def offered(call: Surroundings) -> list[llm.Tool]:
    """Return the tools that the assistant's settings ask for, ready for one call."""
    spec = call.brief.assistant
    return [tool.bound(call) for tool in TOOLS if tool.is_offered(spec)]
