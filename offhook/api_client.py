"""The public API as the command line uses it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import httpx
import typer

from offhook.console import fail
from offhook.installation import Installation
from offhook.ports import PortRefused
from process.keep_alive import LIMITS

LONG_S = 40.0


class ApiProblem(Exception):
    """The API refused a request; the message says which field and what to do."""


class ApiClient:
    """Bearer client of one Offhook."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=15.0,
            limits=LIMITS,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: str) -> Any:
        """Return the decoded answer."""
        return self._send("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the decoded answer."""
        return self._send("POST", path, json=body if body is not None else {})

    def post_for_bytes(self, path: str, body: dict[str, Any]) -> bytes:
        """Return the answer as it is; it may take longer than others."""
        return self._answer("POST", path, json=body, timeout=LONG_S).content

    def put(self, path: str, body: dict[str, Any], **query: str) -> Any:
        """Return the decoded answer."""
        return self._send("PUT", path, json=body, params=query)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """Return the decoded answer."""
        return self._send("PATCH", path, json=body)

    def events(
        self, order_id: str, *, silence_s: float, limit_s: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield an order's events as they are stored, until it is over.

        Args:
            silence_s: how long the API may send nothing, not even a sign of life.
            limit_s: how long all of it may take; looked at with every sign of life.

        Raises:
            ApiProblem: the API fell silent, or the order was not over in time.
        """
        deadline = None if limit_s is None else time.monotonic() + limit_s
        try:
            with self._http.stream(
                "GET",
                f"/call/{order_id}/events",
                headers={"Accept": "text/event-stream"},
                timeout=httpx.Timeout(15.0, read=silence_s),
            ) as answer:
                if answer.is_error:
                    answer.read()
                    raise ApiProblem(explain(answer))
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line.removeprefix("data:"))
                    if deadline is not None and time.monotonic() > deadline:
                        raise ApiProblem(f"the call was not over within {limit_s:.0f} s")
        except httpx.TransportError as exc:
            raise ApiProblem(f"the API stopped answering: {type(exc).__name__}") from exc

    def _send(self, method: str, path: str, **how: Any) -> Any:
        answer = self._answer(method, path, **how)
        return answer.json() if answer.content else None

    def _answer(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **how)
        except httpx.TransportError as exc:
            raise ApiProblem(
                f"no answer from {self._http.base_url}: is Offhook up? Start it with `make up`"
            ) from exc
        if answer.is_error:
            raise ApiProblem(explain(answer))
        return answer


def installed() -> Installation:
    """Return the Offhook that the environment names.

    Raises:
        ApiProblem: one of its settings cannot be used.
    """
    try:
        return Installation(os.environ)
    except PortRefused as exc:
        raise ApiProblem(str(exc)) from None


def connect(home: Installation, *, first: bool = False) -> ApiClient:
    """Return a client with the key of OFFHOOK_API_KEY, else with the first start's.

    Args:
        first: with the first start's whatever the environment says: it owns the simulator's trunk.

    Raises:
        ApiProblem: there is no such key: nothing was ever started in this data folder.
    """
    key = home.credentials().get("api_key") if first else home.api_key
    if not key:
        raise ApiProblem(f"{home.data} holds no credentials: start Offhook with `make up` first")
    return ApiClient(home.api_url, key)


def run(command: Callable[[ApiClient], None]) -> None:
    """Run a command line's `command`; an `ApiProblem` ends it with status 1."""
    try:
        with connect(installed()) as api:
            command(api)
    except ApiProblem as exc:
        fail(str(exc))
        raise typer.Exit(1) from None


def explain(answer: httpx.Response) -> str:
    """Return a problem document (RFC 9457) as one sentence."""
    try:
        problem = answer.json()
    except ValueError:
        return f"the API answered {answer.status_code}"
    detail = problem.get("detail") or problem.get("title") or f"status {answer.status_code}"
    field = problem.get("field")
    return f"{field}: {detail}" if field and field not in detail else str(detail)
