"""A provider is asked once whether it takes a key: by the cheapest request that needs one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import httpx2
import msgspec
from msgspec import Struct

from control_plane.domain.brief import ProviderAccess
from control_plane.domain.providers import SERVICES, Provider
from process.addresses import AddressRefused, Allowed, OutboundError
from process.safe_http import Limits, Outbound, TooLarge, safe_client

LIMITS = Limits(total_s=10.0, body_bytes=8 * 1024 * 1024)
_MOST_WORDS = 300
_ENOUGH = 8  # so much of a key gives it away
_KEY = re.compile(r"[\x21-\x7e]+")
_MASKED = re.compile(r"\S*\*{3,}\S*")


class Verdict(StrEnum):
    """What a provider makes of a key."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # it could not be reached, or its answer says nothing about the key


class KeyCheck(Struct, frozen=True):
    """What a provider answered when it was asked about a key; the key itself is not in it."""

    verdict: Verdict
    said: str


# The key is good and only may not do what it was asked for; real work is another permission.
_NARROW = re.compile(r"missing_permissions|missing scopes", re.IGNORECASE)
_BAD_KEY = re.compile(r"API_KEY_INVALID|API key not valid", re.IGNORECASE)  # Google's, with 400


async def check_key(provider: Provider, access: ProviderAccess, allowed: Allowed) -> KeyCheck:
    """Return what the provider says of the key; a failure to reach it is an answer, too."""
    service, key = SERVICES[provider], access.api_key
    if _KEY.fullmatch(key) is None:  # no header could carry it
        return KeyCheck(Verdict.REFUSED, "was not asked: the key holds a blank or a strange letter")
    url = f"{service.base(access.api_url)}{service.asked}"
    try:
        async with safe_client(Outbound(allowed, LIMITS)) as http:
            answer = await http.get(url, headers=service.headers(key))
    except AddressRefused as exc:
        return KeyCheck(Verdict.UNKNOWN, f"was not asked: {exc}")
    except TooLarge as exc:
        return KeyCheck(Verdict.UNKNOWN, f"answered too much: {exc}")
    except OutboundError as exc:
        return KeyCheck(Verdict.UNKNOWN, f"could not be reached: {exc}")
    except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
        return KeyCheck(Verdict.UNKNOWN, f"could not be asked: {type(exc).__name__}")
    return judge(service.tells, answer.status_code, answer.content, key)


def judge(tells: str, status: int, body: bytes, key: str) -> KeyCheck:
    """Return what an answer says of the key.

    Args:
        tells: what the provider did if it took the key.
    """
    text = body.decode(errors="replace")
    words = _words(body, key)
    said = f": {words}" if words else ""
    if 200 <= status < 300:
        if _decoded(body) is None:
            return KeyCheck(Verdict.UNKNOWN, f"answered {status} with something that is no JSON")
        return KeyCheck(Verdict.ACCEPTED, f"accepted the key: it {tells}")
    if status in (401, 403) and _NARROW.search(text):
        return KeyCheck(Verdict.ACCEPTED, f"accepted the key, which may not do everything{said}")
    if status in (401, 403) or (status == 400 and _BAD_KEY.search(text)):
        return KeyCheck(Verdict.REFUSED, f"refused the key ({status}){said}")
    return KeyCheck(Verdict.UNKNOWN, f"answered {status}, which says nothing about the key{said}")


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _words(body: bytes, key: str) -> str:
    """Return the provider's own words, without the key or a noticeable part of it."""
    decoded = _decoded(body)
    text = next(_messages(decoded), "") if decoded is not None else ""
    shown = []
    for word in _MASKED.sub("****", text).replace(key, "****").split():
        bare = word.strip(".,:;!?'\"()[]{}<>`")
        gives_away = len(bare) >= _ENOUGH and (bare in key or key[-_ENOUGH:] in bare)
        shown.append("****" if gives_away else word)
    return " ".join(shown)[:_MOST_WORDS]


def _messages(decoded: Any) -> Iterator[str]:
    """Yield what is meant to be read in an error, the likeliest first."""
    if isinstance(decoded, str):
        yield decoded
    elif isinstance(decoded, list):
        for each in decoded:
            yield from _messages(each)
    elif isinstance(decoded, dict):
        for name in ("message", "error", "detail", "title"):
            if name in decoded:
                yield from _messages(decoded[name])
