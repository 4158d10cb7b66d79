"""Whom calls are passed on to: their numbers, their hours, their order."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from control_plane.domain.calling_times import Weekday
from control_plane.domain.errors import BadInput
from control_plane.domain.transfer_targets import (
    TransferHours,
    TransferTarget,
    check_targets,
    in_order,
)

pytestmark = pytest.mark.unit

FIRST, SECOND = "+12025550142", "+12025550143"


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-30T08:30", True),  # a Monday, 09:30 in Berlin
        ("2026-11-30T07:59", False),
        ("2026-11-30T16:00", False),
        ("2026-11-29T10:00", False),  # a Sunday
        ("2026-07-06T07:30", True),  # 09:30 in summer
    ],
)
def test_hours_are_those_of_their_zone(at: str, is_open: bool) -> None:
    hours = TransferHours("Europe/Berlin")
    assert hours.include(datetime.fromisoformat(at).replace(tzinfo=UTC)) is is_open


def test_hours_may_cross_midnight() -> None:
    hours = TransferHours("UTC", (Weekday.SATURDAY,), "22:00", "06:00")
    assert hours.include(datetime(2026, 11, 29, 5, 59, tzinfo=UTC))
    assert not hours.include(datetime(2026, 11, 29, 22, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("target", "field"),
    [
        (TransferTarget("142"), "transfer_targets[0].phone_number"),
        (TransferTarget(FIRST, hours=TransferHours("Mars")), "transfer_targets[0].hours.timezone"),
        (
            TransferTarget(FIRST, hours=TransferHours("UTC", start="nine")),
            "transfer_targets[0].hours",
        ),
        (TransferTarget(FIRST, hours=TransferHours("UTC", ())), "transfer_targets[0].hours"),
    ],
)
def test_what_cannot_be_kept_to_is_refused(target: TransferTarget, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_targets((target,))
    assert refused.value.field == field


def test_a_number_stands_there_once() -> None:
    with pytest.raises(BadInput, match="name each number once"):
        check_targets((TransferTarget(FIRST), TransferTarget("+1 202 555 0142")))


def test_the_one_number_comes_first_and_each_once() -> None:
    targets = (TransferTarget("+1 202 555 0143", "Bo"), TransferTarget(FIRST, "Al"))
    assert [each.phone_number for each in in_order(FIRST, targets)] == [FIRST, SECOND]
    assert [each.name for each in in_order(None, targets)] == ["Bo", "Al"]
    assert in_order(None, ()) == []
