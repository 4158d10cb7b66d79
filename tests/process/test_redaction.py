"""What log lines show of people when `OFFHOOK_LOG_PII` is off: nothing."""

from __future__ import annotations

import ast
import json
import logging
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy.exc import IntegrityError

from process import logs, redaction
from process.addresses import AddressRefused

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
NAME, NUMBER, CARD = "Wilhelmina Marked", "+12025550177", "4111 1111 1111 1111"
MARKS = ("Wilhelmina", "Marked", "2025550177", "1111 1111", "41111111")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    text = capsys.readouterr().err
    assert [mark for mark in MARKS if mark in text] == []
    return [json.loads(line) for line in text.splitlines()]


def fail(text: str) -> Exception:
    """Return an exception with a traceback, and with others before it and in it."""
    try:
        try:
            raise ValueError(f"the first: {text}")
        except ValueError as exc:
            raise ExceptionGroup(f"several: {text}", [KeyError(text)]) from exc
    except ExceptionGroup as exc:
        return exc


def test_what_an_exception_quotes_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("control-plane")
    log = logs.get_logger("control_plane")
    said = f"{NAME} {NUMBER} {CARD}"
    log.error("a request failed", exc_info=fail(said))
    log.error("the database refused", error=sqlite3.OperationalError(said))
    log.error("several", errors=[fail(said), {"pii_name": NAME, "deeper": fail(said)}])
    try:
        raise RuntimeError(said)
    except RuntimeError:
        log.exception("within")
        logging.getLogger("livekit.agents").exception("of a library")
    request, refused, several, within, library = lines(capsys)
    assert "test_redaction.py" in request["exception"]
    assert "ValueError\n\nand then:" in request["exception"]
    assert "among them:\n\nKeyError" in request["exception"]
    assert refused["error"] == "OperationalError"
    assert several["errors"][1] == {"pii_name": "[redacted]", "deeper": "ExceptionGroup"}
    for each in (within, library):
        assert each["exception"].endswith("RuntimeError")


def test_codes_and_our_own_texts_are_shown() -> None:
    assert redaction.cause(OSError(28, "No space left on device", f"/{NAME}")) == (
        "OSError (No space left on device)"
    )
    refused = AddressRefused("10.0.0.7 is not a public address")
    assert redaction.cause(refused) == "AddressRefused: 10.0.0.7 is not a public address"
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE people (name TEXT UNIQUE)")
    db.execute("INSERT INTO people VALUES (?)", (NAME,))
    with pytest.raises(sqlite3.IntegrityError) as twice:
        db.execute("INSERT INTO people VALUES (?)", (NAME,))
    db.close()
    wrapped = IntegrityError("INSERT …", {"name": NAME}, twice.value)
    assert redaction.cause(wrapped) == "IntegrityError: IntegrityError (SQLITE_CONSTRAINT_UNIQUE)"


def test_what_libraries_cite_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("agent")
    log = logging.getLogger("livekit.agents")
    log.warning("failed to generate LLM completion: you said %s, retrying in 0.5s", NAME + CARD)
    log.warning("%s failed, switching to next LLM: %s", "openai", RuntimeError(NAME))
    log.info("executing tool", extra={"function": "book", "lk.pii.arguments": CARD, "said": NAME})
    log.info("usage", extra={"tokens": 12, "summary": {"words": NAME}, "cause": ValueError(NAME)})
    log.error('unknown event "%s"', NAME)
    logging.getLogger("asyncio").error("Task exception was never retrieved\n<Task %r>", NAME)
    retry, switch, tool, usage, unknown, task = lines(capsys)
    assert retry["msg"] == "failed to generate LLM completion: [redacted], retrying in 0.5s"
    assert switch["msg"] == "openai failed, switching to next LLM: [redacted]"
    assert (tool["function"], tool["said"]) == ("book", "[redacted]")
    assert (usage["tokens"], usage["summary"], usage["cause"]) == (12, "[redacted]", "ValueError")
    assert unknown["msg"] == "unknown event  [redacted]"
    assert task["msg"] == "Task exception was never retrieved [redacted]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"call {NUMBER} now", "call [redacted] now"),
        (f"card {CARD}.", "card [redacted]."),
        ("card 4111-1111-1111-1111", "card [redacted]"),
        ("card 378282246310005!", "card [redacted]!"),
        ("no card 4111 1111 1111 1112", "no card 4111 1111 1111 1112"),
        ("01a224e5-b4e8-7197-9117-011111111111", "01a224e5-b4e8-7197-9117-011111111111"),
        ("1764378633.512000", "1764378633.512000"),
    ],
)
def test_numbers_within_texts(text: str, shown: str) -> None:
    assert redaction.without_numbers(text) == shown


def test_who_asks_for_it_is_shown_everything(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("agent", show_pii=True)
    logs.get_logger("agent").error("broke", error=ValueError(NAME), exc_info=fail(CARD))
    logging.getLogger("livekit.agents").warning("failed: %s", NAME, extra={"said": NUMBER})
    ours, theirs = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert ours["error"] == NAME
    assert CARD in ours["exception"]
    assert (theirs["msg"], theirs["said"]) == (f"failed: {NAME}", NUMBER)


def test_no_line_of_ours_takes_what_others_said() -> None:
    """Whoever logs `str(exc)` takes the judging of what it quotes away from the one place.

    So does who logs a far end's reason phrase under a key that is shown.
    """
    files = subprocess.run(
        ["git", "ls-files", "agent", "control_plane", "process", "scheduler", "sip", "speech"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    found = [
        f"{name}:{node.lineno}"
        for name in files
        # The simulator's callers are nobody, and its log is its own.
        if name.endswith(".py") and not name.startswith("sip/carrier/")
        for node in ast.walk(ast.parse((ROOT / name).read_text()))
        if isinstance(node, ast.Call)
        and _logs(node)
        and any(_is_text_of_exception(each) or _is_reason_phrase(each) for each in node.keywords)
    ]
    assert found == []


def _logs(node: ast.Call) -> bool:
    levels = {"debug", "info", "warning", "error", "exception", "critical"}
    return isinstance(node.func, ast.Attribute) and node.func.attr in levels


def _is_reason_phrase(keyword: ast.keyword) -> bool:
    return not (keyword.arg or "").startswith("pii_") and any(
        isinstance(each, ast.Attribute) and each.attr == "sip_reason"
        for each in ast.walk(keyword.value)
    )


def _is_text_of_exception(keyword: ast.keyword) -> bool:
    return any(
        isinstance(each, ast.Call)
        and isinstance(each.func, ast.Name)
        and each.func.id in ("str", "repr")
        and isinstance(each.args[0], ast.Name)
        and each.args[0].id in ("exc", "error", "problem", "failure", "exception")
        for each in ast.walk(keyword.value)
        if not isinstance(each, ast.Call) or each.args
    )
