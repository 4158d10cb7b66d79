"""Phone numbers."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.errors import BadPhoneNumber
from control_plane.domain.phone import e164, is_fictitious

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "text", ["+12025550123", "+1 (202) 555-0123", "+1-202-555-0123", " +1 202 555 0123 "]
)
def test_punctuation_is_dropped(text: str) -> None:
    assert e164(text) == "+12025550123"


@pytest.mark.parametrize(
    "text",
    ["", "12", "2025550123", "+1234567890", "+1202555012345678", "sip:bob@x", "+12025550123;ext=5"],
)
def test_what_cannot_be_called_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(BadPhoneNumber) as refused:
        e164(text, field="from_phone_number")
    assert refused.value.field == "from_phone_number"
    assert "+12025550123" in refused.value.detail


@given(st.text())
def test_any_text_is_a_valid_number_or_refused(text: str) -> None:
    try:
        number = e164(text)
    except BadPhoneNumber:
        return
    assert phonenumbers.is_valid_number(phonenumbers.parse(number))
    assert e164(number) == number


@pytest.mark.parametrize(
    ("number", "reserved"),
    [
        ("+12025550100", True),
        ("+19895550199", True),
        ("+12025550200", False),
        ("+12025550099", False),
        ("+12125551234", False),
        ("+442025550100", False),
        ("+120255501001", False),
    ],
)
def test_fiction_has_a_hundred_numbers_in_every_area_code(number: str, reserved: bool) -> None:
    assert is_fictitious(number) is reserved
