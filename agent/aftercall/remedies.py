"""What went wrong with a provider, and what the person who set it up can do about it."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
from livekit.agents import APIError, APIStatusError, APITimeoutError
from livekit.agents.llm import RealtimeError
from msgspec import Struct

from control_plane.domain.job import ProviderPart
from process.addresses import AddressRefused, OutboundError
from speech.offline.extra import EmbeddedSpeechMissing
from speech.providers.access import ProviderKeyMissing

MOST_WORDS = 200
_CUSTOM = "custom"


class NoAnswer(Exception):
    """A provider answered in due form, with nothing in it; the text says what is missing."""


class Subject(Struct, frozen=True):
    """What was asked of whom.

    Attributes:
        name: the model, or the id of the voice.
        limit_s: how long it could take.
        secrets: never repeated, whatever the provider's own words are.
    """

    part: ProviderPart
    provider: str
    name: str
    limit_s: float
    secrets: tuple[str, ...] = ()


def remedy(failure: BaseException, subject: Subject) -> str:
    """Return why the provider did not do it, and what cures that."""
    causes = list(_causes(failure))
    for cause in causes:
        match cause:
            case ProviderKeyMissing() | EmbeddedSpeechMissing() | NoAnswer():
                return str(cause)
            case AddressRefused():
                return f"was not asked: {cause}"
            case OutboundError():
                return f"could not be reached: {cause}"
    status = next(filter(None, map(_status, causes)), None)
    if status is not None:
        return f"answered {status}{_cure(status, causes, subject)}"
    if any(isinstance(each, APITimeoutError | TimeoutError) for each in causes):
        return f"did not answer in time (tried for {subject.limit_s:g} s at the most)"
    if any(isinstance(each, aiohttp.ClientConnectionError | OSError) for each in causes):
        return "could not be reached: check its address and the network"
    words = _words(causes, subject)
    return f"failed: {words}" if words else f"failed: {type(failure).__name__}"


def _cure(status: int, causes: list[BaseException], subject: Subject) -> str:
    custom = subject.provider == _CUSTOM
    if status in (401, 403):
        if custom:
            return ": the key was refused; give the assistant's model another api_key"
        return f": the key was refused; set it with `offhook provider set {subject.provider}`"
    if status == 402:
        return ": the account has no credit left"
    if status == 404:
        kind = "voice" if subject.part is ProviderPart.VOICE else "model"
        else_wrong = ", or its api_url is wrong" if custom else ""
        return f": it has no {kind} {subject.name!r}{else_wrong}"
    if status == 429:
        return ": too many requests, or the account's quota is used up"
    if status >= 500:
        return ": the fault is the provider's own; try again later"
    words = _words(causes, subject)
    return f": {words}" if words else ""


def _status(cause: BaseException) -> int | None:
    status = None
    if isinstance(cause, APIStatusError):
        status = cause.status_code
    elif isinstance(cause, aiohttp.ClientResponseError):
        status = cause.status
    return status if status is not None and 400 <= status < 600 else None


def _words(causes: list[BaseException], subject: Subject) -> str:
    """Return the provider's own words, the last ones of the chain, without any secret."""
    said = [each for each in causes if isinstance(each, APIError | RealtimeError) and str(each)]
    if not said:
        return ""
    last = said[-1]
    text = last.message if isinstance(last, APIError) else str(last)
    for secret in subject.secrets:
        text = text.replace(secret, "****")
    return " ".join(text.split())[:MOST_WORDS]


def _causes(failure: BaseException) -> Iterator[BaseException]:
    """Yield the failure and what led to it, the newest first."""
    seen: set[int] = set()
    cause: BaseException | None = failure
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
