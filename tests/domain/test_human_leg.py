"""What becomes of a human's leg, in words, and when a talk is over."""

from __future__ import annotations

import pytest

from control_plane.domain.dial_errors import DialFailureKind as Kind
from control_plane.domain.human_leg import HumanResult, Talk, over, result_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("status", "kind", "result"),
    [
        (486, Kind.BAD_REQUEST, HumanResult.BUSY),
        (600, Kind.BAD_REQUEST, HumanResult.BUSY),
        (408, Kind.BAD_REQUEST, HumanResult.NO_ANSWER),
        (None, Kind.RING_TIMEOUT, HumanResult.NO_ANSWER),
        (403, Kind.BAD_REQUEST, HumanResult.DECLINED),
        (608, Kind.BAD_REQUEST, HumanResult.DECLINED),
        (604, Kind.BAD_REQUEST, HumanResult.UNREACHABLE),
        (429, Kind.BAD_REQUEST, HumanResult.NO_LINE),
        (500, Kind.BAD_REQUEST, HumanResult.FAILED),
        (None, Kind.MEDIA, HumanResult.FAILED),
    ],
)
def test_each_dial_has_its_result(status: int | None, kind: Kind, result: HumanResult) -> None:
    assert result_of(status, kind) is result


def test_every_failure_of_a_dial_has_one() -> None:
    assert {result_of(None, kind) for kind in Kind} <= set(HumanResult)


def test_a_talk_lasts_while_both_are_there() -> None:
    assert over(Talk(person_is_there=True, human_is_there=True)) is None
    assert over(Talk(person_is_there=False, human_is_there=True)) == "the person hung up"
    assert over(Talk(person_is_there=True, human_is_there=False)) == "the human hung up"
    assert over(Talk(person_is_there=True, human_is_there=True, overdue=True)) is not None
