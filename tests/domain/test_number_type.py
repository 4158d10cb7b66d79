"""Types of numbers: which anybody may call, and which cost far more."""

from __future__ import annotations

import phonenumbers
import pytest

from control_plane.domain.errors import BadPhoneNumber
from control_plane.domain.number_type import ASKED_FOR, ORDINARY, NumberType, needs_leave
from control_plane.domain.phone import e164, read

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("+19002345678", "premium_rate"),
        ("+19005550100", "premium_rate"),  # its last digits are of fiction, its area code is not
        ("+12129761234", "premium_rate"),
        ("+15225550123", "personal_number"),
        ("+447012345678", "personal_number"),
        ("+449098790123", "premium_rate"),
        ("+443001234567", "uan"),
        ("+33899123456", "premium_rate"),
        ("+491801234567", "shared_cost"),
    ],
)
def test_costly_numbers_are_told_apart(number: str, kind: str) -> None:
    assert read(number).type == kind
    assert NumberType(kind) in ASKED_FOR
    assert f"`offhook allow --type {kind}`" in needs_leave(NumberType(kind))


@pytest.mark.parametrize(
    "number",
    [
        "+12025550110", "+14155550123", "+18125550125", "+18002345678", "+442079460123",
        "+447400123456", "+33612345678", "+33912345678", "+493012345678",
    ],
)  # fmt: skip
def test_ordinary_numbers_and_those_of_fiction_need_no_leave(number: str) -> None:
    assert read(number).type in ORDINARY


@pytest.mark.parametrize("number", ["+33118218", "+33112", "+49112"])
def test_short_numbers_are_refused_as_what_they_are(number: str) -> None:
    with pytest.raises(BadPhoneNumber, match="short number"):
        e164(number)


def test_every_country_s_examples_have_their_type() -> None:
    plan = phonenumbers.PhoneNumberType
    for region in phonenumbers.SUPPORTED_REGIONS:
        for name in ("PREMIUM_RATE", "SHARED_COST", "PERSONAL_NUMBER", "PAGER", "UAN", "VOICEMAIL"):
            example = phonenumbers.example_number_for_type(region, getattr(plan, name))
            if example is None or not phonenumbers.is_valid_number_for_region(example, region):
                continue
            text = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            assert read(text).type in ASKED_FOR, (region, name)
