"""The voices that providers offer, as their own lists tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from control_plane.domain.brief import ProviderAccess
from control_plane.domain.errors import Conflict
from control_plane.domain.providers import Provider
from process.addresses import Allowed, OutboundError
from process.safe_http import Limits, Outbound, safe_client

CARTESIA_URL = "https://api.cartesia.ai"
ELEVENLABS_URL = "https://api.elevenlabs.io/v1"
LIMITS = Limits(total_s=10.0, body_bytes=8 * 1024 * 1024)
_CARTESIA_VERSION = "2025-04-16"
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


class _Cartesia(Struct):
    id: str
    name: str
    language: str | None = None


class _CartesiaPage(Struct):
    data: list[_Cartesia]
    has_more: bool = False
    next_page: str | None = None


class _ElevenLabs(Struct):
    voice_id: str
    name: str
    labels: dict[str, Any] | None = None


class _ElevenLabsList(Struct):
    voices: list[_ElevenLabs]


async def voices_of(
    provider: Provider, access: ProviderAccess, allowed: Allowed
) -> list[VoiceView]:
    """Return the provider's voices.

    Raises:
        Conflict: it refused, could not be reached or answered something else; names the remedy.
    """
    read = _cartesia if provider is Provider.CARTESIA else _elevenlabs
    name = provider.value
    try:
        async with safe_client(Outbound(allowed, LIMITS)) as http:
            return await read(http, access)
    except httpx.HTTPStatusError as exc:
        raise _conflict(f"{name} answered {_cure(exc.response.status_code, name)}") from exc
    except OutboundError as exc:
        raise _conflict(f"{name} was not reached: {exc}") from exc
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise _conflict(f"{name} was not reached: {type(exc).__name__}") from exc
    except msgspec.DecodeError as exc:
        raise _conflict(f"{name} answered something that is no list of voices") from exc


async def _cartesia(http: httpx.AsyncClient, access: ProviderAccess) -> list[VoiceView]:
    headers = {"X-API-Key": access.api_key, "Cartesia-Version": _CARTESIA_VERSION}
    query = {"limit": str(_PAGE)}
    found: list[VoiceView] = []
    for _ in range(_MOST_PAGES):
        url = f"{_base(access, CARTESIA_URL)}/voices/"
        answer = (await http.get(url, headers=headers, params=query)).raise_for_status()
        page = msgspec.json.decode(answer.content, type=_CartesiaPage)
        found += [
            VoiceView(id=each.id, provider="cartesia", name=each.name, language=each.language)
            for each in page.data
        ]
        if not page.has_more or not page.data:
            break
        query["starting_after"] = page.next_page or page.data[-1].id
    return found


async def _elevenlabs(http: httpx.AsyncClient, access: ProviderAccess) -> list[VoiceView]:
    url = f"{_base(access, ELEVENLABS_URL)}/voices"
    answer = (await http.get(url, headers={"xi-api-key": access.api_key})).raise_for_status()
    listed = msgspec.json.decode(answer.content, type=_ElevenLabsList)
    return [
        VoiceView(
            id=each.voice_id,
            provider="elevenlabs",
            name=each.name,
            language=(each.labels or {}).get("language"),
        )
        for each in listed.voices
    ]


def spoken_in(voices: list[VoiceView], language: str) -> Iterator[VoiceView]:
    """Yield the voices of a language such as `de` or `de-DE`; those that tell none go with all."""
    wanted = language.lower().partition("-")[0]
    for voice in voices:
        if voice.language is None or voice.language.lower().partition("-")[0] == wanted:
            yield voice


def _base(access: ProviderAccess, own: str) -> str:
    url = (access.api_url or own).rstrip("/")
    return f"http{url.removeprefix('ws')}" if url.startswith("ws") else url


def _cure(status: int, name: str) -> str:
    if status in (401, 403):
        return f"{status}: the key was refused; set it with `offhook provider set {name}`"
    if status == 429:
        return f"{status}: too many requests, or the account's quota is used up"
    return f"{status}: try again, or look at its status page"


def _conflict(detail: str) -> Conflict:
    return Conflict(detail, field="provider")
