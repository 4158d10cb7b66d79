"""What a call to a number costs by its kind: some are made to take money from who calls them."""

from __future__ import annotations

import re
from enum import StrEnum

import phonenumbers
from phonenumbers import PhoneNumberType as Plan

_PAY_PER_CALL = re.compile(r"\+1[2-9]\d\d976\d{4}", re.ASCII)
"""The exchange 976 of every North American area code (NANPA); the library takes it as local."""


class NumberType(StrEnum):
    """The type of a number in its country's numbering plan."""

    FIXED_LINE = "fixed_line"
    MOBILE = "mobile"
    FIXED_LINE_OR_MOBILE = "fixed_line_or_mobile"
    TOLL_FREE = "toll_free"
    VOIP = "voip"
    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    PERSONAL_NUMBER = "personal_number"
    PAGER = "pager"
    UAN = "uan"  # company numbers, such as +44 3
    VOICEMAIL = "voicemail"


ORDINARY = frozenset(
    [
        NumberType.FIXED_LINE,
        NumberType.MOBILE,
        NumberType.FIXED_LINE_OR_MOBILE,
        NumberType.TOLL_FREE,
        NumberType.VOIP,
    ]
)
"""Types that anybody may call; each other one needs the organization's word."""

ASKED_FOR = tuple(each for each in NumberType if each not in ORDINARY)

_OF_PLAN = {
    Plan.FIXED_LINE: NumberType.FIXED_LINE,
    Plan.MOBILE: NumberType.MOBILE,
    Plan.FIXED_LINE_OR_MOBILE: NumberType.FIXED_LINE_OR_MOBILE,
    Plan.TOLL_FREE: NumberType.TOLL_FREE,
    Plan.VOIP: NumberType.VOIP,
    Plan.PREMIUM_RATE: NumberType.PREMIUM_RATE,
    Plan.SHARED_COST: NumberType.SHARED_COST,
    Plan.PERSONAL_NUMBER: NumberType.PERSONAL_NUMBER,
    Plan.PAGER: NumberType.PAGER,
    Plan.UAN: NumberType.UAN,
    Plan.VOICEMAIL: NumberType.VOICEMAIL,
}


def type_of(number: phonenumbers.PhoneNumber, e164: str) -> NumberType:
    """Return the type of a number that is in use.

    Raises:
        ValueError: its country's plan has no such number.
    """
    if _PAY_PER_CALL.fullmatch(e164) is not None:
        return NumberType.PREMIUM_RATE
    found = _OF_PLAN.get(phonenumbers.number_type(number))
    if found is None:
        raise ValueError("the number is in no type of its country's numbering plan")
    return found


def needs_leave(kind: NumberType) -> str:
    """Return why a number of this type is refused, and the remedy."""
    return (
        f"it is a {kind} number, which can cost far more than others, and the organization does "
        "not allow that type: PATCH /organization with allowed_number_types, or "
        f"`offhook allow --type {kind}`, does"
    )
