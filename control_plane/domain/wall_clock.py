"""What the clocks of a zone show: offsets from UTC, in whole seconds since the epoch.

Between two changes of its offset a zone's wall clock is the instant plus a constant. Whoever walks
from piece to piece never has to ask which of two equal wall times is meant, or whether one exists.
"""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SECOND = timedelta(seconds=1)
_BLOCK = 64 * DAY
_PROBE = 6 * 3_600  # no zone changed its offset twice within six hours
_FIRST = (datetime(1, 1, 3, tzinfo=UTC) - EPOCH) // _SECOND
_LAST = (datetime(9999, 12, 29, tzinfo=UTC) - EPOCH) // _SECOND
_NOT_PLACES = {"Factory", "localtime", "posixrules"}  # some systems keep such files beside zones


@lru_cache(maxsize=1)
def known_zones() -> frozenset[str]:
    """Return the IANA names that can be used."""
    return frozenset(zoneinfo.available_timezones() - _NOT_PLACES)


def similar_zone(key: str) -> str | None:
    """Return the known name that `key` was probably meant to be."""
    names = {name.casefold(): name for name in known_zones()}
    found = get_close_matches(key[:64].casefold(), names, n=1, cutoff=0.8)
    return names[found[0]] if found else None


@lru_cache(maxsize=1_024)
def zone(key: str) -> ZoneInfo:
    """Return the zone of a known name."""
    return ZoneInfo(key)


def second_of(instant: datetime) -> int:
    """Return the whole second that `instant`, with a zone of its own, falls in."""
    return (instant - EPOCH) // _SECOND


def instant_of(second: int) -> datetime:
    """Return the start of `second`, UTC.

    Raises:
        OverflowError: it lies past the year 9999.
    """
    return EPOCH + timedelta(seconds=second)


def piece(key: str, second: int) -> tuple[int, int]:
    """Return the zone's offset at `second` and the second until which it surely stays."""
    for until, offset in _pieces(key, second // _BLOCK):
        if second < until:
            return offset, until
    raise AssertionError("a block ends where the next begins")


def next_midnight(key: str, second: int) -> int:
    """Return the first second after `second` at which the zone's date is a later one."""
    offset, until = piece(key, second)
    midnight = ((second + offset) // DAY + 1) * DAY
    while (at := max(second, midnight - offset)) >= until:
        second = until
        offset, until = piece(key, second)
    return at


def day_start(key: str, second: int) -> int:
    """Return the last second, `second` at the latest, at which the zone's date began."""
    start = second - 2 * DAY
    while (midnight := next_midnight(key, start)) <= second:
        start = midnight
    return start


@lru_cache(maxsize=4_096)
def _pieces(key: str, block: int) -> tuple[tuple[int, int], ...]:
    """Return (until, offset) for each stretch of the block with one offset, in order."""
    where, second, end = zone(key), block * _BLOCK, (block + 1) * _BLOCK
    offset = _offset(where, second)
    pieces: list[tuple[int, int]] = []
    while second < end:
        probe = min(second + _PROBE, end)
        if (later := _offset(where, probe)) != offset:
            changed = _change(where, second, probe)
            if changed < end:
                pieces.append((changed, offset))
                offset = later
        second = probe
    pieces.append((end, offset))
    return tuple(pieces)


def _change(where: ZoneInfo, before: int, after: int) -> int:
    """Return the first second in (before, after] with another offset than `before`'s."""
    offset = _offset(where, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(where, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(where: ZoneInfo, second: int) -> int:
    moment = EPOCH + timedelta(seconds=min(max(second, _FIRST), _LAST))
    offset = moment.astimezone(where).utcoffset()
    assert offset is not None, "a ZoneInfo always has an offset"
    return offset // _SECOND
