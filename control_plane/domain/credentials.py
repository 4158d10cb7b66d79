"""Credentials in places that are not for them: what looks like one, and what to do.

An estimate by the name it stands under and by its form. Placeholders are no credentials: their
values come with each order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from control_plane.domain.errors import BadInput
from control_plane.domain.masks import SealedUrl, looks_masked_url
from control_plane.domain.placeholders import fill
from control_plane.domain.urls import check_url

_CERTAIN = re.compile(
    r"token|secret|passw(or)?d|passphrase|\bpwd\b|api ?key|authorization|bearer|\bjwt\b|"
    r"\b(access|private|auth|app|function|subscription|client) ?key|signature|\bsig\b|credential"
)
_LIKELY = re.compile(r"\b(key|auth|code|pass|hash|session|sid)\b")
_SCHEME = re.compile(r"^\s*(bearer|basic|token)\b", re.IGNORECASE)
_LONG = re.compile(r"[A-Za-z0-9_\-.~+/=]{16,}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\W]+")
_FILLER = "1"  # in JSON, a placeholder may stand where a number does

SIGNED = (
    "leave it out; every message is signed, and by that its receiver knows whose it is "
    "(docs/how-to/webhooks.md)"
)
"""What to do about a credential in the URL of a webhook."""


def is_credential(name: str, value: str) -> bool:
    """Return whether `value`, which stands under `name`, is to be kept from eyes."""
    literal = _SCHEME.sub("", fill(value, {})).strip()
    if not literal:
        return False
    words = _WORDS.sub(" ", name).lower().strip()
    if _CERTAIN.search(words):
        return True
    return looks_random(literal) and _LIKELY.search(words) is not None


def looks_random(text: str) -> bool:
    """Return whether `text` holds a long run of letters and digits that is no word and no UUID."""
    return any(
        re.search(r"[A-Za-z]", run) and re.search(r"\d", run)
        for run in _LONG.findall(_UUID.sub("", text))
    )


def check_url_keeps_none(
    url: str, *, field: str, remedy: str, why: str = "is shown to every key with admin"
) -> None:
    """Find out whether the query of `url` carries a credential.

    Raises:
        BadInput: it does; names the parameter, `why` that is bad and the remedy, not the value.
    """
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if is_credential(name, value):
            raise BadInput(
                f"{field} carries a credential ({name[:50]}), and {why}: {remedy}", field=field
            )


def check_sent_to(url: str, *, field: str, remedy: str) -> None:
    """Find out whether requests can be sent to `url`; one that is sealed was looked at before.

    Raises:
        BadInput: it is no address, or carries a credential.
    """
    if SealedUrl.parse(url) is None:
        check_url(fill(url, {}, missing=_FILLER), field=field)
        check_url_keeps_none(url, field=field, remedy=remedy)


def check_webhook_url(url: str, *, field: str) -> None:
    """Find out whether a message can be sent to `url`.

    Raises:
        BadInput: it is no address, a mask of one, or carries a credential.
    """
    check_url(url, field=field)
    refuse_masked_url(url, field=field)
    check_no_credential(url, field=field)


def check_no_credential(url: str, *, field: str) -> None:
    """Find out whether the query of a webhook's address carries a credential.

    Raises:
        BadInput: it does.
    """
    check_url_keeps_none(url, field=field, remedy=SIGNED, why="servers write queries into logs")


def refuse_masked_url(url: str, *, field: str) -> None:
    """Refuse an address as it is shown or as it is kept, where that one did not stand before.

    Raises:
        BadInput: it is one.
    """
    if looks_masked_url(url) or SealedUrl.parse(url) is not None:
        raise BadInput(
            f"{field} is a mask that stands for no address known here: give the address itself",
            field=field,
        )


def read_webhook_url(given: str, *, field: str) -> str:
    """Return an address as it was given, or its mask, for which the one that is kept may stand.

    Raises:
        BadInput: it is no address, or carries a credential.
    """
    if not looks_masked_url(given):
        check_webhook_url(given, field=field)
    return given


def check_json_keeps_none(template: Any, *, field: str, remedy: str) -> None:
    """Find out whether a decoded template carries a credential, each placeholder filled by `1`.

    Raises:
        BadInput: it does; names the member and the remedy, not the value.
    """
    for name, value in _members(template):
        if is_credential(name, _SCHEME.sub("", value).strip(f"{_FILLER} ")):
            raise BadInput(
                f"{field} carries a credential ({name[:50]}), and is kept and shown in clear: "
                f"{remedy}",
                field=field,
            )


def _members(decoded: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(decoded, dict):
        for key, value in decoded.items():
            yield from _members(value, str(key))
    elif isinstance(decoded, list):
        for value in decoded:
            yield from _members(value, name)
    elif isinstance(decoded, str):
        yield name, decoded
