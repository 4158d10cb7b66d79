"""What of a log line is anybody's personal data, and what stands in its place.

Exceptions quote what they were about: statements their rows, providers what they were asked. What
they say is therefore not shown, only what kind they are, where they came from, and their codes.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import PurePath
from types import TracebackType
from typing import Any

REDACTED = "[redacted]"

_PERSONAL = ("pii_", "lk.pii.")
_NUMBER = re.compile(r"\+\d{7,15}")
"""A phone number within another text, such as the name of a room of a call that comes in."""
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_DEPTH = 6

_PLAIN_LOGGERS = ("livekit", "uvicorn", "uvicorn.error", "alembic.runtime.migration")
"""Libraries that never meet a person's words; all others cite what they were told."""
_CITED = re.compile(r"(: |\n|['\"`<{\[]).*?(, retrying in [\d.]+ ?s)?$", re.DOTALL)
_PLAIN_KEYS = frozenset(
    {
        "event", "level", "logger", "at", "process", "attempt_id", "room", "room_id", "job_id",
        "dispatch_id", "agent_name", "worker_id", "id", "pid", "version", "url", "protocol",
        "llm", "stt", "tts", "label", "model", "provider", "function", "speech_id", "request_id",
        "segment_id", "type", "state", "old_state", "new_state", "exception_type", "exc_info",
        "stack", "stack_info", "_record", "_from_structlog",
    }
)  # fmt: skip
"""Keys of libraries that hold names of things; any other text of theirs may be a person's."""


def cause(exc: BaseException) -> str:
    """Return what kind of failure it was, with the code that the system gave it.

    The whole text of those whose class has `loggable = True`: their texts are our own.
    """
    kind = type(exc).__name__
    if getattr(type(exc), "loggable", False):
        return f"{kind}: {exc}" if str(exc) else kind
    driver = getattr(exc, "orig", None)  # SQLAlchemy's errors wrap the driver's
    if isinstance(driver, BaseException) and driver is not exc:
        return f"{kind}: {cause(driver)}"
    code = next(filter(None, _codes(exc)), None)
    return f"{kind} ({code})" if code else kind


def _codes(exc: BaseException) -> Iterator[str | None]:
    for name in ("sqlite_errorname", "sqlstate"):
        yield _short(getattr(exc, name, None))
    if isinstance(exc, OSError):
        yield exc.strerror
    for name in ("code", "status", "status_code"):
        yield _short(getattr(exc, name, None))
    if exc.__cause__ is not None and hasattr(exc.__cause__, "sqlite_errorname"):
        yield _short(exc.__cause__.sqlite_errorname)


def _short(code: object) -> str | None:
    usable = isinstance(code, int) or (isinstance(code, str) and re.fullmatch(r"\w{1,40}", code))
    return str(code) if usable and code not in (0, -1) else None


def trail(exc: BaseException, seen: frozenset[int] = frozenset()) -> str:
    """Return where an exception came from and what kind each of its chain was, the first first."""
    seen |= {id(exc)}
    before = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    text = ""
    if before is not None and id(before) not in seen:
        text = f"{trail(before, seen)}\n\nand then:\n\n"
    text += "".join(_frames(exc.__traceback__)) + cause(exc)
    for each in getattr(exc, "exceptions", ()):
        if isinstance(each, BaseException) and id(each) not in seen:
            text += f"\n\namong them:\n\n{trail(each, seen)}"
    return text


def _frames(where: TracebackType | None) -> list[str]:
    return traceback.format_tb(where)


def clean(key: str, value: Any) -> Any:
    """Return what a line of ours may show of a value."""
    return REDACTED if key.startswith(_PERSONAL) else _clean(value, _DEPTH)


def _clean(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return without_numbers(value)
    if isinstance(value, BaseException):
        return cause(value)
    if isinstance(value, date | PurePath):
        return without_numbers(str(value))
    if depth == 0:
        return REDACTED
    if isinstance(value, Mapping):
        return {
            str(key): REDACTED if str(key).startswith(_PERSONAL) else _clean(each, depth - 1)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(each, depth - 1) for each in value]
    return without_numbers(repr(value))


def of_library(key: str, value: Any, logger: str) -> Any:
    """Return what may be shown of a value of a line that is a library's."""
    if key == "event":
        return _CITED.sub(_uncited, value) if logger not in _PLAIN_LOGGERS else value
    if key in _PLAIN_KEYS or isinstance(value, bool | int | float | None):
        return value
    return cause(value) if isinstance(value, BaseException) else REDACTED


def _uncited(match: re.Match[str]) -> str:
    return f"{match[1] if match[1] == ': ' else ' '}{REDACTED}{match[2] or ''}"


def without_numbers(text: str) -> str:
    """Return `text` without phone numbers and the numbers of cards."""
    if "+" in text:
        text = _NUMBER.sub(REDACTED, text)
    return _CARD.sub(lambda match: REDACTED if _is_card(match[0]) else match[0], text)


def _is_card(text: str) -> bool:
    """Return whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    digits = [int(each) for each in reversed(text) if each.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
