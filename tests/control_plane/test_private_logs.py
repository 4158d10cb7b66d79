"""A database that fails has people in its statements: none of them reaches a log or a client."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest
import structlog
from sqlalchemy import text

from control_plane.app import Resources
from process import logs

pytestmark = pytest.mark.db

NAME, NUMBER, CARD = "Wilhelmina Marked", "+12025550177", "4111 1111 1111 1111"
MARKS = ("Wilhelmina", "Marked", "2025550177", "1111 1111")
REQUESTS = {
    "an order": ("POST", "/call", "call_order"),
    "an assistant": ("POST", "/assistant", "assistant"),
    "a number not to be called": ("POST", "/do-not-call", "do_not_call"),
    "the same number, again": ("DELETE", f"/do-not-call/{NUMBER}", "do_not_call"),
}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


BODIES = {
    "/call": {
        "phone_number": NUMBER,
        "prompt_variables": {"name": NAME, "card": CARD},
        "assistant": {"name": NAME, "prompt": f"Call {NAME} about {CARD}."},
    },
    "/assistant": {"name": NAME, "prompt": f"Call {NAME} at {NUMBER} about {CARD}."},
    "/do-not-call": {"phone_number": NUMBER, "reason": f"{NAME} said so"},
}


@pytest.mark.parametrize("name", sorted(REQUESTS))
async def test_a_statement_that_fails_shows_nobody(
    api: httpx.AsyncClient, resources: Resources, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    method, path, table = REQUESTS[name]
    async with resources.database.transaction() as session:
        await session.execute(text(f"ALTER TABLE {table} RENAME TO gone"))
    capsys.readouterr()
    logs.configure("control-plane", level="DEBUG")
    answer = await api.request(method, path, json=BODIES.get(path))
    assert answer.status_code in (500, 503), answer.text
    shown = capsys.readouterr().err
    assert table in shown or "Error" in shown  # which statement, or what kind of failure
    assert '"level": "error"' in shown
    for mark in MARKS:
        assert mark not in shown
        assert mark not in answer.text
