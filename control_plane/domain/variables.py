"""`{{variable}}` placeholders in the texts of an assistant."""

from __future__ import annotations

import re
from collections.abc import Mapping

from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.errors import MissingVariable

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


def names(text: str) -> list[str]:
    """Return the variables that `text` names, in order, with repetitions."""
    return _PLACEHOLDER.findall(text)


def require_values(spec: AssistantSpec, values: Mapping[str, str]) -> None:
    """Do nothing when every variable of the spoken texts and the prompt has a value.

    Raises:
        MissingVariable: naming the first that has none and the text it stands in.
    """
    texts = {
        "prompt": spec.prompt,
        "first_sentence": spec.first_sentence,
        "end_of_call_sentence": spec.end_of_call_sentence,
        "max_duration_end_message": spec.max_duration_end_message,
    }
    for field, text in texts.items():
        for name in names(text or ""):
            if name not in values:
                raise MissingVariable(
                    f"the assistant's {field} names {{{{{name}}}}}, which has no value: "
                    f"add it to prompt_variables",
                    field=f"prompt_variables.{name}",
                )
