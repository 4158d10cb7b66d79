"""Phone numbers: E.164 or an error that says what to write instead."""

from __future__ import annotations

import re

import phonenumbers

from control_plane.domain.errors import BadPhoneNumber

_WRITTEN = re.compile(r"\s*\+[\d\s().\-/]{3,40}", re.ASCII)
_REMEDY = "write it in E.164, with + and the country code, such as +12025550123"


def e164(text: str, *, field: str = "phone_number") -> str:
    """Return `text` in E.164, without spaces and punctuation.

    Raises:
        BadPhoneNumber: it has no country code, or its country's plan has no such number.
    """
    # The library also reads letters, extensions and what surrounds a number in a sentence.
    if _WRITTEN.fullmatch(text) is None:
        raise BadPhoneNumber(f"{field} is not a phone number; {_REMEDY}", field=field)
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as exc:
        raise BadPhoneNumber(f"{field} is not a phone number; {_REMEDY}", field=field) from exc
    if not phonenumbers.is_possible_number(number):
        raise BadPhoneNumber(f"{field} has too few or too many digits; {_REMEDY}", field=field)
    if not phonenumbers.is_valid_number(number):
        raise BadPhoneNumber(
            f"{field} is not in use in its country's numbering plan; {_REMEDY}", field=field
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
