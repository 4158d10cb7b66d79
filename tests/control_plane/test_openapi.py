"""The OpenAPI documents: an id, an example and every error for each operation of every contract."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from control_plane.documents import DIALECTS, DOCUMENT, EXAMPLES
from control_plane.http.documented_errors import CODES
from tests.api_examples import recorded, recorders
from tests.api_stories import STORIES

pytestmark = [pytest.mark.db, pytest.mark.timeout(120)]

METHODS = ("get", "post", "put", "patch", "delete")
OPEN = "/health"
Documents = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    """Return each document by its name."""

    async def read() -> Documents:
        async with recorders(tmp_path_factory.mktemp("data")) as found:
            return {name: each.document for name, each in found.items()}

    return asyncio.run(read())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the operation of each."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, item[method]


def media(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each body is and its media type object: of the request and of the answers."""
    for kind, each in operation.get("requestBody", {}).get("content", {}).items():
        yield f"request {kind}", each
    for status, response in operation["responses"].items():
        for kind, each in response.get("content", {}).items():
            yield f"{status} {kind}", each


def named(each: dict[str, Any]) -> dict[str, Any]:
    """Return the examples of a media type object that have names."""
    return {name: one["value"] for name, one in each.get("examples", {}).items()}


def shown(each: dict[str, Any]) -> list[Any]:
    """Return all examples of a media type object."""
    return [*named(each).values(), *([each["example"]] if "example" in each else [])]


@pytest.mark.parametrize("name", STORIES)
def test_each_operation_has_an_id_an_example_and_errors(documents: Documents, name: str) -> None:
    seen: set[str] = set()
    for path, operation in operations(documents[name]):
        key = operation["operationId"]
        assert key not in seen
        seen.add(key)
        assert operation["summary"]
        bodies = dict(media(operation))
        asked = [each for where, each in bodies.items() if where == "request application/json"]
        assert all("example" in each for each in asked), key
        answers = [each for where, each in bodies.items() if where.endswith("/json")]
        recorded = [each for each in answers if "example" in each or "answer" in named(each)]
        is_json = "200 application/json" in bodies or "201 application/json" in bodies
        assert len(recorded) > len(asked) or not is_json, key
        for parameter in operation.get("parameters", ()):
            assert parameter["in"] != "path" or "example" in parameter, (key, parameter["name"])
        if not path.startswith(OPEN):
            assert {"500"} < operation["responses"].keys(), key


@pytest.mark.parametrize("name", STORIES)
def test_each_example_is_what_the_document_says(documents: Documents, name: str) -> None:
    document = documents[name]
    count = 0
    for _, operation in operations(document):
        for _, each in media(operation):
            for value in shown(each):
                schema = {**each["schema"], "components": document["components"]}
                jsonschema.Draft202012Validator(schema).validate(value)
                count += 1
    assert count > 10


async def test_the_examples_are_what_the_api_answers_today(tmp_path: Path) -> None:
    remedy = "run `python -m tests.api_examples`"
    for name, fresh in (await recorded(tmp_path)).items():
        kept = msgspec.json.decode((EXAMPLES / f"{name}.json").read_bytes())
        assert kept.keys() == fresh.keys(), remedy
        for operation, each in fresh.items():
            for part in ("parameters", "body", "status"):
                assert alike(kept[operation].get(part), each.get(part)), f"{operation}: {remedy}"
            answers = kept[operation].get("answer"), each.get("answer")
            assert alike(*answers), f"{operation}: {remedy}"


def alike(one: Any, other: Any) -> bool:
    """Return whether two answers have the same members; what hangs on the hour may be none."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)
        case list(), list():
            return all(alike(*pair) for pair in zip(one, other, strict=False))
    return one is None or other is None or type(one) is type(other)


def test_every_error_that_there_is_is_told_of(documents: Documents) -> None:
    found = {
        code
        for _, operation in operations(documents["native"])
        for status, response in operation["responses"].items()
        if status >= "400"
        for each in response.get("content", {}).values()
        for code in each.get("examples", {})
    }
    assert found == CODES
    schemas = documents["native"]["components"]["schemas"]
    assert set(schemas["ErrorCode"]["enum"]) == CODES


def test_a_refusal_is_told_where_it_can_come_and_nowhere_else(documents: Documents) -> None:
    codes = {
        operation["operationId"]: set(
            operation["responses"]["422"]["content"].popitem()[1]["examples"]
        )
        for path, operation in operations(documents["native"])
        if not path.startswith(OPEN)
    }
    assert "not_callable" in codes["placeCall"]
    assert "not_callable" not in codes["createTrunk"]
    assert "unknown_field" in codes["listCalls"]


async def test_dialects_have_documents_of_their_own(tmp_path: Path) -> None:
    async with recorders(tmp_path) as found:
        native = found["native"].document
        for dialect in DIALECTS:
            document = found[dialect.name].document
            assert all(path.startswith(f"{dialect.prefix}/") for path in document["paths"])
            assert not document["paths"].keys() & native["paths"].keys()
            assert dialect.title in document["info"]["title"]
    assert DOCUMENT == "/schema/openapi.json"


def test_a_dialect_tells_of_errors_in_its_own_words(documents: Documents) -> None:
    def of(name: str, path: str, method: str) -> Any:
        return documents[name]["paths"][path][method]["responses"]

    schedule = of("redial", "/redial/v1/call/schedule", "post")
    assert schedule.keys() == {"200", "400", "401", "404", "500"}
    assert "not_callable" in schedule["200"]["content"]["application/json"]["examples"]
    wrong = schedule["400"]["content"]["application/json"]["examples"]["bad_input"]["value"]
    assert wrong["status"] == "error_scheduling"
    dial = of("dial_outbound", "/dial-outbound/dial/outbound", "post")
    [told] = dial["422"]["content"].values()
    assert told["examples"]["missing_variable"]["value"].keys() == {"error", "message", "field"}
    voice = of("voice_api", "/voice-api/voice/start", "post")
    assert "Retry-After" in voice["429"]["headers"]
