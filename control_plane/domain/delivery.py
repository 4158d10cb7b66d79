"""When a message to a receiver is tried again, and what its answer means (Standard Webhooks)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

from msgspec import Struct

from control_plane.domain.browser import SessionStatus
from control_plane.domain.retry import END_EVENTS

WAITS = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""From the end of one try to the next: ten tries, the last 75 h 35 m after the first."""

TRY_LIMIT = timedelta(seconds=15)
JITTER = 0.1
"""A wait is up to a tenth longer, so that a receiver that comes back is not met by all at once."""

LONGEST_RETRY_AFTER = timedelta(hours=24)
GRACE = timedelta(hours=24)
"""How long the secret before a rotation still signs, unless the owner says otherwise."""

_GONE = 410
_TOO_MANY = 429

CALL_EVENTS = (
    "call.initiating",
    "call.ringing",
    "call.in_progress",
    "call.transferred",
    "call.voicemail",
    *END_EVENTS,
)
CAMPAIGN_EVENTS = (
    "campaign.launched",
    "campaign.paused",
    "campaign.resumed",
    "campaign.completed",
    "campaign.cancelled",
)
SESSION_EVENTS = (*(f"session.{status}" for status in SessionStatus), "session.transferred")
EVENTS = CALL_EVENTS + SESSION_EVENTS + CAMPAIGN_EVENTS
EVENT_GROUPS = ("call", "session", "campaign")
TEST_EVENT = "webhook.test"


class DeliveryState(StrEnum):
    """Where a message to one receiver stands."""

    PENDING = "pending"  # to be tried at its next instant
    DELIVERED = "delivered"  # answered 2xx
    EXHAUSTED = "exhausted"  # the last try failed; it can be replayed
    CANCELLED = "cancelled"  # its endpoint was removed or disabled; it can be replayed


class Delivered(Struct, frozen=True):
    """The receiver took it."""


class TryAgain(Struct, frozen=True):
    """Another try, at `at` at the earliest."""

    at: datetime


class Exhausted(Struct, frozen=True):
    """No other try."""


class Gone(Struct, frozen=True):
    """The receiver wants nothing more (410): its endpoint is disabled."""


Verdict = Delivered | TryAgain | Exhausted | Gone


def decide(
    status: int | None,
    *,
    failures: int,
    now: datetime,
    jitter: float,
    retry_after: str | None = None,
) -> Verdict:
    """Return what follows a try.

    Args:
        status: the answer's, None when there was none.
        failures: failed tries since the first or since a replay, before this one.
        now: the end of the try.
        jitter: 0 to 1, from chance.
        retry_after: the header of that name.
    """
    if status is not None and 200 <= status < 300:
        return Delivered()
    if status == _GONE:
        return Gone()
    if failures >= len(WAITS):
        return Exhausted()
    wait = WAITS[failures] * (1 + JITTER * jitter)
    if status is not None and (status == _TOO_MANY or status >= 500):
        wait = max(wait, wait_asked_for(retry_after, now=now))
    return TryAgain(now + wait)


def wait_asked_for(header: str | None, *, now: datetime) -> timedelta:
    """Return the wait that a Retry-After asks for (RFC 9110 section 10.2.3), or none."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        seconds = min(int(text[:9]), LONGEST_RETRY_AFTER // timedelta(seconds=1))
        return timedelta(seconds=seconds)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return timedelta()
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta()), LONGEST_RETRY_AFTER)


def is_wanted(kind: str, wanted: list[str]) -> bool:
    """Return whether an event is one of the types wanted; none named means all."""
    return not wanted or kind in wanted or f"{kind.partition('.')[0]}.*" in wanted


def is_event_type(text: str) -> bool:
    """Return whether a filter can name `text`: `call.completed`, `call.*`."""
    return text in EVENTS or text in {f"{group}.*" for group in EVENT_GROUPS}
