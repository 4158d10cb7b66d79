"""A field that is only declared is in requests, answers, pages, the seals and the variables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec import UNSET, Struct
from sqlalchemy import select

from control_plane.app import Resources
from control_plane.assistants import secrets, specs
from control_plane.assistants.derived import answer_with, request_for
from control_plane.db.models.organization import Organization
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.credentials import is_credential
from control_plane.domain.declared import (
    Secret,
    Support,
    Template,
    members,
    not_yet_supported,
    settings_of,
    spots,
    up_to,
)
from control_plane.domain.errors import MissingVariable
from control_plane.domain.providers import CustomModel, LlmModel
from control_plane.domain.tools import CustomTool, Pair
from control_plane.domain.variables import require_values, wanted
from tests import field_pages

pytestmark = pytest.mark.db

CLEAR = "a-long-secret-of-5678"
MODEL = CustomModel("https://one.example/v1", "m", CLEAR)
TOOL = CustomTool(
    "look_up",
    "Looks up.",
    "GET",
    "https://one.example/{{shop}}",
    (Pair("X-Key", CLEAR), Pair("Accept", "text/plain")),
    (),
    "",
    (),
)


class Extended(AssistantSpec, frozen=True, kw_only=True):
    """An assistant with fields that nobody has heard of."""

    pass_phrase: Annotated[str | None, up_to(30), Secret(), Template(), Support(None)] = None
    """Opens the door."""
    summary_model: Annotated[LlmModel | None, Support(None)] = None
    """Sums the call up."""
    after_tools: Annotated[tuple[CustomTool, ...], up_to(2), Support(None)] = ()
    """Run once it is over."""
    lines: Annotated[tuple[str, ...], up_to(9), Template(), Support(None)] = ()
    """Said while somebody waits."""


@request_for(Extended)
class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request."""


@answer_with(Extended)
class Shown(Struct, frozen=True, kw_only=True):
    """An answer."""

    id: str


def extended(**fields: Any) -> Extended:
    return Extended(name="A", prompt="p", **fields)


FULL = extended(pass_phrase=CLEAR, summary_model=MODEL, after_tools=(TOOL,))


def properties(kind: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.schema(kind)["$defs"][kind.__name__]
    return found


@pytest.mark.parametrize(
    ("body", "told"),
    [({}, UNSET), ({"pass_phrase": None}, None), ({"pass_phrase": "sesame"}, "sesame")],
)
def test_requests_tell_absent_null_and_a_value_apart(body: dict[str, Any], told: Any) -> None:
    assert getattr(msgspec.convert(body, Change), "pass_phrase") == told  # noqa: B009 - derived


def test_requests_hold_it_to_its_bounds_and_know_no_other() -> None:
    with pytest.raises(msgspec.ValidationError, match="length <= 30"):
        msgspec.convert({"pass_phrase": "x" * 31}, Change)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"pass_phrases": "x"}, Change)


def test_what_is_stored_is_not_held_to_them() -> None:
    stored = msgspec.to_builtins(extended(pass_phrase="x" * 31))
    assert msgspec.convert(stored, Extended).pass_phrase == "x" * 31


def test_answers_always_have_it() -> None:
    assert set(properties(Shown)["required"]) == {"id", *settings_of(Extended)}
    assert properties(Change)["required"] == []


def test_the_pages_have_it() -> None:
    row = "| `pass_phrase` | ≤ 30 characters | none | opens the door |"
    assert row in field_pages.assistant(Extended).splitlines()
    assert "| `pass_phrase` | *not yet* |" in field_pages.support(Extended).splitlines()


def test_answers_name_it_while_nothing_acts_on_it() -> None:
    assert not_yet_supported(extended()) == []
    assert not_yet_supported(FULL) == ["after_tools", "pass_phrase", "summary_model"]


def test_its_secrets_are_found_at_any_depth_and_put_back() -> None:
    found = {place.field: value for place, value in secrets.find(FULL)}
    assert found == {
        "pass_phrase": CLEAR,
        "summary_model.api_url": MODEL.api_url,
        "summary_model.api_key": CLEAR,
        "after_tools[0].url": TOOL.url,
        "after_tools[0].headers[0].value": CLEAR,
    }
    masked = secrets.put(FULL, dict.fromkeys(found, "****"))
    assert CLEAR not in str(masked)
    assert secrets.put(masked, found) == FULL


async def test_its_secrets_are_sealed_in_rows(resources: Resources) -> None:
    now = datetime.now(UTC)
    async with resources.database.transaction() as session:
        owner = (await session.scalars(select(Organization.id))).one()
        stored = await specs.store(session, resources.vault, owner, FULL, now=now)
    assert CLEAR not in str(stored)


def test_its_variables_need_values() -> None:
    texts = extended(pass_phrase="{{word}}", after_tools=(TOOL,), lines=("One", "{{word}}"))
    assert list(wanted(texts)) == [
        ("pass_phrase", "word"),
        ("after_tools[0].url", "shop"),
        ("lines", "word"),
    ]
    with pytest.raises(MissingVariable, match="the assistant's pass_phrase names"):
        require_values(texts, {"shop": "a"})
    require_values(texts, {"shop": "a", "word": "b"})


class _Mapped(Struct, frozen=True):
    models: dict[str, CustomModel] = {}


def test_a_secret_where_nobody_looks_is_an_error_and_not_left_in_clear() -> None:
    with pytest.raises(TypeError, match="models: a dict is not looked into"):
        list(spots(_Mapped({"a": MODEL}), Secret))


def test_whatever_is_named_like_a_secret_is_declared_as_one() -> None:
    def texts(kind: type[Struct]) -> Iterator[tuple[type[Struct], str]]:
        for name, hint in get_type_hints(kind).items():
            for part in (hint, *get_args(hint)):
                if isinstance(part, type) and issubclass(part, Struct):
                    yield from texts(part)
                elif part is str:
                    yield kind, name

    named = [each for each in texts(Extended) if is_credential(each[1], "a")]
    assert (CustomModel, "api_key") in named
    assert [each for each in named if each[1] not in dict(members(each[0], Secret))] == []


class _Undeclared(AssistantSpec, frozen=True, kw_only=True):
    bare: str | None = None


def test_a_field_without_a_declaration_is_an_error() -> None:
    with pytest.raises(TypeError, match="bare does not say where it is supported"):
        settings_of(_Undeclared)
