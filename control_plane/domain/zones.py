"""Where a number may ring: its time zones and its country."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from phonenumbers import timezone as number_zones

from control_plane.domain import wall_clock
from control_plane.domain.calling_times import (
    CallRetryConfig,
    always_open,
    check_zone,
    next_open,
)
from control_plane.domain.errors import BadInput
from control_plane.domain.gate import Recipient
from control_plane.domain.phone import read

_FIELD = "call_retry_config.timezone"
_NAMED = 3


@lru_cache(maxsize=20_000)
def plausible_zones(number: str) -> tuple[str, ...]:
    """Return the time zones that `number`, in E.164, may be in; empty when nothing is known."""
    found = number_zones.time_zones_for_number(read(number).parsed)
    return tuple(key for key in found if key in wall_clock.known_zones())


def country(number: str) -> str | None:
    """Return the country (ISO 3166, such as US) of `number`, in E.164; None if it is nobody's."""
    try:
        return read(number).country
    except ValueError:  # not in use, or no longer
        return None


def recipient(number: str, zones: tuple[str, ...]) -> Recipient:
    """Return what the gate looks at of `number`, in E.164, that is called by these zones."""
    try:
        found = read(number)
    except ValueError:  # not in use, or no longer
        return Recipient(zones=zones)
    return Recipient(zones=zones, country=found.country, number_type=found.type)


def resolve(
    number: str,
    *,
    explicit: str | None,
    default: str | None,
    config: CallRetryConfig,
    now: datetime,
) -> tuple[str, ...]:
    """Return the zones whose windows must all be open when `number`, in E.164, is called.

    Args:
        explicit: the zone that the order names; it stands alone.
        default: the organization's zone, for numbers whose own zones are unknown or are never
            open together.
        now: openings are looked for from here on; the order's `scheduled_at` where that is later.

    Raises:
        BadInput: no zone can be told, so the order has to name one.
    """
    if explicit:
        check_zone(explicit, field=_FIELD)
        return (explicit,)
    zones = plausible_zones(number)
    if zones and next_open(config, zones, now) is not None:
        return zones
    if default in wall_clock.known_zones():
        return (default,)
    if always_open(config):
        return zones or ("UTC",)
    raise BadInput(_why(zones), field=_FIELD)


def _why(zones: tuple[str, ...]) -> str:
    remedy = f"; give {_FIELD}, such as {zones[0] if zones else 'Europe/Paris'}"
    if not zones:
        return f"{_FIELD} is needed: phone_number does not tell its time zone{remedy}"
    named, more = ", ".join(zones[:_NAMED]), len(zones) - _NAMED
    others = f" and {more} more" if more > 0 else ""
    return (
        f"{_FIELD} is needed: phone_number may be in {named}{others}, and no calling window is"
        f" open in all of them at once{remedy}"
    )
