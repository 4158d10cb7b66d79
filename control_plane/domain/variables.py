"""Which `{{variable}}` of an assistant's texts an order has to give a value for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from control_plane.domain.assistant import AssistantSpec
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
"""Variables that have a value without anybody giving one (`agent.circumstances`); an order's own
value of that name wins."""

OF_THE_CALL = frozenset(["transcript"])
"""What `structured_output_prompt` may name besides: known once the call is over."""

_TEXTS = (
    "prompt",
    "first_sentence",
    "end_of_call_sentence",
    "max_duration_end_message",
    "voicemail_message",
    "voicemail_sms_prompt",
    "after_call_sms_prompt",
    "sms_template",
    "warm_transfer_summary_instructions",
)


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


def wanted(spec: AssistantSpec) -> Iterator[tuple[str, str]]:
    """Yield the text and the name of each variable that only the order can give."""
    for field, text, known in _texts(spec):
        for name in names(text):
            if name not in known and name not in BUILT_INS:
                yield field, name


def _texts(spec: AssistantSpec) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield each text with its place and the names that have a value there anyway."""
    nothing: frozenset[str] = frozenset()
    for field in _TEXTS:
        yield field, getattr(spec, field) or "", nothing
    yield "structured_output_prompt", spec.structured_output_prompt or "", OF_THE_CALL
    for index, item in enumerate(spec.faq_items):
        yield f"faq_items[{index}].question", item.question, nothing
        yield f"faq_items[{index}].answer", item.answer, nothing
    for index, tool in enumerate(spec.custom_tools):
        arguments = frozenset(each.name for each in tool.input_schema)
        for part, text in _templates(tool):
            yield f"custom_tools[{index}].{part}", text, arguments


def _templates(tool: CustomTool) -> Iterator[tuple[str, str]]:
    yield "url", tool.url
    yield "body_template", tool.body_template
    for index, header in enumerate(tool.headers):
        yield f"headers[{index}].value", header.value
    for index, parameter in enumerate(tool.query_params):
        yield f"query_params[{index}].value", parameter.value
