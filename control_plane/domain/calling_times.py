"""When a recipient may be called: days and windows on the clock of the recipient's wall.

An instant is open in a zone when what the zone's clocks show then lies within a window. So a window
that starts where clocks skip opens at the first instant after the gap, and one within an hour that
clocks repeat is open both times. A window that crosses midnight belongs to the day it starts on.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

from msgspec import Meta, Struct

from control_plane.domain import wall_clock
from control_plane.domain.errors import BadInput
from control_plane.domain.wall_clock import DAY

HORIZON_SECS = 15 * DAY
"""How far ahead an opening is looked for."""

_WEEK = 7 * DAY
_THURSDAY = 3  # the epoch's day of the week, counted from Monday
_MOST = 9_007_199_254_740_991
_Positive = Annotated[int, Meta(gt=0, le=_MOST)]
_TIME = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?(?: ?(?P<half>[ap])m)?", re.ASCII | re.IGNORECASE
)


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


_START, _END = "10:00", "18:00"
WORKING_DAYS = tuple(Weekday)[:5]


class CallingWindow(Struct, frozen=True, forbid_unknown_fields=True):
    """Wall-clock times between which calls may begin, and the wait after a call in between.

    An empty time is the default one.
    """

    calling_window_start_time: str = _START
    calling_window_end_time: str = _END
    retry_delay_seconds: _Positive | Annotated[float, Meta(gt=0, le=_MOST)] = 7_200


class CallRetryConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """When and how often an order is tried; without `timezone`, the number's own zones.

    `max_retry_attempts` counts the first attempt too.
    """

    allowed_days: Annotated[tuple[Weekday, ...], Meta(max_length=100)] = WORKING_DAYS
    call_twice_in_a_row: bool = False
    calling_windows: Annotated[tuple[CallingWindow, ...], Meta(max_length=48)] = (CallingWindow(),)
    max_retry_attempts: _Positive = 3
    timezone: str | None = None


class _Week(Struct, frozen=True):
    """A config made ready: days from Monday 0, windows in seconds of the day, spans of the week.

    `starts` and `ends` are disjoint spans in order; one that crosses into Monday is cut there.
    """

    days: frozenset[int]
    windows: tuple[tuple[int, int, CallingWindow], ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]


def check(config: CallRetryConfig, *, field: str = "call_retry_config") -> None:
    """Find out whether `config` can be acted on.

    Raises:
        BadInput: a time cannot be read, nothing ever opens, or the zone is unknown.
    """
    if not config.allowed_days:
        raise _refusal(f"{field}.allowed_days", "is empty, so no day allows a call; name a day")
    if not config.calling_windows:
        raise _refusal(
            f"{field}.calling_windows", "is empty, so no time allows a call; give a window"
        )
    for index, window in enumerate(config.calling_windows):
        _check_window(window, f"{field}.calling_windows[{index}]")
    if config.timezone:
        check_zone(config.timezone, field=f"{field}.timezone")


def check_zone(key: str, *, field: str) -> None:
    """Find out whether `key` is the IANA name of a time zone.

    Raises:
        BadInput: it is not.
    """
    if key not in wall_clock.known_zones():
        example = wall_clock.similar_zone(key) or "Europe/Paris"
        raise _refusal(field, f"is not an IANA time zone; write a name such as {example}")


def open_at(
    config: CallRetryConfig, zones: tuple[str, ...], instant: datetime
) -> CallingWindow | None:
    """Return the window open at `instant` in the first of `zones`; None unless all are open."""
    week, second = _week(config), wall_clock.second_of(instant)
    first: CallingWindow | None = None
    for key in _at_least_one(zones):
        window = _window(week, second + wall_clock.piece(key, second)[0])
        if window is None:
            return None
        first = first or window
    return first


def next_open(
    config: CallRetryConfig, zones: tuple[str, ...], instant: datetime
) -> datetime | None:
    """Return the earliest instant from `instant` on that is open in every one of `zones`.

    None means that there is none within 15 days.
    """
    asked = wall_clock.second_of(instant)
    found = _next_open(_week(config), _at_least_one(zones), asked)
    if found is None or found == asked:
        return None if found is None else instant
    try:
        return wall_clock.instant_of(found)
    except OverflowError:
        return None


def closed_by_day(config: CallRetryConfig, zones: tuple[str, ...], instant: datetime) -> bool:
    """Return whether the day, not the time of day, closes the first closed zone at `instant`."""
    week, second = _week(config), wall_clock.second_of(instant)
    for key in zones:
        wall = second + wall_clock.piece(key, second)[0]
        if _window(week, wall) is None:
            return _weekday(wall) not in week.days or bool(_by_time(week, wall))
    return False


def always_open(config: CallRetryConfig) -> bool:
    """Return whether every instant is open, in whatever zone."""
    week = _week(config)
    return week.starts == (0,) and week.ends == (_WEEK,)


def local_time(instant: datetime, zone: str) -> datetime:
    """Return `instant` as the clocks of `zone` show it."""
    return instant.astimezone(wall_clock.zone(zone))


def second_of_day(text: str, *, end: bool = False) -> int | None:
    """Return the time of day that `text` writes, such as 18:00, 6pm or 6:00 pm; None if none.

    `end`: 24:00 is a time too.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, half = int(found["hour"]), int(found["minute"] or 0), found["half"]
    if half is None:
        if found["minute"] is None or (hour, minute) == (24, 0):
            return DAY if found["minute"] and end else None
        return hour * 3_600 + minute * 60 if hour <= 23 and minute <= 59 else None
    if not 1 <= hour <= 12 or minute > 59:
        return None
    return (hour % 12 + (12 if half in "pP" else 0)) * 3_600 + minute * 60


def _refusal(field: str, what: str) -> BadInput:
    return BadInput(f"{field} {what}", field=field)


def _at_least_one(zones: tuple[str, ...]) -> tuple[str, ...]:
    if not zones:
        raise ValueError("zones is empty: whether a call may be made needs a zone")
    return zones


def _check_window(window: CallingWindow, field: str) -> None:
    start, end = _times(window, field)
    if start == end:
        raise _refusal(
            f"{field}.calling_window_end_time",
            "equals the start, so the window never opens; the whole day is 00:00 to 24:00",
        )


def _times(window: CallingWindow, field: str = "calling_window") -> tuple[int, int]:
    times = {
        "start": second_of_day(window.calling_window_start_time or _START),
        "end": second_of_day(window.calling_window_end_time or _END, end=True),
    }
    for name, time in times.items():
        if time is None:
            raise _refusal(
                f"{field}.calling_window_{name}_time", "is not a time; write it as 18:00 or 6:00pm"
            )
    return times["start"] or 0, times["end"] or 0


@lru_cache(maxsize=4_096)
def _week(config: CallRetryConfig) -> _Week:
    check(config)
    weekdays = list(Weekday)
    days = frozenset(weekdays.index(day) for day in config.allowed_days)
    windows = tuple((*_times(window), window) for window in config.calling_windows)
    spans: list[tuple[int, int]] = []
    for begin in (day * DAY for day in days):
        for start, end, _ in windows:
            length = (end - start) % DAY or DAY
            spans.append((begin + start, min(begin + start + length, _WEEK)))
            if begin + start + length > _WEEK:
                spans.append((0, begin + start + length - _WEEK))
    starts, ends = _disjoint(spans)
    return _Week(days, windows, starts, ends)


def _disjoint(spans: list[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the starts and ends of the same spans, in order, those that touch made one."""
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted(spans):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return tuple(starts), tuple(ends)


def _weekday(wall: int) -> int:
    return (wall // DAY + _THURSDAY) % 7


def _window(week: _Week, wall: int) -> CallingWindow | None:
    """Return the first window that is open at the wall time `wall`."""
    return next((window for window, day in _by_time(week, wall) if day in week.days), None)


def _by_time(week: _Week, wall: int) -> list[tuple[CallingWindow, int]]:
    """Return the windows whose time of day is `wall`'s, each with the day it then belongs to."""
    today, time = _weekday(wall), wall % DAY
    found = []
    for start, end, window in week.windows:
        if start <= time < end or end < start <= time:
            found.append((window, today))
        elif time < end < start:
            found.append((window, (today - 1) % 7))
    return found


def _wait(week: _Week, wall: int) -> int:
    """Return the seconds from `wall` until a window, were the offset to stay as it is."""
    time = (wall + _THURSDAY * DAY) % _WEEK
    index = bisect_right(week.starts, time)
    if index and time < week.ends[index - 1]:
        return 0
    return (week.starts[index] if index < len(week.starts) else week.starts[0] + _WEEK) - time


def _next_in(week: _Week, key: str, second: int, limit: int) -> int | None:
    while second < limit:
        offset, until = wall_clock.piece(key, second)
        opens = second + _wait(week, second + offset)
        if opens < until:
            return opens if opens < limit else None
        second = until
    return None


def _next_open(week: _Week, zones: tuple[str, ...], second: int) -> int | None:
    """Return the first second that all zones agree on: each in turn moves it to its own next."""
    limit = second + HORIZON_SECS
    agreed = turn = 0
    while agreed < len(zones):
        opens = _next_in(week, zones[turn % len(zones)], second, limit)
        if opens is None:
            return None
        agreed = agreed + 1 if opens == second else 1
        second, turn = opens, turn + 1
    return second
