"""The gate: each rule, their order, and what a wait promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.domain.calling_times import (
    CallingWindow,
    CallRetryConfig,
    Weekday,
    next_open,
    open_at,
)
from control_plane.domain.gate import (
    Compliance,
    GateView,
    Go,
    Never,
    Recipient,
    Rule,
    Wait,
    day_began,
    first_eligible,
    gate,
)
from control_plane.domain.number_type import ORDINARY, NumberType
from control_plane.domain.wall_clock import known_zones

pytestmark = pytest.mark.unit

WORK = CallRetryConfig()
PARIS = Recipient(zones=("Europe/Paris",), country="FR", number_type=NumberType.FIXED_LINE)
SEVERAL = Recipient(zones=("Australia/Perth", "Australia/Sydney"), country="AU")
WEDNESDAY = datetime(2026, 6, 3, tzinfo=UTC)  # Paris is two hours ahead
OPEN = WEDNESDAY + timedelta(hours=10)
CLOSED = WEDNESDAY + timedelta(hours=20)
SATURDAY = OPEN + timedelta(days=3)
THURSDAY_OPENING = WEDNESDAY + timedelta(hours=32)
MONDAY_OPENING = WEDNESDAY + timedelta(days=5, hours=8)
MOMENT = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def view(**fields: Any) -> GateView:
    return GateView(**{"config": WORK, **fields})


def test_an_order_without_obstacles_goes() -> None:
    assert gate(view(), OPEN, PARIS) == Go()
    assert gate(view(scheduled_at=OPEN, not_before=OPEN, deadline=OPEN), OPEN, PARIS) == Go()
    assert gate(view(attempts_made=2), OPEN, PARIS) == Go()


def test_an_order_without_windows_goes_at_any_time() -> None:
    assert gate(GateView(), SATURDAY) == Go()
    assert gate(GateView(attempts_made=100), SATURDAY) == Go()


@pytest.mark.parametrize(
    ("order", "compliance", "rule"),
    [
        (view(cancel_requested=True), Compliance(), Rule.CANCELLED),
        (view(deadline=OPEN - MOMENT), Compliance(), Rule.EXPIRED),
        (view(), Compliance(do_not_call=True), Rule.DO_NOT_CALL),
        (view(), Compliance(consent_required=True), Rule.CONSENT),
        (view(), Compliance(allowed_countries=frozenset({"US"})), Rule.COUNTRY),
        (view(), Compliance(allowed_countries=frozenset()), Rule.COUNTRY),
        (view(), Compliance(allowed_types=frozenset({NumberType.MOBILE})), Rule.NUMBER_TYPE),
        (view(attempts_made=3), Compliance(), Rule.MAX_RETRY_ATTEMPTS),
    ],
)
@pytest.mark.parametrize("force_now", [False, True])
def test_what_forbids_an_order_for_good(
    order: GateView, compliance: Compliance, rule: Rule, force_now: bool
) -> None:
    order = msgspec.structs.replace(order, force_now=force_now)
    assert gate(order, OPEN, PARIS, compliance) == Never(rule)


@pytest.mark.parametrize(
    "compliance",
    [
        Compliance(consent_given=True),
        Compliance(consent_required=True, consent_given=True),
        Compliance(allowed_countries=frozenset({"FR", "US"})),
        Compliance(allowed_types=ORDINARY),
        Compliance(attempt_cap=3, attempts_today=2),
        Compliance(attempts_today=1_000),
        Compliance(spend_cap_reached_until=OPEN),
        Compliance(concurrency_max=2, concurrency_live=1),
        Compliance(concurrency_live=1_000),
    ],
)
def test_compliance_that_allows(compliance: Compliance) -> None:
    assert gate(view(), OPEN, PARIS, compliance) == Go()


def test_a_number_of_no_country_needs_a_list_that_allows_any() -> None:
    nowhere = Recipient(zones=("UTC",))
    assert gate(view(), OPEN, nowhere) == Go()
    compliance = Compliance(allowed_countries=frozenset({"FR"}))
    assert gate(view(), OPEN, nowhere, compliance) == Never(Rule.COUNTRY)


MIDNIGHT = WEDNESDAY + timedelta(hours=22)


@pytest.mark.parametrize(
    ("order", "compliance", "now", "until", "rule"),
    [
        (view(paused=True), Compliance(), OPEN, None, Rule.PAUSED),
        (view(), Compliance(campaign_paused=True), OPEN, None, Rule.CAMPAIGN_PAUSED),
        (view(force_now=True), Compliance(suspended=True), OPEN, None, Rule.ORGANIZATION_SUSPENDED),
        (view(scheduled_at=OPEN + HOUR), Compliance(), OPEN, OPEN + HOUR, Rule.SCHEDULED_AT),
        (view(scheduled_at=CLOSED), Compliance(), OPEN, THURSDAY_OPENING, Rule.SCHEDULED_AT),
        (view(scheduled_at=SATURDAY), Compliance(), CLOSED, MONDAY_OPENING, Rule.SCHEDULED_AT),
        (view(not_before=OPEN + HOUR), Compliance(), OPEN, OPEN + HOUR, Rule.BACK_OFF),
        (view(not_before=CLOSED), Compliance(), OPEN, THURSDAY_OPENING, Rule.BACK_OFF),
        (view(not_before=CLOSED, not_before_rule=Rule.RETRY_DELAY), Compliance(), OPEN,
         THURSDAY_OPENING, Rule.RETRY_DELAY),
        (view(scheduled_at=OPEN + HOUR, not_before=CLOSED), Compliance(), OPEN,
         THURSDAY_OPENING, Rule.SCHEDULED_AT),
        (view(), Compliance(), CLOSED, THURSDAY_OPENING, Rule.CALLING_WINDOWS),
        (view(), Compliance(), SATURDAY, MONDAY_OPENING, Rule.ALLOWED_DAYS),
        # A cap holds until Paris's midnight, and then until its windows open.
        (view(), Compliance(attempt_cap=2, attempts_today=2), OPEN, THURSDAY_OPENING,
         Rule.ATTEMPT_CAP),
        (view(force_now=True), Compliance(attempt_cap=2, attempts_today=3), OPEN, MIDNIGHT,
         Rule.ATTEMPT_CAP),
        (view(), Compliance(spend_cap_reached_until=OPEN + HOUR), OPEN, OPEN + HOUR,
         Rule.SPEND_CAP),
        (view(force_now=True), Compliance(spend_cap_reached_until=CLOSED), OPEN, CLOSED,
         Rule.SPEND_CAP),
        (view(), Compliance(spend_cap_reached_until=CLOSED), OPEN, THURSDAY_OPENING,
         Rule.SPEND_CAP),
        (view(force_now=True), Compliance(concurrency_max=1, concurrency_live=1), OPEN, None,
         Rule.CONCURRENCY),
        (view(), Compliance(concurrency_max=1, concurrency_live=2), OPEN, None, Rule.CONCURRENCY),
    ],
)  # fmt: skip
def test_what_makes_an_order_wait(
    order: GateView, compliance: Compliance, now: datetime, until: datetime | None, rule: Rule
) -> None:
    assert gate(order, now, PARIS, compliance) == Wait(until, rule)


def test_the_order_of_the_rules() -> None:
    """All forbid at once; each taken away shows the next."""
    order = GateView(
        cancel_requested=True,
        deadline=SATURDAY - MOMENT,
        attempts_made=3,
        paused=True,
        scheduled_at=SATURDAY + HOUR,
        not_before=SATURDAY + HOUR,
        config=WORK,
    )
    compliance = Compliance(
        do_not_call=True,
        consent_required=True,
        allowed_countries=frozenset(),
        allowed_types=frozenset(),
        attempt_cap=0,
        spend_cap_reached_until=SATURDAY + HOUR,
        concurrency_max=0,
        campaign_paused=True,
        suspended=True,
    )
    anytime = CallRetryConfig(
        allowed_days=tuple(Weekday), calling_windows=(CallingWindow("00:00", "24:00"),)
    )
    steps: list[tuple[Rule, dict[str, Any]]] = [
        (Rule.CANCELLED, {"cancel_requested": False}),
        (Rule.EXPIRED, {"deadline": None}),
        (Rule.DO_NOT_CALL, {"do_not_call": False}),
        (Rule.CONSENT, {"consent_given": True}),
        (Rule.COUNTRY, {"allowed_countries": None}),
        (Rule.NUMBER_TYPE, {"allowed_types": None}),
        (Rule.MAX_RETRY_ATTEMPTS, {"attempts_made": 0}),
        (Rule.ORGANIZATION_SUSPENDED, {"suspended": False}),
        (Rule.PAUSED, {"paused": False}),
        (Rule.CAMPAIGN_PAUSED, {"campaign_paused": False}),
        (Rule.SCHEDULED_AT, {"scheduled_at": None}),
        (Rule.BACK_OFF, {"not_before": None}),
        (Rule.ALLOWED_DAYS, {"config": anytime}),
        (Rule.ATTEMPT_CAP, {"attempt_cap": None}),
        (Rule.SPEND_CAP, {"spend_cap_reached_until": None}),
        (Rule.CONCURRENCY, {"concurrency_max": None}),
    ]
    for rule, relief in steps:
        decision = gate(order, SATURDAY, PARIS, compliance)
        assert not isinstance(decision, Go)
        assert decision.rule is rule
        if set(relief) <= set(GateView.__struct_fields__):
            order = msgspec.structs.replace(order, **relief)
        else:
            compliance = msgspec.structs.replace(compliance, **relief)
    assert gate(order, SATURDAY, PARIS, compliance) == Go()


def test_force_now_hurries_the_first_attempt() -> None:
    first = view(force_now=True, not_before=SATURDAY + HOUR, not_before_rule=Rule.RETRY_DELAY)
    assert gate(first, SATURDAY, PARIS) == Go()
    back_off = view(force_now=True, not_before=SATURDAY + HOUR)
    assert gate(back_off, SATURDAY, PARIS) == Wait(SATURDAY + HOUR, Rule.BACK_OFF)
    assert gate(back_off, SATURDAY + HOUR, PARIS) == Go()


def test_force_now_hurries_no_other_attempt() -> None:
    second = view(force_now=True, attempts_made=1)
    assert gate(second, SATURDAY, PARIS) == Wait(MONDAY_OPENING, Rule.ALLOWED_DAYS)
    delayed = view(
        force_now=True,
        attempts_made=1,
        not_before=OPEN + HOUR,
        not_before_rule=Rule.RETRY_DELAY,
    )
    assert gate(delayed, OPEN, PARIS) == Wait(OPEN + HOUR, Rule.RETRY_DELAY)


@pytest.mark.parametrize(
    ("order", "compliance", "now"),
    [
        (view(scheduled_at=CLOSED), Compliance(), OPEN),
        (view(not_before=CLOSED), Compliance(), OPEN),
        (view(), Compliance(), CLOSED),
        (view(), Compliance(attempt_cap=1, attempts_today=1), OPEN),
        (view(), Compliance(spend_cap_reached_until=CLOSED), OPEN),
    ],
)
def test_a_wait_past_the_deadline_is_the_end(
    order: GateView, compliance: Compliance, now: datetime
) -> None:
    in_time = msgspec.structs.replace(order, deadline=THURSDAY_OPENING)
    assert isinstance(gate(in_time, now, PARIS, compliance), Wait)
    late = msgspec.structs.replace(order, deadline=THURSDAY_OPENING - MOMENT)
    assert gate(late, now, PARIS, compliance) == Never(Rule.EXPIRED)


def test_zones_that_are_never_open_together_end_the_order() -> None:
    apart = Recipient(zones=("Europe/Paris", "Pacific/Auckland"))
    assert gate(view(), OPEN, apart) == Never(Rule.CALLING_WINDOWS)
    assert gate(view(deadline=OPEN), OPEN, apart) == Never(Rule.CALLING_WINDOWS)
    assert gate(view(scheduled_at=CLOSED, deadline=OPEN), OPEN, apart) == Never(Rule.EXPIRED)
    assert gate(view(force_now=True), OPEN, apart) == Go()


def test_all_zones_have_to_be_open() -> None:
    sydney_only = WEDNESDAY + timedelta(hours=1)
    assert gate(view(), sydney_only, SEVERAL) == Wait(
        WEDNESDAY + timedelta(hours=2), Rule.CALLING_WINDOWS
    )
    perth_only = WEDNESDAY + timedelta(hours=9)
    assert gate(view(), perth_only, SEVERAL) == Wait(
        WEDNESDAY + timedelta(hours=26), Rule.CALLING_WINDOWS
    )


def test_a_capped_day_ends_with_the_last_zone_s_midnight() -> None:
    capped = Compliance(attempt_cap=1, attempts_today=1)
    decision = gate(view(force_now=True), OPEN, SEVERAL, capped)
    assert decision == Wait(WEDNESDAY + timedelta(hours=16), Rule.ATTEMPT_CAP)
    assert day_began(SEVERAL, OPEN) == WEDNESDAY - timedelta(hours=10)


@pytest.mark.parametrize(
    ("zone", "now", "began", "ends"),
    [
        # Cairo skips from 00:00 to 01:00 on 24 April 2026.
        ("Africa/Cairo", "2026-04-23T20:00", "2026-04-22T22:00", "2026-04-23T22:00"),
        ("Africa/Cairo", "2026-04-24T09:00", "2026-04-23T22:00", "2026-04-24T21:00"),
        # A day of 25 hours.
        ("America/New_York", "2026-11-01T12:00", "2026-11-01T04:00", "2026-11-02T05:00"),
        ("America/New_York", "2026-11-02T04:30", "2026-11-01T04:00", "2026-11-02T05:00"),
        # Havana's clocks go from 01:00 back to midnight: the day begins once.
        ("America/Havana", "2026-11-01T05:30", "2026-11-01T04:00", "2026-11-02T05:00"),
        # Samoa's Thursday was followed by its Saturday.
        ("Pacific/Apia", "2011-12-30T05:00", "2011-12-29T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-31T10:00"),
    ],
)
def test_the_local_day(zone: str, now: str, began: str, ends: str) -> None:
    at, start, end = (
        datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (now, began, ends)
    )
    there = Recipient(zones=(zone,))
    capped = Compliance(attempt_cap=1, attempts_today=1)
    assert gate(view(force_now=True), at, there, capped) == Wait(end, Rule.ATTEMPT_CAP)
    assert day_began(there, at) == start


@pytest.mark.parametrize(
    ("order", "now", "expected"),
    [
        (view(), OPEN, OPEN),
        (view(), CLOSED, THURSDAY_OPENING),
        (view(force_now=True), SATURDAY, SATURDAY),
        (view(scheduled_at=SATURDAY), OPEN, MONDAY_OPENING),
        (view(scheduled_at=OPEN), CLOSED, THURSDAY_OPENING),
        (GateView(scheduled_at=SATURDAY), OPEN, SATURDAY),
    ],
)
def test_the_first_eligible_instant(order: GateView, now: datetime, expected: datetime) -> None:
    assert first_eligible(order, PARIS, now) == expected


def test_zones_apart_have_no_first_instant_but_their_start() -> None:
    apart = Recipient(zones=("Europe/Paris", "Pacific/Auckland"))
    assert first_eligible(view(scheduled_at=SATURDAY), apart, OPEN) == SATURDAY


def test_a_schedule_at_the_end_of_time_is_no_error() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    never = gate(view(scheduled_at=last, deadline=OPEN), OPEN, PARIS)
    assert never == Never(Rule.EXPIRED)
    assert first_eligible(view(scheduled_at=last), PARIS, OPEN) == last


ZONES = sorted(known_zones())
instants = st.integers(0, 5 * 365 * 1440).map(
    lambda minute: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
)
soon = st.none() | st.integers(-3_000, 10_000).map(lambda minute: timedelta(minutes=minute))
times = st.integers(0, 1439).map(lambda minute: f"{minute // 60}:{minute % 60:02}")
windows = st.builds(CallingWindow, times, times).filter(
    lambda window: window.calling_window_start_time != window.calling_window_end_time
)
configs = st.builds(
    CallRetryConfig,
    allowed_days=st.lists(st.sampled_from(Weekday), min_size=1, max_size=7).map(tuple),
    calling_windows=st.lists(windows, min_size=1, max_size=3).map(tuple),
    max_retry_attempts=st.integers(1, 4),
)
recipients = st.builds(
    Recipient, zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=3).map(tuple)
)


@settings(max_examples=300)
@given(
    instants,
    st.tuples(soon, soon, soon),
    configs,
    recipients,
    st.booleans(),
    st.integers(0, 2),
    st.sampled_from([Rule.BACK_OFF, Rule.RETRY_DELAY]),
)
def test_what_the_gate_promises(
    now: datetime,
    offsets: tuple[timedelta | None, timedelta | None, timedelta | None],
    config: CallRetryConfig,
    recipient: Recipient,
    force_now: bool,
    attempts_made: int,
    delay: Rule,
) -> None:
    scheduled_at, not_before, deadline = (
        None if offset is None else now + offset for offset in offsets
    )
    order = GateView(
        scheduled_at=scheduled_at,
        not_before=not_before,
        not_before_rule=delay,
        deadline=deadline,
        force_now=force_now,
        config=config,
        attempts_made=attempts_made,
    )
    decision = gate(order, now, recipient)
    assert gate(order, now, recipient) == decision
    forced = force_now and attempts_made == 0
    is_open = open_at(config, recipient.zones, now) is not None
    match decision:
        case Go():
            assert is_open or forced
            assert deadline is None or now <= deadline
            assert forced or max(scheduled_at or now, not_before or now) <= now
            assert first_eligible(order, recipient, now) == now
        case Wait(until, rule):
            assert until is not None
            assert until > now
            assert deadline is None or until <= deadline
            assert gate(order, until, recipient) == Go()
            assert first_eligible(order, recipient, now) == until
            assert not isinstance(gate(order, until - MOMENT, recipient), Go)
            assert (rule in {Rule.ALLOWED_DAYS, Rule.CALLING_WINDOWS}) <= (not is_open)
        case Never(Rule.EXPIRED):
            assert deadline is not None
            assert first_eligible(order, recipient, now) > deadline or now > deadline
        case Never(Rule.MAX_RETRY_ATTEMPTS):
            assert attempts_made >= config.max_retry_attempts
        case Never(rule):
            assert rule is Rule.CALLING_WINDOWS
            start = max(scheduled_at or now, not_before or now, now)
            assert next_open(config, recipient.zones, start) is None


@settings(max_examples=200)
@given(instants, recipients)
def test_a_capped_order_waits_for_another_date_everywhere(
    now: datetime, recipient: Recipient
) -> None:
    decision = gate(GateView(), now, recipient, Compliance(attempt_cap=1, attempts_today=1))
    assert isinstance(decision, Wait)
    assert decision.until is not None
    began = day_began(recipient, now)
    assert began <= now < decision.until
    dates = [
        [at.astimezone(ZoneInfo(zone)).date() for at in (began, now, decision.until)]
        for zone in recipient.zones
    ]
    assert all(before <= today < after for before, today, after in dates)
    assert any(before == today for before, today, _ in dates)
