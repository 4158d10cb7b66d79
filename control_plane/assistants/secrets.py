"""Where an assistant holds secrets, and the references that stand there once they are sealed.

Secrets are a custom model's key, the value of every header of a tool but the well-known ones
that never carry a login, and the values of its query parameters that look like a credential.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from control_plane.domain.assistant import AssistantSpec, CustomModel, LlmModel
from control_plane.domain.credentials import is_credential
from control_plane.domain.placeholders import names
from control_plane.domain.tools import CustomTool, Pair
from control_plane.sealed import looks_masked, mask

Where = Literal["headers", "query_params"]
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
    r"secret:(?P<id>[0-9a-f-]{36})(?:/(?P<part>\d{1,6}))?"
    r":(?P<hint>.{4}|)(?P<names>(?:\{\{[^{}]+\}\})*)",
    re.DOTALL,
)


class Reference(Struct, frozen=True):
    """Stands for a sealed secret: its row, what may be shown of it, the variables it names.

    Attributes:
        part: which of several that are sealed together, counted from 0; None: it is alone.
    """

    id: str
    hint: str
    names: tuple[str, ...] = ()
    part: int | None = None

    @classmethod
    def parse(cls, text: str) -> Reference | None:
        """Return the reference that `text` is; None when it is none."""
        found = _REFERENCE.fullmatch(text)
        if found is None:
            return None
        part = int(found["part"]) if found["part"] is not None else None
        return cls(found["id"], found["hint"], tuple(names(found["names"])), part)

    def __str__(self) -> str:
        key = self.id if self.part is None else f"{self.id}/{self.part}"
        return f"secret:{key}:{self.hint}" + "".join(f"{{{{{name}}}}}" for name in self.names)

    @property
    def masked(self) -> str:
        """What is shown instead of the secret."""
        return mask(self.hint)


class Place(Struct, frozen=True):
    """Where a secret stands: the field's name, and who it is through changes of the order.

    Attributes:
        goes_to: the scheme, host and port that it is sent to.
    """

    field: str
    identity: tuple[str, ...]
    goes_to: str


def find(spec: AssistantSpec) -> Iterator[tuple[Place, str]]:
    """Yield each place with what stands there."""
    if isinstance(spec.llm_model, CustomModel):
        place = Place("llm_model.api_key", ("llm_model",), _origin(spec.llm_model.api_url))
        yield place, spec.llm_model.api_key
    for index, model in enumerate(spec.llm_fallbacks):
        if isinstance(model, CustomModel):
            identity = ("llm_fallback", model.api_url, model.model_name)
            yield Place(_fallback_field(index), identity, _origin(model.api_url)), model.api_key
    for index, tool in enumerate(spec.custom_tools):
        yield from _of_pairs(tool, index, "headers", _in_header)
        yield from _of_pairs(tool, index, "query_params", _in_query)


def _of_pairs(
    tool: CustomTool, index: int, where: Where, is_secret: Callable[[Pair], bool]
) -> Iterator[tuple[Place, str]]:
    seen: dict[str, int] = {}
    for number, pair in enumerate(getattr(tool, where)):
        if not is_secret(pair):
            continue
        key = pair.key.lower()
        seen[key] = seen.get(key, 0) + 1
        kind = "tool" if where == "headers" else "tool query"
        identity = (kind, key, str(seen[key]), tool.name)
        yield Place(_pair_field(index, where, number), identity, _origin(tool.url)), pair.value


def _in_header(pair: Pair) -> bool:
    return bool(pair.value) and pair.key.lower() not in PLAIN_HEADERS


def _in_query(pair: Pair) -> bool:
    # What looks like a reference is sealed, too: it could be somebody else's.
    sealed = Reference.parse(pair.value) is not None
    return sealed or looks_masked(pair.value) or is_credential(pair.key, pair.value)


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return f"{parts.scheme}://{parts.netloc}".lower()


def put(spec: AssistantSpec, values: Mapping[str, str]) -> AssistantSpec:
    """Return `spec` with `values` at the places that have these fields."""
    if not values:
        return spec
    tools = tuple(_with_pairs(tool, n, values) for n, tool in enumerate(spec.custom_tools))
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


def _with_pairs(tool: CustomTool, index: int, values: Mapping[str, str]) -> CustomTool:
    def filled(where: Where) -> tuple[Pair, ...]:
        return tuple(
            Pair(pair.key, values.get(_pair_field(index, where, number), pair.value))
            for number, pair in enumerate(getattr(tool, where))
        )

    return msgspec.structs.replace(
        tool, headers=filled("headers"), query_params=filled("query_params")
    )


def _pair_field(tool: int, where: Where, number: int) -> str:
    return f"custom_tools[{tool}].{where}[{number}].value"
