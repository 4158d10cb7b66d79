"""Structured logs: a constant sentence, facts as keys, personal data redacted unless asked for.

Keys that begin with `pii_` hold personal data (numbers, names, transcripts, DTMF, tool arguments);
LiveKit's own begin with `lk.pii.`. Give an exception itself (`error=exc`), not its text: what it
quotes is for `process.redaction` to judge. A line that belongs to a call has its `attempt_id`.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from process import redaction
from process.log_noise import quiet
from process.redaction import REDACTED as REDACTED

CALL = "attempt_id"
"""The key that tells which call a line belongs to, the same in every process."""

_MOST_TEXT = 300
_MACHINERY = ("exc_info", "_record", "_from_structlog")
_ROOM = re.compile(r"\bcall-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
"""The room of a call that goes out: its name holds the attempt's id."""


def configure(process: str, *, level: str = "INFO", show_pii: bool = False) -> None:
    """Send JSON lines to standard error, each with the process's name and a UTC time.

    Args:
        process: the name that every line carries.
        level: the lowest level shown.
        show_pii: show personal data; off by default.
    """

    def name_process(
        _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        # Not a context variable: threads of libraries start with an empty context.
        event["process"] = process
        return event

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        name_process,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        _name_call,
    ]
    ours: list[structlog.types.Processor] = [_show] if show_pii else [_redact]
    theirs = ours if show_pii else [_redact_library, *ours]
    trail = structlog.processors.format_exc_info if show_pii else _trail
    structlog.configure(
        processors=[*shared, *ours, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, *theirs],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                trail,
                structlog.processors.EventRenamer("msg"),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    quiet(root.level)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger whose keyword arguments become keys of the line."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def of_call(**facts: str) -> None:
    """Have every line of this task, and of those it starts from now on, tell these facts.

    Args:
        facts: `attempt_id` as soon as it is known, `room` before that.
    """
    structlog.contextvars.bind_contextvars(**facts)


def _name_call(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the id to lines that name a call's room, as libraries do, in a key or in their text."""
    event.pop("color_message", None)  # the same text again, for terminals
    if CALL not in event:
        named = _ROOM.search(str(event.get("room", ""))) or _ROOM.search(str(event["event"]))
        if named is not None:
            event[CALL] = named[1]
    return event


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if key not in _MACHINERY:
            event[key] = redaction.clean(key, value)
    return event


def _redact_library(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    logger = str(event.get("logger", ""))
    for key, value in event.items():
        if key not in _MACHINERY:
            event[key] = redaction.of_library(key, value, logger)
    return event


def _show(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if key not in _MACHINERY and isinstance(value, BaseException):
            event[key] = (str(value) or type(value).__name__)[:_MOST_TEXT]
    return event


def _trail(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say where an exception came from, without what it says."""
    given = event.pop("exc_info", None)
    exc = sys.exc_info()[1] if given is True else given
    exc = exc[1] if isinstance(exc, tuple) else exc
    if isinstance(exc, BaseException):
        event["exception"] = redaction.trail(exc)
    return event
