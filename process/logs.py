"""Structured logs: a constant sentence, facts as keys, personal data redacted unless asked for.

Keys that begin with `pii_` hold personal data (numbers, names, transcripts, DTMF, tool arguments);
LiveKit's own begin with `lk.pii.`. A line that belongs to a call has its `attempt_id`.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from process.log_noise import quiet

REDACTED = "[redacted]"
CALL = "attempt_id"
"""The key that tells which call a line belongs to, the same in every process."""

_PERSONAL = ("pii_", "lk.pii.")
_NUMBER = re.compile(r"\+\d{7,15}")
"""A phone number within another text, such as the name of a room of a call that comes in."""
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
    if not show_pii:
        shared.append(_redact)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
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
        if key.startswith(_PERSONAL):
            event[key] = REDACTED
        elif isinstance(value, str) and "+" in value:
            event[key] = _NUMBER.sub(REDACTED, value)
    return event
