"""Phone numbers: E.164 or an error that says what to write instead."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers
from msgspec import Struct

from control_plane.domain.errors import BadPhoneNumber
from control_plane.domain.number_type import NumberType, type_of

_WRITTEN = re.compile(r"\s*\+[\d\s().\-/]{3,40}", re.ASCII)
_FICTION = re.compile(r"\+1[2-9]\d\d55501\d\d", re.ASCII)
_REMEDY = "write it in E.164, with + and the country code, such as +12025550123"


def e164(text: str, *, field: str = "phone_number") -> str:
    """Return `text` in E.164, without spaces and punctuation.

    Raises:
        BadPhoneNumber: it has no country code, or its country's plan has no such number.
    """
    try:
        return read(text).e164
    except _NotANumber as exc:
        raise BadPhoneNumber(f"{field} {exc}; {_REMEDY}", field=field) from exc


def is_fictitious(number: str) -> bool:
    """Return whether an E.164 number is reserved for fiction, so that no telephone has it.

    Those are 555-0100 to 555-0199 of every North American area code (NANPA, 555 line numbers).
    """
    return _FICTION.fullmatch(number) is not None


class PhoneNumber(Struct, frozen=True):
    """A number that can be called; `country` (ISO 3166) is null when it belongs to no one country.

    A number that several countries share gets the one that most of its numbers are in.
    """

    e164: str
    country: str | None
    type: NumberType
    parsed: phonenumbers.PhoneNumber


class _NotANumber(ValueError):
    """What is wrong with a text."""


@lru_cache(maxsize=20_000)
def read(text: str) -> PhoneNumber:
    """Return what `text` writes; reading a number costs more than most of what follows.

    Raises:
        ValueError: it is no number that can be called.
    """
    # The library also reads letters, extensions and what surrounds a number in a sentence.
    if _WRITTEN.fullmatch(text) is None:
        raise _NotANumber("is not a phone number")
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as exc:
        raise _NotANumber("is not a phone number") from exc
    region = phonenumbers.region_code_for_number(number)
    if region is None or not phonenumbers.is_valid_number_for_region(number, region):
        if phonenumbers.is_valid_short_number(number):
            raise _NotANumber("is a short number, which only its own country's telephones reach")
        if not phonenumbers.is_possible_number(number):
            raise _NotANumber("has too few or too many digits")
        raise _NotANumber("is not in use in its country's numbering plan")
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return PhoneNumber(
        e164=written,
        country=None if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY else region,
        type=type_of(number, written),
        parsed=number,
    )
