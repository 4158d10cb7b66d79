"""Whatever is sent, as documented or not, gets a documented answer and never meets a fault."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from control_plane.documents import DIALECTS, DOCUMENT, describe_native
from tests.contract.seeds.facts import VALUES
from tests.served import Served, served

pytestmark = [pytest.mark.db, pytest.mark.timeout(300)]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 24
"""Cases per operation: as documented and not, with ids that exist and with ids that do not."""
READY = "/health/ready"
"""Answers 503 as it should: nothing but the database runs here."""


class Running:
    """The API with a loop of its own: Hypothesis calls tests that are not coroutines."""

    def __init__(self, runner: asyncio.Runner, api: Served):
        self._runner = runner
        self._client = api.client
        runner.run(describe_native(api.app))
        self.document = self.get("/schema/openapi.json")
        self.dialects = [self.get(f"{each.prefix}{DOCUMENT}") for each in DIALECTS]
        self.ids = self._make()

    def get(self, path: str) -> Any:
        """Return the JSON at `path`."""
        return self._runner.run(self._client.get(path)).json()

    def send(self, case: Case) -> httpx.Response:
        """Return the answer to a case."""
        made = requests.Request(**case.as_transport_kwargs(base_url="http://api")).prepare()
        key = {"Authorization": self._client.headers["Authorization"]}
        request = self._client.build_request(
            made.method or "", made.url or "", headers={**made.headers, **key}, content=made.body
        )
        return self._runner.run(self._client.send(request))

    def _make(self) -> dict[str, str]:
        """Return ids that exist, by the names of path parameters."""
        body = {"phone_number": "+12025550123", "scheduled_at": "2099-01-01T00:00:00Z"}
        call = self._runner.run(self._client.post("/call", json=body)).json()["call"]
        given = {"name": "A", "prompt": "p"}
        made = self._runner.run(self._client.post("/assistant", json=given)).json()["assistant"]
        return {
            "call_id": call["id"],
            "assistant_id": made["id"],
            "trunk_id": self.get("/trunk")["trunks"][0]["id"],
            "number_id": self.get("/number")["numbers"][0]["id"],
            "name": "openai",
        }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        api = runner.run(stack.enter_async_context(served(tmp_path_factory.mktemp("data"))))
        try:
            yield Running(runner, api)
        finally:
            runner.run(stack.aclose())


def cases(operation: APIOperation[Any, Any, Any, Any], ids: dict[str, str]) -> Any:
    """Return the strategy of an operation: data as documented and not, ids that exist and not."""
    names = {parameter.name for parameter in operation.path_parameters}
    known = {name: ids[name] for name in names & ids.keys()}
    found = []
    for mode in GenerationMode:
        found.append(operation.as_strategy(generation_mode=mode))
        if known and names <= known.keys():
            found.append(operation.as_strategy(generation_mode=mode, path_parameters=known))
    return st.one_of(found)


def with_sense(body: Any) -> Any:
    """Return `body` with texts that mean something, so that more of it is accepted."""
    if isinstance(body, dict):
        return {
            name: VALUES[name] if isinstance(each, str) and name in VALUES else with_sense(each)
            for name, each in body.items()
        }
    return [with_sense(each) for each in body] if isinstance(body, list) else body


def test_a_fault_would_be_noticed(running: Running) -> None:
    schema = schemathesis.openapi.from_dict(running.document)
    case = schema["/call"]["POST"].Case(body={"phone_number": "x"})
    for status, content in ((500, {}), (418, {}), (200, {"call": {}})):
        request = httpx.Request("POST", "http://api/call")
        answer = httpx.Response(status, json=content, request=request)
        answer.elapsed = timedelta()
        with pytest.raises(BaseExceptionGroup):
            case.validate_response(answer, checks=CHECKS)


def test_the_document_knows_nothing_of_dialects(running: Running) -> None:
    paths = ("/v1", "/voice/", "/dial", "/redial", "/voice-api")
    assert not [path for path in running.document["paths"] if path.startswith(paths)]
    schemas = running.document["components"]["schemas"]
    assert not {"Schedule", "Scheduled", "Dialled", "SessionList"} & set(schemas)
    assert not [name for name in schemas if "dialects" in name]


def test_no_operation_has_a_fault(running: Running) -> None:
    assert sum(map(len, running.document["paths"].values())) > 30
    faults = faults_of(running, running.document)
    assert not faults, "\n\n".join(faults)


def test_no_operation_of_a_dialect_has_a_fault(running: Running) -> None:
    faults = [each for document in running.dialects for each in faults_of(running, document)]
    assert not faults, "\n\n".join(faults)


def faults_of(running: Running, document: dict[str, Any]) -> list[str]:
    """Try every operation of a document; returns what went wrong."""
    schema = schemathesis.openapi.from_dict(document)
    operations = [each.ok() for each in schema.get_all_operations()]
    faults: list[str] = []
    for operation in operations:
        if operation.path == READY:
            continue

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases(operation, running.ids), sensible=st.booleans())
        def try_it(case: Case, sensible: bool) -> None:
            if case.formatted_path != case.path and case.formatted_path in document["paths"]:
                return  # `/webhook/secret` is another operation
            if sensible:
                case.body = with_sense(case.body)
            answer = running.send(case)
            case.validate_response(answer, checks=CHECKS)
            check_code(answer, document["paths"][case.path][case.method.lower()])

        try:
            try_it()
        except (AssertionError, BaseExceptionGroup) as exc:
            faults.append(f"{operation.label}: {exc}")
    return faults


def check_code(answer: httpx.Response, operation: dict[str, Any]) -> None:
    """Check that a refusal's code is one that the operation tells of at its status."""
    if answer.status_code < 400:
        return
    kind, _, _ = answer.headers["content-type"].partition(";")
    told = operation["responses"][str(answer.status_code)]["content"][kind]["examples"]
    body = answer.json()
    code = body.get("code", body.get("error"))
    assert code in told or " " in (code or " "), f"{answer.status_code} {code}: {body}"
