"""The reference pages of an assistant's fields, made from their declaration and from tests' marks.

After a change of either: `python -m tests.field_pages`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, Struct, UnsetType

from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.credentials import read_webhook_url
from control_plane.domain.declared import Setting, settings_of
from control_plane.domain.phone import e164
from control_plane.domain.providers import LlmModel, TextModel
from control_plane.domain.tools import CustomTool, DataField

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"

_FIELDS = re.compile(r"(?<=\n)\| field \| bounds .*?\n(?=\n)", re.DOTALL)
_BELOW: Mapping[Any, str] = {
    LlmModel: "[a model](#the-model)",
    TextModel: "[a model](#the-model), none of the type realtime",
    CallRetryConfig: "[see below](#when-calls-may-begin)",
    CustomTool: "[a tool](#custom-tools)",
    DataField: "[a field](#custom-tools) as in `input_schema`",
}
"""Types that the page has a section about."""

ORDER: Mapping[str, str | None] = {
    "phone_number": "control_plane.domain.phone.e164",
    "assistant_id": "control_plane.orders.placing.OrderBuilder",
    "assistant": "control_plane.assistants.schemas.merge",
    "call_retry_config": "control_plane.domain.gate.gate",
    "concurrency": "control_plane.domain.gate.gate",
    "force_now": "control_plane.domain.gate.gate",
    "scheduled_at": "control_plane.domain.gate.gate",
    "from_phone_number": "control_plane.orders.placing.OrderBuilder",
    "metadata": "control_plane.orders.views.CallViews",
    "prompt_variables": "agent.prompt.Texts",
}
"""Where the code is that makes each field of an order change a call; None: not yet."""

_SUPPORT = """# Which field is supported where

Every field is checked when it is given and kept with the order. One that says *not yet* is kept
while the code behind it does not exist: an answer whose assistant sets it to something else than
its default lists it in `not_yet_supported`. Bounds and defaults: [assistant fields](assistant.md).
"""
_SHOWN_BY = """# Which test shows what each field does

Every field of an assistant that is [supported](assistant-fields.md) has a test that fails when it
is not. Those in `tests/system` hold a real call over SIP and judge by what the telephone heard; the
others judge what reached the API or a receiver of webhooks.
"""


def assistant(spec: type[Struct] = AssistantSpec) -> str:
    """Return the page of bounds and defaults: as it is, its table made anew."""
    rows = ["| field | bounds | default | meaning |", "|---|---|---|---|"]
    means = meanings(spec)
    for name, setting in settings_of(spec).items():
        rows.append(f"| `{name}` | {bounds(setting)} | {_default(setting)} | {means[name]} |")
    page = (REFERENCE / "assistant.md").read_text()
    return _FIELDS.sub(lambda _: "\n".join([*rows, ""]), page, count=1)


def support(spec: type[Struct] = AssistantSpec) -> str:
    """Return the page that says where the code behind each field is."""
    settings = settings_of(spec).items()
    tables = {"assistant": {name: each.support for name, each in settings}, "order": ORDER}
    lines = [_SUPPORT]
    for title, table in tables.items():
        lines += [f"## Of an {title}\n", "| field | supported in |", "|---|---|"]
        for name, symbol in sorted(table.items()):
            lines.append(f"| `{name}` | {f'`{symbol}`' if symbol else '*not yet*'} |")
        lines.append("")
    return "\n".join(lines)


def shown_by() -> str:
    """Return the page that says which tests show what each field does."""
    lines = [_SHOWN_BY, "| field | shown by |", "|---|---|"]
    for name, tests in sorted(marked().items()):
        lines.append(f"| `{name}` | {'<br>'.join(f'`{file}` `{test}`' for file, test in tests)} |")
    return "\n".join([*lines, ""])


PAGES = {
    REFERENCE / "assistant.md": assistant,
    REFERENCE / "assistant-fields.md": support,
    REFERENCE / "field-tests.md": shown_by,
}


@cache
def marked() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Return the tests with the mark `shows`, by the field it names, as (file, test)."""
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text()
        if "mark.shows(" not in source:
            continue
        for node in ast.parse(source).body:
            for mark in getattr(node, "decorator_list", ()):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.shows":
                    for field in mark.args:
                        test = (path.relative_to(ROOT).as_posix(), getattr(node, "name", ""))
                        found[ast.literal_eval(field)].append(test)
    return {name: tuple(tests) for name, tests in found.items()}


def meanings(kind: type[Struct]) -> dict[str, str]:
    """Return what stands below each field, without the capital and the full stop of a sentence."""
    found = meanings(kind.__base__) if kind.__base__ not in (Struct, None) else {}
    [body] = [node.body for node in ast.walk(_source(kind)) if isinstance(node, ast.ClassDef)]
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            if not (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)):
                raise TypeError(f"{kind.__name__}.{field.target.id}: say below it what it means")
            words = str(text.value.value).removesuffix(".")
            shout = words[1].isupper()
            found[field.target.id] = words if shout else words[0].lower() + words[1:]
    return found


def _source(kind: type[Struct]) -> ast.AST:
    return ast.parse(inspect.getsource(kind))


def bounds(setting: Setting) -> str:
    """Return in words what a request may give."""
    asked = setting.asked
    if asked.read is e164:
        return "E.164"
    words = _words(asked.kind or setting.type, asked.bounds)
    return f"http or https, {words}" if asked.read is read_webhook_url else words


def _words(kind: Any, limit: Meta | None = None) -> str:
    if kind in _BELOW:
        return _BELOW[kind]
    if get_origin(kind) is Annotated:
        metas = [each for each in kind.__metadata__ if isinstance(each, Meta)]
        return _words(kind.__origin__, metas[0] if metas else None)
    if get_origin(kind) is tuple:
        at_most = f"≤ {limit.max_length:,} of " if limit and limit.max_length else ""
        return f"{at_most}{_words(get_args(kind)[0])}"
    if isinstance(kind, type) and issubclass(kind, Struct):
        return f"{{{'; '.join(_members(kind))}}}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{each.value}`" for each in kind)
    if kind is bool:
        return "true, false"
    if kind in (str, int, float):
        return _limits(limit, kind)
    some = [each for each in get_args(kind) if each not in (NoneType, UnsetType)]
    if all(isinstance(each, str) for each in some):
        return ", ".join(f"`{each}`" for each in some)
    without = [each for each in _BELOW if set(get_args(each)) == set(some)]
    return _BELOW[without[0]] if without else " or ".join(_words(each, limit) for each in some)


def _members(kind: type[Struct]) -> Iterator[str]:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        yield f"{name} {_words(hint)}".rstrip()


def _limits(limit: Meta | None, kind: type) -> str:
    if limit is None:
        return ""
    low, high = (limit.min_length, limit.max_length) if kind is str else (limit.ge, limit.le)
    shown = f"≤ {high:,}" if low is None else f"{low:,}–{high:,}"
    return f"{shown} characters" if kind is str else shown


def _default(setting: Setting) -> str:
    default = msgspec.to_builtins(setting.default) if setting.default is not NODEFAULT else UNSET
    match default:
        case msgspec.UNSET:
            return "required"
        case None | []:
            return "none"
        case bool():
            return str(default).lower()
        case str():
            return f"`{default}`"
        case dict() if setting.type in _BELOW:
            return "see there"
        case dict():
            return ", ".join(f"{name} {each}" for name, each in default.items() if each is not None)
    return str(default)


if __name__ == "__main__":
    for path, made in PAGES.items():
        path.write_text(made())
