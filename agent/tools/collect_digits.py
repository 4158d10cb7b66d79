"""Have the person press keys: a number, a code, a PIN."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from livekit.agents import ToolError, llm
from msgspec import Meta, Struct

from agent.dtmf import Collection
from agent.tools.tool import Surroundings, Tool, Work


class Arguments(Struct, frozen=True):
    """What the model fills in."""

    question: Annotated[
        str,
        Meta(
            description="Asks the person to press the keys, and says which key ends them. It is "
            "spoken for you, word for word.",
            min_length=1,
            max_length=500,
        ),
    ]
    max_digits: Annotated[
        int, Meta(description="Collecting ends after so many keys.", ge=1, le=32)
    ] = 32
    end_key: Annotated[
        Literal["#", "*", "none"],
        # Some models want the type beside the choices.
        Meta(description="Ends it sooner.", extra_json_schema={"type": "string"}),
    ] = "#"
    timeout_secs: Annotated[
        int, Meta(description="It ends when no key was pressed for so long.", ge=2, le=60)
    ] = 10
    is_secret: Annotated[
        bool,
        Meta(description="True for a PIN, a code or a card: you alone learn the keys. Never say "
        "them aloud."),
    ] = False  # fmt: skip


def _make(call: Surroundings) -> Work:
    async def collect_digits(given: Arguments, _: Any) -> llm.ToolResult:
        if not call.far_end.is_telephone:
            raise ToolError(
                "collect_digits did nothing: the person has no keypad. Ask for it in words."
            )
        call.keys.collect(
            Collection(
                max_digits=given.max_digits,
                end_key="" if given.end_key == "none" else given.end_key,
                timeout_s=given.timeout_secs,
                is_secret=given.is_secret,
            )
        )
        call.speaker.say(given.question)
        return llm.ToolResult(
            "The question is being asked. What the person presses is their next input.",
            reply_required=False,
        )

    return collect_digits


COLLECT_DIGITS = Tool(
    name="collect_digits",
    description=(
        "Have the person press telephone keys, such as a customer number or a PIN: the surest way "
        "to get digits. Say nothing of your own with it."
    ),
    arguments=Arguments,
    is_offered=lambda _: True,
    can_be_taken_back=True,
    make=_make,
)
