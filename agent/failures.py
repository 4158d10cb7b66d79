"""What to do when a provider fails: say what it was, and decide whether the call goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    ErrorEvent,
    llm,
    tts,
)

from process.addresses import AddressRefused
from process.logs import get_logger
from speech.validated import EmptyAnswer

log = get_logger(__name__)

_PARTS = {
    "llm_error": "the model",
    "tts_error": "the voice",
    "stt_error": "the recogniser",
    "realtime_model_error": "the realtime model",
}


_PLUGIN = re.compile(r"(?:livekit\.plugins|speech\.providers)\.(\w+)")
_QUOTED = re.compile(r"'([\w.]+)'")


class FailureWatch:
    """Listens to the errors of a session that no retry mends.

    Args:
        on_fatal: called with what failed and how, for the attempt.
        on_voice_lost: the same for a voice, which may have said half of a sentence.
    """

    def __init__(
        self,
        session: rtc.EventEmitter[Any],
        *,
        on_fatal: Callable[[str], None],
        on_voice_lost: Callable[[str], None],
    ) -> None:
        self._on_fatal = on_fatal
        self._on_voice_lost = on_voice_lost
        session.on("error", self._on_error)

    def _on_error(self, event: ErrorEvent) -> None:
        detail = describe(event.error)
        if event.error.recoverable:
            log.info("a provider is tried again", why=detail)
            return
        log.warning("a provider failed", why=detail)
        if event.error.type == "tts_error":
            self._on_voice_lost(detail)
        else:
            self._on_fatal(detail)


def describe(error: Any) -> str:
    """Return which provider failed and how, without what it was told: that may be private."""
    part = _PARTS.get(getattr(error, "type", ""), "a provider")
    cause = getattr(error, "error", None)
    return f"{part} ({_providers(getattr(error, 'label', ''), cause)}) {reason(cause)}"


def blame(part: str, provider: llm.LLM[Any] | tts.TTS[Any], failure: APIError) -> str:
    """Return the same of a request that was made outside a session, by `part`: `llm_error` …"""
    # The last of several tries hides behind an error that only counts them.
    cause = failure.__cause__ if isinstance(failure.__cause__, APIError) else failure
    return f"{_PARTS[part]} ({_providers(provider.label, cause)}) {reason(cause)}"


def reason(cause: BaseException | None) -> str:
    """Return how a request to a provider failed."""
    if isinstance(cause, EmptyAnswer):
        return "gave an empty answer"
    if isinstance(cause, APIStatusError) and cause.status_code > 0:  # -1: no answer at all
        return f"answered {cause.status_code}"
    if isinstance(cause, APITimeoutError):
        return "did not answer in time"
    refused = _refused(cause)
    if refused is not None:
        return f"was not asked: {refused}"
    if isinstance(cause, (APIConnectionError, APIStatusError)):
        return "could not be reached or broke off"
    return f"failed: {type(cause).__name__}"


def _refused(cause: BaseException | None) -> AddressRefused | None:
    """Return that the address of a custom model may not be reached, which names the setting."""
    while cause is not None and not isinstance(cause, AddressRefused):
        cause = cause.__cause__ or cause.__context__
    return cause


def _providers(label: str, cause: BaseException | None) -> str:
    """Return the provider's name; of an adapter, which lists its labels, those of all."""
    if "fallback" in label.lower():
        names = [_name(each) for each in _QUOTED.findall(str(cause))]
        return ", ".join(names) or "fallbacks too"
    return _name(label)


def _name(label: str) -> str:
    """`livekit.plugins.cartesia.tts.TTS` → `cartesia`; a careful model is labelled by its name."""
    plugin = _PLUGIN.search(label)
    if plugin is not None:
        return plugin.group(1)
    return label if label and "." not in label else "embedded"
