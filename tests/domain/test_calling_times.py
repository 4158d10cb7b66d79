"""Days and windows on the recipient's wall clock, against a minute-by-minute reading of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.domain.calling_times import (
    CallingWindow,
    CallRetryConfig,
    Weekday,
    always_open,
    check,
    closed_by_day,
    local_time,
    next_open,
    open_at,
    second_of_day,
)
from control_plane.domain.errors import BadInput
from control_plane.domain.wall_clock import known_zones

pytestmark = pytest.mark.unit

ZONES = sorted(known_zones())
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2028, 12, 31, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEW_YORK, EVERY_DAY = ("America/New_York",), tuple(Weekday)


def config(*windows: tuple[str, str], days: tuple[Weekday, ...] = EVERY_DAY) -> CallRetryConfig:
    return CallRetryConfig(
        allowed_days=days, calling_windows=tuple(CallingWindow(*times) for times in windows)
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def text_of(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def shows_open(days: set[str], windows: list[tuple[int, int]], zone: str, at: datetime) -> bool:
    """Read the zone's clock at `at`, knowing nothing of transitions; windows in minutes."""
    wall = at.astimezone(ZoneInfo(zone))
    today, yesterday = wall.strftime("%A").lower(), (wall.date() - DAY).strftime("%A").lower()
    minute = wall.hour * 60 + wall.minute
    for start, end in windows:
        if start < end:
            if today in days and start <= minute < end:
                return True
        elif (today in days and minute >= start) or (yesterday in days and minute < end):
            return True
    return False


@cache
def changes(zone: str) -> tuple[datetime, ...]:
    """Return the instants at which the zone's offset changes between START and END."""
    there, found, at = ZoneInfo(zone), [], START
    while at < END:
        low, high = at, at + DAY
        if low.astimezone(there).utcoffset() != high.astimezone(there).utcoffset():
            offset = low.astimezone(there).utcoffset()
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                same = middle.astimezone(there).utcoffset() == offset
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        at += DAY
    return tuple(found)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("10:00", 600), ("9:05", 545), ("09:05", 545), ("00:00", 0), ("0:00", 0), ("23:59", 1439),
        ("10am", 600), ("6pm", 1080), ("6 pm", 1080), ("6:30pm", 1110), ("6:30 PM", 1110),
        ("06:30Am", 390), ("12am", 0), ("12pm", 720), ("12:01 am", 1), ("12:59pm", 779),
        ("11:59pm", 1439), ("1AM", 60),
    ],
)  # fmt: skip
def test_a_time_is_read(text: str, minutes: int) -> None:
    assert second_of_day(text) == second_of_day(text, end=True) == minutes * 60


@given(st.integers(0, 1439), st.sampled_from(["am", "AM", "pm", " pm", " Am"]))
def test_both_clocks_agree(minute: int, half: str) -> None:
    hour, rest = divmod(minute % 720, 60)
    assert second_of_day(text_of(minute)) == minute * 60
    expected = minute % 720 + (720 if "p" in half else 0)
    assert second_of_day(f"{hour or 12}:{rest:02}{half}") == expected * 60


@pytest.mark.parametrize(
    "text",
    [
        " ", "10", "pm", "13pm", "0am", "0:30am", "25:00", "24:01", "9:60", "9:60am", "9:5", "9.00",
        "18h", "10:00:00", "-1:00", " 10:00", "10:00\n", "10:00  am", "10a", "١٠:٠٠", "24am",
        "24:00am", "noon", "\ud800", "\0", "1" * 1_000,
    ],
)  # fmt: skip
def test_what_is_not_a_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        check(config(("09:00", "17:00"), ("09:00", text)))
    name = "call_retry_config.calling_windows[1].calling_window_end_time"
    assert refused.value.field == name
    assert name in refused.value.detail
    assert "18:00" in refused.value.detail
    with pytest.raises(BadInput) as refused:
        check(config((text, "17:00")), field="assistant.call_retry_config")
    assert refused.value.field == (
        "assistant.call_retry_config.calling_windows[0].calling_window_start_time"
    )


def test_an_empty_time_is_the_default_one() -> None:
    empty, usual = config(("", "")), config(("10:00", "18:00"))
    check(empty)
    for hour in range(48):
        at = START + timedelta(hours=hour)
        assert next_open(empty, ("UTC",), at) == next_open(usual, ("UTC",), at)


@pytest.mark.parametrize(
    ("bad", "field", "remedy"),
    [
        (CallRetryConfig(allowed_days=()), "allowed_days", "name a day"),
        (CallRetryConfig(calling_windows=()), "calling_windows", "give a window"),
        (config(("9:00", "9am")), "calling_windows[0].calling_window_end_time", "00:00 to 24:00"),
        (config(("0:00", "12am")), "calling_windows[0].calling_window_end_time", "00:00 to 24:00"),
        (config(("24:00", "9:00")), "calling_windows[0].calling_window_start_time", "18:00"),
        (CallRetryConfig(timezone="europe/paris"), "timezone", "Europe/Paris"),
        (CallRetryConfig(timezone="America/New York"), "timezone", "America/New_York"),
        (CallRetryConfig(timezone="../../etc/passwd"), "timezone", "Europe/Paris"),
        (CallRetryConfig(timezone="localtime"), "timezone", "IANA"),
        (CallRetryConfig(timezone="Factory"), "timezone", "IANA"),
        (CallRetryConfig(timezone="\ud800\0"), "timezone", "IANA"),
        (CallRetryConfig(timezone=" "), "timezone", "IANA"),
    ],
)
def test_what_cannot_be_acted_on_is_refused(bad: CallRetryConfig, field: str, remedy: str) -> None:
    with pytest.raises(BadInput) as refused:
        check(bad)
    assert refused.value.field == f"call_retry_config.{field}"
    assert f"call_retry_config.{field}" in refused.value.detail
    assert remedy in refused.value.detail


def test_every_member_has_the_contract_s_default() -> None:
    assert msgspec.json.decode(b"{}", type=CallRetryConfig) == CallRetryConfig(
        allowed_days=tuple(
            Weekday(day) for day in ["monday", "tuesday", "wednesday", "thursday", "friday"]
        ),
        call_twice_in_a_row=False,
        calling_windows=(CallingWindow("10:00", "18:00", 7200),),
        max_retry_attempts=3,
        timezone=None,
    )
    check(CallRetryConfig())


@pytest.mark.parametrize(
    ("body", "accepted"),
    [
        (b'{"max_retry_attempts": 9007199254740991}', True),
        (b'{"max_retry_attempts": 9007199254740992}', False),
        (b'{"max_retry_attempts": 0}', False),
        (b'{"max_retry_attempts": 1.5}', False),
        (b'{"calling_windows": [{"retry_delay_seconds": 9007199254740991}]}', True),
        (b'{"calling_windows": [{"retry_delay_seconds": 9007199254740992}]}', False),
        (b'{"calling_windows": [{"retry_delay_seconds": 0.001}]}', True),
        (b'{"calling_windows": [{"retry_delay_seconds": 0}]}', False),
        (b'{"calling_windows": [{"retry_delay": 5}]}', False),
        (b'{"allowed_days": ["monday", "monday"]}', True),
        (b'{"allowed_days": ["Monday"]}', False),
        (b'{"windows": []}', False),
    ],
)
def test_bounds(body: bytes, accepted: bool) -> None:
    if accepted:
        read = msgspec.json.decode(body, type=CallRetryConfig)
        check(read)
        assert msgspec.json.decode(msgspec.json.encode(read), type=CallRetryConfig) == read
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(body, type=CallRetryConfig)


NIGHT = config(("22:00", "02:00"), days=(Weekday.FRIDAY,))
WORK = CallRetryConfig()
SUNDAYS_AT_TWO = config(("2:15", "2:30"), days=(Weekday.SUNDAY,))
REPEATED = config(("1:15", "1:30"), days=(Weekday.SUNDAY,))


@pytest.mark.parametrize(
    ("which", "zone", "asked", "opens"),
    [
        # Friday's night belongs to Friday, and Thursday's does not.
        (NIGHT, "UTC", "2026-06-05T01:00", "2026-06-05T22:00"),
        (NIGHT, "UTC", "2026-06-06T01:59", "2026-06-06T01:59"),
        (NIGHT, "UTC", "2026-06-06T02:00", "2026-06-12T22:00"),
        (WORK, "America/New_York", "2026-06-05T21:59", "2026-06-05T21:59"),
        (WORK, "America/New_York", "2026-06-05T22:00", "2026-06-08T14:00"),
        (WORK, "Asia/Kathmandu", "2026-06-06T00:00", "2026-06-08T04:15"),
        (WORK, "Australia/Eucla", "2026-06-06T00:00", "2026-06-08T01:15"),
        # 02:15–02:30 does not exist on the day of the gap: clocks skip the whole window.
        (SUNDAYS_AT_TWO, "America/New_York", "2026-03-08T06:00", "2026-03-15T06:15"),
        (config(("2:00", "2:30")), "America/New_York", "2026-03-08T06:30", "2026-03-09T06:00"),
        # A window that starts in the gap opens when clocks have skipped it.
        (config(("2:30", "4:00")), "America/New_York", "2026-03-08T06:59", "2026-03-08T07:00"),
        # One that ends in the gap closes there.
        (config(("1:30", "2:30")), "America/New_York", "2026-03-08T07:00", "2026-03-09T05:30"),
        # An hour that comes twice opens its windows twice.
        (REPEATED, "America/New_York", "2026-11-01T05:00", "2026-11-01T05:15"),
        (REPEATED, "America/New_York", "2026-11-01T05:30", "2026-11-01T06:15"),
        (REPEATED, "America/New_York", "2026-11-01T06:30", "2026-11-08T06:15"),
        # Lord Howe moves by half an hour: 01:45 comes twice on 5 April 2026.
        (config(("1:45", "1:50")), "Australia/Lord_Howe", "2026-04-04T14:50", "2026-04-04T15:15"),
        (config(("2:10", "2:40")), "Australia/Lord_Howe", "2026-10-03T15:20", "2026-10-03T15:30"),
        # Changes far in the past, on the edges of the blocks that offsets are kept in.
        (config(("4:30", "5:30")), "Asia/Baku", "2012-03-24T23:00", "2012-03-25T00:00"),
        (config(("1:30", "2:10")), "Africa/Cairo", "1973-04-30T22:00", "1973-04-30T23:00"),
        # Samoa had no Friday 30 December 2011.
        (config(("9:00", "17:00"), days=(Weekday.FRIDAY,)), "Pacific/Apia",
         "2011-12-29T12:00", "2012-01-05T19:00"),
        # Cairo's day starts at 01:00 when its clocks skip midnight.
        (config(("0:00", "3:00"), days=(Weekday.FRIDAY,)), "Africa/Cairo",
         "2026-04-23T12:00", "2026-04-23T22:00"),
        # Nuuk's Saturday has its last hour twice.
        (config(("23:10", "23:20"), days=(Weekday.SATURDAY,)), "America/Nuuk",
         "2026-10-25T00:20", "2026-10-25T01:10"),
    ],
)  # fmt: skip
def test_the_next_opening(which: CallRetryConfig, zone: str, asked: str, opens: str) -> None:
    assert next_open(which, (zone,), utc(asked)) == utc(opens)
    assert (open_at(which, (zone,), utc(asked)) is not None) == (asked == opens)


def test_a_part_of_a_second_counts() -> None:
    closing = utc("2026-06-05T22:00")
    just_before = closing - timedelta(microseconds=1)
    assert next_open(WORK, NEW_YORK, just_before) == just_before
    assert open_at(WORK, NEW_YORK, just_before) is not None
    assert open_at(WORK, NEW_YORK, closing) is None
    opening = utc("2026-06-08T14:00")
    assert next_open(WORK, NEW_YORK, opening - timedelta(microseconds=1)) == opening


def test_the_window_is_the_first_zone_s() -> None:
    early, late = CallingWindow("9:00", "12:00", 60), CallingWindow("12:00", "18:00", 600)
    both = CallRetryConfig(calling_windows=(early, late))
    noon_in_paris = utc("2026-06-03T10:30")
    assert open_at(both, ("Europe/Paris", "Europe/London"), noon_in_paris) == late
    assert open_at(both, ("Europe/London", "Europe/Paris"), noon_in_paris) == early
    assert open_at(both, ("Europe/London", "America/New_York"), noon_in_paris) is None
    overlapping = CallRetryConfig(calling_windows=(late, CallingWindow("9:00", "18:00", 5)))
    assert open_at(overlapping, ("Europe/Paris",), noon_in_paris) == late


def test_zones_that_share_no_opening_never_open() -> None:
    assert next_open(WORK, ("Europe/Paris", "Pacific/Auckland"), utc("2026-06-03T10:00")) is None
    assert next_open(WORK, ("Europe/Paris", "America/New_York"), utc("2026-06-03T10:00")) == utc(
        "2026-06-03T14:00"
    )


@pytest.mark.parametrize("year", [1, 9999])
def test_the_ends_of_time_are_no_error(year: int) -> None:
    edge = datetime(1, 1, 1, tzinfo=UTC) if year == 1 else datetime.max.replace(tzinfo=UTC)
    for zone in ("Pacific/Kiritimati", "Pacific/Niue", "America/New_York"):
        assert next_open(config(("00:00", "24:00")), (zone,), edge) == edge
        found = next_open(WORK, (zone,), edge)
        assert found is None or found >= edge


def test_no_zone_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="zones"):
        next_open(WORK, (), START)
    with pytest.raises(ValueError, match="zones"):
        open_at(WORK, (), START)


@pytest.mark.parametrize(
    ("times", "always"),
    [
        ([("00:00", "24:00")], True),
        ([("12am", "12pm"), ("12:00", "12am")], True),
        ([("6:00", "5:59")], False),
        ([("22:00", "8:00"), ("8:00", "10pm")], True),
        ([("00:00", "23:59")], False),
    ],
)
def test_round_the_clock(times: list[tuple[str, str]], always: bool) -> None:
    assert always_open(config(*times)) is always
    assert not always_open(config(*times, days=EVERY_DAY[:6]))


@pytest.mark.parametrize(
    ("which", "asked", "by_day"),
    [
        (WORK, "2026-06-06T08:00", True),
        (WORK, "2026-06-06T12:00", True),
        (WORK, "2026-06-05T08:00", False),
        (NIGHT, "2026-06-05T01:00", True),  # Thursday's night
        (NIGHT, "2026-06-05T12:00", False),
        (NIGHT, "2026-06-06T03:00", True),
    ],
)
def test_what_closes_it(which: CallRetryConfig, asked: str, by_day: bool) -> None:
    assert closed_by_day(which, ("UTC",), utc(asked)) is by_day


def test_the_local_time_is_the_wall_s() -> None:
    shown = local_time(utc("2026-06-05T22:00"), "Asia/Kathmandu")
    assert shown.isoformat() == "2026-06-06T03:45:00+05:45"


def test_every_change_of_every_zone() -> None:
    """Around each change 2024–2028 of each zone, windows that begin, end or lie in it."""
    windows = [(30, 75), (100, 125), (135, 150), (165, 200), (1375, 10), (1410, 1430)]
    days = {"saturday", "sunday", "friday"}
    which = config(
        *((text_of(start), text_of(end)) for start, end in windows),
        days=tuple(Weekday(day) for day in days),
    )
    probes = [timedelta(seconds=s) for s in (-3600, -1800, -1, 0, 1, 900, 1799, 1800, 3599, 3600)]
    seen = 0
    for zone in ZONES:
        for change in changes(zone):
            for probe in probes:
                at = change + probe
                expected = shows_open(days, windows, zone, at)
                assert (open_at(which, (zone,), at) is not None) is expected, (zone, at)
                seen += 1
    assert seen > 10_000


def test_every_shape_of_change_minute_by_minute() -> None:
    """One change of each kind (offsets, wall time): the next opening from every minute near it."""
    shapes: dict[tuple[object, ...], tuple[str, datetime]] = {}
    for zone in ZONES:
        for change in changes(zone):
            before = (change - MINUTE).astimezone(ZoneInfo(zone))
            after = change.astimezone(ZoneInfo(zone))
            jump = after.replace(tzinfo=None) - before.replace(tzinfo=None)
            shapes.setdefault((jump, before.time(), before.weekday()), (zone, change))
    assert len(shapes) > 20
    for zone, change in shapes.values():
        wall = change.astimezone(ZoneInfo(zone))
        middle = wall.hour * 60 + wall.minute
        windows = [
            ((middle - 40) % 1440, (middle - 20) % 1440),
            ((middle - 10) % 1440, (middle + 10) % 1440),
            ((middle + 25) % 1440, (middle + 35) % 1440),
        ]
        days = {str(Weekday.SATURDAY), str(Weekday.SUNDAY), wall.strftime("%A").lower()}
        which = config(
            *((text_of(start), text_of(end)) for start, end in windows),
            days=tuple(Weekday(day) for day in days),
        )
        expected: datetime | None = None
        for step in range(150, -150, -1):
            at = change + step * MINUTE
            if shows_open(days, windows, zone, at):
                expected = at
            if expected is not None:
                assert next_open(which, (zone,), at) == expected, (zone, at)


minutes = st.integers(0, 1439)
windows_of = st.lists(
    st.tuples(minutes, minutes).filter(lambda window: window[0] != window[1]),
    min_size=1,
    max_size=3,
)
days_of = st.sets(st.sampled_from([str(day) for day in Weekday]), min_size=1)


@st.composite
def moments(draw: st.DrawFn, zone: str) -> datetime:
    near = changes(zone)
    at = draw(st.sampled_from(near)) if near and draw(st.booleans()) else START
    span = 2 * 1440 if at != START else (END - START) // MINUTE
    return at + draw(st.integers(-1440 if at != START else 0, span)) * MINUTE


@settings(max_examples=150)
@given(st.data(), st.lists(st.sampled_from(ZONES), min_size=1, max_size=3), windows_of, days_of)
def test_the_next_opening_is_the_first_that_clocks_show(
    data: st.DataObject, zones: list[str], windows: list[tuple[int, int]], days: set[str]
) -> None:
    which = config(
        *((text_of(start), text_of(end)) for start, end in windows),
        days=tuple(Weekday(day) for day in days),
    )
    asked = data.draw(moments(zones[0]))

    def shown(at: datetime) -> bool:
        return all(shows_open(days, windows, zone, at) for zone in zones)

    found = next_open(which, tuple(zones), asked)
    assert (open_at(which, tuple(zones), asked) is not None) == shown(asked) == (found == asked)
    assert found == next_open(which, tuple(zones), asked)
    closed_for = 15 * 1440 if found is None else (found - asked) // MINUTE
    if found is not None:
        assert shown(found)
        assert open_at(which, tuple(zones), found) is not None
    step = max(1, closed_for // 1_500)
    assert not any(shown(asked + minute * MINUTE) for minute in range(0, closed_for, step))
    assert not any(
        shown(asked + minute * MINUTE) for minute in range(max(0, closed_for - 200), closed_for)
    )


def test_dates_of_the_table_are_what_they_are_taken_for() -> None:
    assert date(2026, 6, 5).strftime("%A") == "Friday"
