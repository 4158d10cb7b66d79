"""Pass the call on to a person."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from agent.stock_phrases import stock_phrases
from agent.tools.irrevocable import Deed
from agent.tools.tool import Surroundings, Tool, Work
from control_plane.domain.assistant import AssistantSpec, humans_of


class Arguments(Struct, frozen=True):
    """What the model fills in; where to is no business of its own."""

    reason: Annotated[
        str, Meta(description="Why, in a few words: for whoever reads of the call.", max_length=500)
    ]


def _make(call: Surroundings) -> Work:
    async def transfer_call(given: Arguments, _: Any) -> Deed:
        targets = call.transferring.check()

        async def begin() -> None:
            call.transferring.begin(targets, given.reason)

        return Deed(
            do=begin,
            told="The call is passed on as soon as the person has finished. You are told if that "
            "does not succeed: until then, say that it is under way, and do not call it again.",
            fallback=stock_phrases(call.brief.assistant.language).passing_on,
        )

    return transfer_call


def _is_offered(spec: AssistantSpec) -> bool:
    return spec.human_transfer_mode is not None and bool(humans_of(spec))


TRANSFER_CALL = Tool(
    name="transfer_call",
    description=(
        "Pass the call on to a human colleague, for good. Call it when the person asks for "
        "one, or when your instructions say so. Before it, say in one short sentence that you "
        "pass them on. To whom is set already."
    ),
    arguments=Arguments,
    is_offered=_is_offered,
    can_be_taken_back=False,
    make=_make,
)
