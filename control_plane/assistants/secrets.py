"""Where an assistant holds secrets, and the references that stand there once they are sealed.

Secrets are a custom model's key, and the value of every header of a tool but the well-known ones
that never carry a login.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct

from control_plane.domain.assistant import AssistantSpec, CustomModel, LlmModel
from control_plane.domain.placeholders import names
from control_plane.domain.tools import CustomTool, Pair
from control_plane.sealed import mask

_Model = TypeVar("_Model", bound=LlmModel | None)

PLAIN_HEADERS = frozenset(
    [
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-language",
        "content-type",
        "from",
        "prefer",
        "user-agent",
    ]
)
"""Headers whose values are kept and shown as they are."""

_REFERENCE = re.compile(
    r"secret:(?P<id>[0-9a-f-]{36}):(?P<hint>.{4}|)(?P<names>(?:\{\{[^{}]+\}\})*)", re.DOTALL
)


class Reference(Struct, frozen=True):
    """Stands for a sealed secret: its row, what may be shown of it, the variables it names."""

    id: str
    hint: str
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Reference | None:
        """Return the reference that `text` is; None when it is none."""
        found = _REFERENCE.fullmatch(text)
        if found is None:
            return None
        return cls(found["id"], found["hint"], tuple(names(found["names"])))

    def __str__(self) -> str:
        return f"secret:{self.id}:{self.hint}" + "".join(f"{{{{{name}}}}}" for name in self.names)

    @property
    def masked(self) -> str:
        """What is shown instead of the secret."""
        return mask(self.hint)


class Place(Struct, frozen=True):
    """Where a secret stands: the field's name, and who it is through changes of the order."""

    field: str
    identity: tuple[str, ...]


def find(spec: AssistantSpec) -> Iterator[tuple[Place, str]]:
    """Yield each place with what stands there."""
    if isinstance(spec.llm_model, CustomModel):
        yield Place("llm_model.api_key", ("llm_model",)), spec.llm_model.api_key
    for index, model in enumerate(spec.llm_fallbacks):
        if isinstance(model, CustomModel):
            place = Place(_fallback_field(index), ("llm_fallback", model.api_url, model.model_name))
            yield place, model.api_key
    for index, tool in enumerate(spec.custom_tools):
        seen: dict[str, int] = {}
        for number, header in enumerate(tool.headers):
            key = header.key.lower()
            if key in PLAIN_HEADERS or not header.value:
                continue
            seen[key] = seen.get(key, 0) + 1
            identity = ("tool", key, str(seen[key]), tool.name)
            yield Place(_header_field(index, number), identity), header.value


def put(spec: AssistantSpec, values: Mapping[str, str]) -> AssistantSpec:
    """Return `spec` with `values` at the places that have these fields."""
    if not values:
        return spec
    tools = tuple(_with_headers(tool, n, values) for n, tool in enumerate(spec.custom_tools))
    fallbacks = tuple(
        _with_key(model, values.get(_fallback_field(n)))
        for n, model in enumerate(spec.llm_fallbacks)
    )
    return msgspec.structs.replace(
        spec,
        llm_model=_with_key(spec.llm_model, values.get("llm_model.api_key")),
        llm_fallbacks=fallbacks,
        custom_tools=tools,
    )


def _with_key(model: _Model, key: str | None) -> _Model:
    if isinstance(model, CustomModel) and key is not None:
        return msgspec.structs.replace(model, api_key=key)
    return model


def _fallback_field(index: int) -> str:
    return f"llm_fallbacks[{index}].api_key"


def _with_headers(tool: CustomTool, index: int, values: Mapping[str, str]) -> CustomTool:
    headers = tuple(
        Pair(header.key, values.get(_header_field(index, number), header.value))
        for number, header in enumerate(tool.headers)
    )
    return msgspec.structs.replace(tool, headers=headers)


def _header_field(tool: int, header: int) -> str:
    return f"custom_tools[{tool}].headers[{header}].value"
