"""A campaign: many orders with one assistant, and the states it passes through."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum

import phonenumbers

from control_plane.domain.call_order import OrderStatus
from control_plane.domain.dial_errors import DialError
from control_plane.domain.errors import IllegalTransition
from control_plane.domain.phone import read


class CampaignStatus(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"  # rows are gathered; nothing is called
    RUNNING = "running"  # its rows are orders, or are becoming orders
    PAUSED = "paused"  # nothing new is dialled until it is resumed; live calls go on
    CANCELLED = "cancelled"  # its waiting orders were withdrawn
    COMPLETED = "completed"  # every order is final


def concurrency_key(campaign_id: str) -> str:
    """Return the key that a campaign's orders share."""
    return f"campaign:{campaign_id}"


_S = CampaignStatus

TRANSITIONS: dict[CampaignStatus, frozenset[CampaignStatus]] = {
    _S.DRAFT: frozenset({_S.RUNNING, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.PAUSED, _S.CANCELLED, _S.COMPLETED}),
    _S.PAUSED: frozenset({_S.RUNNING, _S.CANCELLED}),
    _S.CANCELLED: frozenset(),
    _S.COMPLETED: frozenset(),
}


def move(current: CampaignStatus, to: CampaignStatus) -> CampaignStatus:
    """Return `to` when it may follow `current`; staying is always allowed.

    Raises:
        IllegalTransition: it may not.
    """
    if to is not current and to not in TRANSITIONS[current]:
        raise IllegalTransition(f"a campaign that is {current} cannot become {to}", field="status")
    return to


_FAILURES = frozenset(
    {
        DialError.NUMBER_NON_ATTRIBUTED,
        DialError.NON_CLASSIFIED_ERROR,
        DialError.TOO_MANY_CALLS,
        DialError.PRECONDITION_FAILED,
        DialError.NO_INTERNATIONAL_PERMISSION,
    }
)


def is_failure(status: OrderStatus, dial_error: DialError | None) -> bool:
    """Return whether a final order speaks against the campaign going on.

    That nobody answered does not; that the order could not be carried out does.

    Args:
        dial_error: that of its last attempt.
    """
    return status is OrderStatus.ERRORED or dial_error in _FAILURES


def fails_too_often(results: str, *, limit: float | None, sample: int) -> bool:
    """Return whether a campaign must pause itself.

    Args:
        results: one letter per finished order, newest last: `x` failed, `.` did not.
        limit: the largest failure rate allowed (0 to 1); None never stops.
        sample: how many of the newest orders are judged; fewer decide nothing.
    """
    if limit is None or len(results) < sample:
        return False
    return results[-sample:].count("x") / sample > limit


def choose_caller(pool: Sequence[str], recipient: str) -> str:
    """Return the number (E.164) of `pool` that `recipient` sees, the same one every time.

    One of the recipient's area where there is one, else one of the country, else any.
    """
    near = [number for number in pool if _area(number) == _area(recipient) is not None]
    near = near or [number for number in pool if read(number).country == read(recipient).country]
    # The highest of all hashes: taking one number from the pool moves only its own recipients.
    return max(
        near or pool, key=lambda number: hashlib.sha256(f"{recipient} {number}".encode()).digest()
    )


def _area(number: str) -> str | None:
    parsed = read(number).parsed
    digits = phonenumbers.length_of_geographical_area_code(parsed)
    national = phonenumbers.national_significant_number(parsed)
    return f"{parsed.country_code} {national[:digits]}" if digits else None
