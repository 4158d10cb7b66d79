"""What a REFER asks the person's side to call: a URI, made from a trunk's template."""

from __future__ import annotations

import re

from control_plane.domain.errors import BadInput

DEFAULT = "tel:{number}"
_HOLES = ("{number}", "{digits}")
_FORM = "write tel:{number}, or sip:{number}@host with the host of your PBX"
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\U0010ffff<>\"\\^`|?]")
_TEL = re.compile(r"tel:(?:\{number\}|\{digits\})(?:;[A-Za-z0-9=.+%-]+)*", re.IGNORECASE)
_USER = r"[A-Za-z0-9_.!~*'()&=+$,%-]*(?:\{number\}|\{digits\})[A-Za-z0-9_.!~*'()&=+$,%;-]*"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)(?::[0-9]{1,5})?"
_SIP = re.compile(rf"sips?:{_USER}@{_HOST}(?:;[A-Za-z0-9=._+%-]+)*", re.IGNORECASE)


def check_template(template: str, *, field: str = "refer_to") -> None:
    """Find out whether URIs can be made of `template`.

    Raises:
        BadInput: they cannot; says what is wrong, and what to write instead.
    """
    wrong = _fault(template)
    if wrong is not None:
        raise BadInput(f"{field} {wrong}: {_FORM}", field=field)


def refer_uri(template: str, number: str) -> str:
    """Return the URI of an E.164 `number`: `{number}` is it, `{digits}` without its plus."""
    return template.replace("{number}", number).replace("{digits}", number.lstrip("+"))


def _fault(template: str) -> str | None:
    holes = sum(template.count(each) for each in _HOLES)
    if holes != 1 or template.count("{") != 1 or template.count("}") != 1:
        return "has the number's place in it once, as {number} or as {digits} without the plus"
    if _UNSAFE.search(template):
        return "has a character that cannot stand in a Refer-To header, or a header of its own"
    scheme = template.partition(":")[0].lower()
    if scheme == "tel":
        return None if _TEL.fullmatch(template) else "is no tel: URI"
    if scheme in ("sip", "sips"):
        return None if _SIP.fullmatch(template) else "is no SIP URI with a user and a host"
    return "is a tel:, sip: or sips: URI"
