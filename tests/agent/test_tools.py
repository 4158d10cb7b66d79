"""The table of tools: who is offered which, and what the model is told when one cannot."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated, Any, cast

import pytest
from livekit.agents import RunContext, ToolError, llm
from msgspec import Meta, Struct

from agent.tools.send_dtmf import Tries
from agent.tools.table import TOOLS
from agent.tools.tool import Surroundings, Tool, Work
from control_plane.domain.assistant import TransferMode
from control_plane.domain.tools import RESERVED
from tests.factories import NUMBER, spec

pytestmark = pytest.mark.unit


class Order(Struct, frozen=True):
    """Arguments."""

    dish: Annotated[str, Meta(description="what to bring", max_length=10)]
    plates: int = 1


def tool(work: Work) -> llm.RawFunctionTool[Any, Any]:
    made = Tool(
        name="bring",
        description="Bring it.",
        arguments=Order,
        is_offered=lambda _: True,
        can_be_taken_back=True,
        make=lambda _: work,
    )
    bound = made.bound(cast("Surroundings", SimpleNamespace()))
    assert isinstance(bound, llm.RawFunctionTool)
    return bound


MENU = "For sales, press one. For billing, press two."
CONTEXT = cast("RunContext[None]", SimpleNamespace())


async def served(order: Order, _: Any) -> str:
    return f"{order.plates} × {order.dish}"


async def test_arguments_are_read() -> None:
    bring = tool(served)
    assert bring.info.raw_schema["parameters"]["required"] == ["dish"]
    assert await bring(raw_arguments={"dish": "soup"}, context=CONTEXT) == "1 × soup"
    with pytest.raises(ToolError, match=r"bring did nothing.*length <= 10.*Call it again"):
        await bring(raw_arguments={"dish": "bouillabaisse"}, context=CONTEXT)


async def test_what_fails_inside_is_a_sentence_to_the_model() -> None:
    async def broken(*_: Any) -> None:
        raise ValueError("a secret of ours")

    with pytest.raises(ToolError) as told:
        await tool(broken)(raw_arguments={"dish": "soup"}, context=CONTEXT)
    assert "go on without it" in told.value.message
    assert "secret" not in told.value.message


def test_every_argument_has_a_type_and_says_what_it_is_for() -> None:
    """Models are picky: a choice without a type, or one that is empty, is refused by some."""
    for each in TOOLS:
        for name, of_it in each.schema()["parameters"]["properties"].items():
            assert of_it.get("type"), f"{each.name}.{name}"
            assert of_it.get("description"), f"{each.name}.{name}"
            assert all(of_it.get("enum", ["x"])), f"{each.name}.{name}"


def test_no_custom_tool_has_the_name_of_one_of_ours() -> None:
    assert {each.name for each in TOOLS} == RESERVED
    assert len(TOOLS) == len(RESERVED)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, {"collect_digits", "end_call"}),
        (
            {"ivr_navigation_enabled": True},
            {"collect_digits", "end_call", "send_dtmf", "skip_turn"},
        ),
        (
            {"human_transfer_mode": TransferMode.COLD, "transfer_phone_number": NUMBER},
            {"collect_digits", "end_call", "transfer_call"},
        ),
        (
            {"human_transfer_mode": TransferMode.WARM, "transfer_phone_number": NUMBER},
            {"collect_digits", "end_call", "transfer_call"},
        ),
        ({"transfer_phone_number": NUMBER}, {"collect_digits", "end_call"}),
    ],
)
def test_a_tool_is_offered_when_the_settings_ask_for_it(
    settings: dict[str, Any], names: set[str]
) -> None:
    assistant = spec(**settings)
    assert {each.name for each in TOOLS if each.is_offered(assistant)} == names


def test_other_words_and_other_keys_are_no_loop() -> None:
    tries = Tries()
    for words in (MENU, MENU, "For a new card, press one. For a lost card, press two."):
        tries.add("1", words)
    assert tries.were_in_vain("1", "for sales press one, for billing press two")
    assert not tries.were_in_vain("2", MENU)
    assert not tries.were_in_vain("1", "For a new card, press one. For a lost card, press two.")
    assert not tries.were_in_vain("1", "")
