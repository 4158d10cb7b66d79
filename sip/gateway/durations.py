"""Durations that a request may hold: JSON is checked by its parser, bytes are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from sip.gateway.errors import invalid

LONGEST_S = 315_576_000_000
"""Ten thousand years: the range of google.protobuf.Duration."""
_NANOS = 1_000_000_000


def check(message: Message) -> None:
    """Find durations beyond the type's range, which would break whoever reckons with them.

    Raises:
        TwirpError: `invalid_argument`; it names the field.
    """
    for name, value in _durations(message):
        if abs(value.seconds) > LONGEST_S or abs(value.nanos) >= _NANOS:
            raise invalid(f"{name} is out of range: at most {LONGEST_S} seconds")


def _durations(message: Message) -> Iterator[tuple[str, Duration]]:
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue  # maps hold texts alone in this service
        for each in _each(value):
            if isinstance(each, Duration):
                yield field.name, each
            else:
                yield from _durations(each)


def _each(value: Any) -> Any:
    return (value,) if isinstance(value, Message) else value
