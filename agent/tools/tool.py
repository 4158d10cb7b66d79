"""What a tool is: its words for the model, when it is offered, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from livekit.agents import AgentSession, RunContext, StopResponse, ToolError, function_tool, llm
from msgspec import Struct

from agent.dtmf import KeyCollector
from agent.ending import Ending
from agent.far_end import FarEnd
from agent.prompt import Texts
from agent.reporter import Reporter
from agent.speaker import Speaker
from agent.tools.irrevocable import Deed, Irrevocable, ToolRequest
from agent.transferring import Transferring
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.brief import CallBrief
from process.logs import get_logger

log = get_logger(__name__)

Work = Callable[[Any, RunContext[None]], Awaitable[Any]]
"""Does what a call of the tool asks for; returns what the model is told of it, null for nothing. Of
a tool that cannot be taken back it returns the `Deed`, which waits until the person has finished.

Raises:
    ToolError: it cannot be done; the model gets the sentence, and goes on.
"""


class NoArguments(Struct, frozen=True):
    """Of a tool that is called as it is."""


class Surroundings(Struct, frozen=True, kw_only=True):
    """What the tools of one call work with."""

    brief: CallBrief
    texts: Texts
    session: AgentSession[None]
    speaker: Speaker
    reporter: Reporter
    ending: Ending
    far_end: FarEnd
    keys: KeyCollector
    transferring: Transferring
    irrevocable: Irrevocable


class Tool(Struct, frozen=True, kw_only=True):
    """A row of the table.

    Attributes:
        description: for the model: what it does and when to call it.
        arguments: their struct; what stands in its `Meta` is told to the model.
        is_offered: whether an assistant's settings ask for it.
        can_be_taken_back: nothing has happened when the person goes on and the model is asked anew.
        make: returns its work on one call.
    """

    name: str
    description: str
    arguments: type[Struct] = NoArguments
    is_offered: Callable[[AssistantSpec], bool]
    can_be_taken_back: bool
    make: Callable[[Surroundings], Work]

    def __post_init__(self) -> None:
        # Two calls that were the first to read these at once would end the process.
        msgspec.json.Decoder(self.arguments)

    def bound(self, surroundings: Surroundings) -> llm.Tool:
        """Return the tool as LiveKit offers it to the model of one call."""
        work = self.make(surroundings)

        async def run(raw_arguments: dict[str, Any], context: RunContext[None]) -> Any:
            given = self._read(raw_arguments)
            try:
                done = await work(given, context)
            except (ToolError, StopResponse):
                raise
            except Exception as exc:
                log.exception("a tool failed", tool=self.name)
                raise ToolError(
                    f"{self.name} failed for a technical reason of ours, and did nothing: "
                    "go on without it."
                ) from exc
            return done if self.can_be_taken_back else _requested(surroundings, done, context)

        return function_tool(run, raw_schema=self.schema())

    def schema(self) -> dict[str, Any]:
        """Return its description in OpenAI's form, which LiveKit gives other models in theirs."""
        _, parts = msgspec.json.schema_components([self.arguments])
        whole = parts[self.arguments.__name__]
        parameters = {name: whole[name] for name in ("type", "properties", "required")}
        return {"name": self.name, "description": self.description, "parameters": parameters}

    def _read(self, raw_arguments: dict[str, Any]) -> Struct:
        try:
            return msgspec.convert(raw_arguments, self.arguments, strict=False)
        except msgspec.ValidationError as exc:
            raise ToolError(
                f"{self.name} did nothing, because of its arguments: {exc}. Call it again with "
                "arguments of that form."
            ) from exc


def _requested(surroundings: Surroundings, deed: Deed, context: RunContext[None]) -> llm.ToolResult:
    request = ToolRequest(context.function_call.call_id, context.speech_handle, deed)
    surroundings.irrevocable.begin(request)
    return llm.ToolResult(deed.told, reply_required=False)
