"""May an order be dialled now? Asked at claim time and again right before the INVITE."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from control_plane.domain import wall_clock
from control_plane.domain.calling_times import CallRetryConfig, closed_by_day, next_open
from control_plane.domain.number_type import NumberType


class Rule(StrEnum):
    """The rule that held an order back, by the name that shows up in its history."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DO_NOT_CALL = "do_not_call"
    CONSENT = "consent"
    COUNTRY = "country"
    NUMBER_TYPE = "number_type"
    MAX_RETRY_ATTEMPTS = "max_retry_attempts"
    ORGANIZATION_SUSPENDED = "organization_suspended"
    PAUSED = "paused"
    CAMPAIGN_PAUSED = "campaign_paused"
    SCHEDULED_AT = "scheduled_at"
    BACK_OFF = "back_off"  # our own or the trunk's trouble
    RETRY_DELAY = "retry_delay"  # the order's own wait between attempts
    ALLOWED_DAYS = "allowed_days"
    CALLING_WINDOWS = "calling_windows"
    ATTEMPT_CAP = "attempt_cap"
    SPEND_CAP = "spend_cap"
    CONCURRENCY = "concurrency"
    TRUNK_PACE = "trunk_pace"
    TRUNK_BREAKER = "trunk_breaker"
    TRUNK_STOPPED = "trunk_stopped"
    DESTINATION_STOPPED = "destination_stopped"


class GateView(Struct, frozen=True, kw_only=True):
    """What the gate needs to know of an order.

    Attributes:
        not_before_rule: why it waits until `not_before`: BACK_OFF or RETRY_DELAY.
        force_now: the first attempt needs no schedule, day, window or delay.
        config: null means no days, windows or number of attempts to keep to.
        attempts_made: those that count.
        deadline: the last instant at which it may be dialled.
    """

    cancel_requested: bool = False
    scheduled_at: datetime | None = None
    not_before: datetime | None = None
    not_before_rule: Rule = Rule.BACK_OFF
    force_now: bool = False
    paused: bool = False
    config: CallRetryConfig | None = None
    attempts_made: int = 0
    deadline: datetime | None = None

    @property
    def forced(self) -> bool:
        """Return whether the next attempt is one that `force_now` speeds up."""
        return self.force_now and self.attempts_made == 0


class Recipient(Struct, frozen=True, kw_only=True):
    """Who is called: the zones that must all be open, country (ISO 3166) and type, if known."""

    zones: tuple[str, ...] = ()
    country: str | None = None
    number_type: NumberType | None = None


class Compliance(Struct, frozen=True, kw_only=True):
    """What the organization's lists and caps say of this order and its recipient now.

    Attributes:
        allowed_countries: null means any.
        allowed_types: types of numbers; null means any.
        attempt_cap: attempts per recipient and local day; null means any number.
        attempts_today: those to this recipient since `day_began`.
        spend_cap_reached_until: null while there is money left.
        concurrency_max: the order's own; null means any number.
        concurrency_live: live calls with the order's concurrency key.
        suspended: the organization makes no calls until an operator resumes it.
    """

    do_not_call: bool = False
    consent_required: bool = False
    consent_given: bool = False
    allowed_countries: frozenset[str] | None = None
    allowed_types: frozenset[NumberType] | None = None
    attempt_cap: int | None = None
    attempts_today: int = 0
    spend_cap_reached_until: datetime | None = None
    concurrency_max: int | None = None
    concurrency_live: int = 0
    campaign_paused: bool = False
    suspended: bool = False


class Go(Struct, frozen=True):
    """The order may be dialled now."""


class Wait(Struct, frozen=True):
    """The order may be dialled at `until` at the earliest; null means when something changes."""

    until: datetime | None
    rule: Rule


class Never(Struct, frozen=True):
    """The order may not be dialled at all."""

    rule: Rule


Decision = Go | Wait | Never


def gate(
    order: GateView,
    now: datetime,
    recipient: Recipient = Recipient(),  # noqa: B008 (frozen)
    compliance: Compliance = Compliance(),  # noqa: B008 (frozen)
) -> Decision:
    """Return whether `order` may be dialled at `now`, and the first rule that forbids it."""
    if (never := _never(order, now, recipient, compliance)) is not None:
        return Never(never)
    if compliance.suspended:
        return Wait(None, Rule.ORGANIZATION_SUSPENDED)
    if order.paused:
        return Wait(None, Rule.PAUSED)
    if compliance.campaign_paused:
        return Wait(None, Rule.CAMPAIGN_PAUSED)
    held = _own_times(order, now, recipient) or _caps(order, now, recipient, compliance)
    if held is not None:
        return _within_deadline(order, recipient, held)
    most = compliance.concurrency_max
    if most is not None and compliance.concurrency_live >= most:
        return Wait(None, Rule.CONCURRENCY)
    return Go()


def first_eligible(order: GateView, recipient: Recipient, now: datetime) -> datetime:
    """Return the first instant from `now` on that the order's own times allow."""
    held = _own_times(order, now, recipient)
    if held is None:
        return now
    return _opening(order, recipient, held[0]) or held[0]


def day_began(recipient: Recipient, now: datetime) -> datetime:
    """Return when the recipient's day began, in the zone where that is earliest."""
    second = wall_clock.second_of(now)
    return wall_clock.instant_of(min(wall_clock.day_start(key, second) for key in recipient.zones))


def _never(
    order: GateView, now: datetime, recipient: Recipient, compliance: Compliance
) -> Rule | None:
    countries, types = compliance.allowed_countries, compliance.allowed_types
    tried = order.config is not None and order.attempts_made >= order.config.max_retry_attempts
    rules = (
        (order.cancel_requested, Rule.CANCELLED),
        (order.deadline is not None and now > order.deadline, Rule.EXPIRED),
        (compliance.do_not_call, Rule.DO_NOT_CALL),
        (compliance.consent_required and not compliance.consent_given, Rule.CONSENT),
        (countries is not None and recipient.country not in countries, Rule.COUNTRY),
        (types is not None and recipient.number_type not in types, Rule.NUMBER_TYPE),
        (tried, Rule.MAX_RETRY_ATTEMPTS),
    )
    return next((rule for forbids, rule in rules if forbids), None)


def _own_times(
    order: GateView, now: datetime, recipient: Recipient
) -> tuple[datetime, Rule] | None:
    """Return until when, windows aside, the order's own times hold it back, and by which rule."""
    waits: list[tuple[datetime, Rule]] = []
    if order.scheduled_at is not None and not order.forced:
        waits.append((order.scheduled_at, Rule.SCHEDULED_AT))
    if order.not_before is not None and not (
        order.forced and order.not_before_rule is Rule.RETRY_DELAY
    ):
        waits.append((order.not_before, order.not_before_rule))
    waits = [wait for wait in waits if wait[0] > now]
    if waits:
        return max(wait[0] for wait in waits), waits[0][1]
    if _opening(order, recipient, now) == now:
        return None
    assert order.config is not None, "without windows every instant is open"
    by_day = closed_by_day(order.config, recipient.zones, now)
    return now, Rule.ALLOWED_DAYS if by_day else Rule.CALLING_WINDOWS


def _caps(
    order: GateView, now: datetime, recipient: Recipient, compliance: Compliance
) -> tuple[datetime, Rule] | None:
    """Return until when, windows aside, the organization's caps hold the order back."""
    if compliance.attempt_cap is not None and compliance.attempts_today >= compliance.attempt_cap:
        second = wall_clock.second_of(now)
        midnight = max(wall_clock.next_midnight(key, second) for key in recipient.zones)
        return wall_clock.instant_of(midnight), Rule.ATTEMPT_CAP
    until = compliance.spend_cap_reached_until
    return (until, Rule.SPEND_CAP) if until is not None and until > now else None


def _opening(order: GateView, recipient: Recipient, instant: datetime) -> datetime | None:
    """Return the first instant from `instant` on with an open window; None if there is none."""
    if order.config is None or order.forced:
        return instant
    return next_open(order.config, recipient.zones, instant)


def _within_deadline(
    order: GateView, recipient: Recipient, held: tuple[datetime, Rule]
) -> Wait | Never:
    """Return the wait until a window is open too, if the order lives to see it."""
    after, rule = held
    until = _opening(order, recipient, after)
    if order.deadline is not None and (after if until is None else until) > order.deadline:
        return Never(Rule.EXPIRED)
    return Never(Rule.CALLING_WINDOWS) if until is None else Wait(until, rule)
