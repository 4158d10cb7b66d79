"""Which `{{variable}}` of an assistant's texts an order has to give a value for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.declared import Spot, Template, spots
from control_plane.domain.errors import MissingVariable
from control_plane.domain.placeholders import names
from control_plane.domain.tools import CustomTool

BUILT_INS = frozenset(
    [
        "current_date",
        "current_time",
        "time_zone",
        "call_direction",
        "user_phone_number",
        "agent_phone_number",
    ]
)
"""Variables that have a value without anybody giving one (`agent.builtin_variables`); an order's
own value of that name wins."""


def require_values(spec: AssistantSpec, values: Mapping[str, str]) -> None:
    """Do nothing when every variable that the assistant's texts name has a value.

    Raises:
        MissingVariable: naming the first that has none and the text it stands in.
    """
    for field, name in wanted(spec):
        if name not in values:
            raise MissingVariable(
                f"the assistant's {field} names {{{{{name}}}}}, which has no value: "
                f"add it to prompt_variables",
                field=f"prompt_variables.{name}",
            )


def wanted(spec: Struct) -> Iterator[tuple[str, str]]:
    """Yield the text and the name of each variable that only the order can give."""
    for text in spots(spec, Template):
        for name in names(text.value if isinstance(text.value, str) else "\n".join(text.value)):
            if name not in BUILT_INS and name not in _known(text):
                yield text.place, name


def _known(text: Spot[Template]) -> set[str]:
    """Return the names that have a value there anyway; a tool's texts know its arguments."""
    tools = (each for each in text.owners if isinstance(each, CustomTool))
    return {*text.mark.known, *(each.name for tool in tools for each in tool.input_schema)}
