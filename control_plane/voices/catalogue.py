"""The voices that providers offer, as their own lists tell."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
from msgspec import Struct

from control_plane.domain.brief import ProviderAccess
from control_plane.domain.errors import Conflict
from control_plane.domain.providers import SERVICES, Provider, Voices
from process.addresses import Allowed, OutboundError
from process.safe_http import Limits, Outbound, safe_client

LIMITS = Limits(total_s=10.0, body_bytes=8 * 1024 * 1024)
_PAGE, _MOST_PAGES = 100, 20


class VoiceView(Struct, frozen=True, kw_only=True):
    """A voice: `provider` and `id` go into an assistant's `voice`; `language` as its provider says.

    The embedded voice has the provider `offline`; an assistant without `voice` speaks with it.
    """

    id: str
    provider: str
    name: str
    language: str | None


EMBEDDED = VoiceView(id="embedded", provider="offline", name="The embedded voice", language="en")


async def voices_of(
    provider: Provider, access: ProviderAccess, allowed: Allowed
) -> list[VoiceView]:
    """Return the provider's voices.

    Raises:
        Conflict: it refused, could not be reached or answered something else; names the remedy.
    """
    name = provider.value
    try:
        async with safe_client(Outbound(allowed, LIMITS)) as http:
            return await _listed(http, provider, access)
    except httpx2.HTTPStatusError as exc:
        raise _conflict(f"{name} answered {_cure(exc.response.status_code, name)}") from exc
    except OutboundError as exc:
        raise _conflict(f"{name} was not reached: {exc}") from exc
    except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
        raise _conflict(f"{name} was not reached: {type(exc).__name__}") from exc
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError) as exc:
        raise _conflict(f"{name} answered something that is no list of voices") from exc


async def _listed(
    http: httpx2.AsyncClient, provider: Provider, access: ProviderAccess
) -> list[VoiceView]:
    service, names = SERVICES[provider], SERVICES[provider].voices
    if names is None:
        return []
    url, headers = f"{service.base(access.api_url)}{names.path}", service.headers(access.api_key)
    query = {"limit": str(_PAGE)} if names.paged else {}
    found: list[VoiceView] = []
    for _ in range(_MOST_PAGES):
        answer = (await http.get(url, headers=headers, params=query)).raise_for_status()
        page = msgspec.json.decode(answer.content)
        voices = [_view(provider, names, each) for each in page[names.listed]]
        found += voices
        if not (names.paged and page.get("has_more") and voices):
            break
        query["starting_after"] = page.get("next_page") or voices[-1].id
    return found


def _view(provider: Provider, names: Voices, voice: Any) -> VoiceView:
    language = functools.reduce(lambda held, name: (held or {}).get(name), names.language, voice)
    told = {"id": voice[names.id], "name": voice["name"], "language": language}
    return msgspec.convert({"provider": provider.value, **told}, VoiceView)


def spoken_in(voices: list[VoiceView], language: str) -> Iterator[VoiceView]:
    """Yield the voices of a language such as `de` or `de-DE`; those that tell none go with all."""
    wanted = language.lower().partition("-")[0]
    for voice in voices:
        if voice.language is None or voice.language.lower().partition("-")[0] == wanted:
            yield voice


def _cure(status: int, name: str) -> str:
    if status in (401, 403):
        return f"{status}: the key was refused; set it with `offhook provider set {name}`"
    if status == 429:
        return f"{status}: too many requests, or the account's quota is used up"
    return f"{status}: try again, or look at its status page"


def _conflict(detail: str) -> Conflict:
    return Conflict(detail, field="provider")
