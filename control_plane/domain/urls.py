"""Addresses on the web and of mailboxes: whether they can be one at all."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from control_plane.domain.errors import BadInput

_BLANK = re.compile(r"[\x00-\x20\x7f\\]")
_MAILBOX = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
)  # WHATWG HTML 4.10.5.1.5, with a dot in the domain


def check_url(url: str, *, field: str) -> None:
    """Find out whether `url` is an absolute http or https URL.

    Raises:
        BadInput: it is not, or it carries a login.
    """
    remedy = "write a whole URL that begins with http:// or https://"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or _BLANK.search(url) is not None:
        raise BadInput(f"{field} is not such an address: {remedy}", field=field)
    if "@" in parts.netloc:
        raise BadInput(f"{field} carries a login before the host: leave it out", field=field)


def check_email(address: str, *, field: str) -> None:
    """Find out whether `address` is a mailbox on the Internet.

    Raises:
        BadInput: it is not.
    """
    if _MAILBOX.fullmatch(address) is None or len(address) > 254:
        raise BadInput(f"{field} is not an e-mail address such as ann@example.com", field=field)
