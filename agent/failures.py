"""What to do when a provider fails: say what it was, and decide whether the call goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livekit.agents import (
    AgentSession,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ErrorEvent,
)

from process.logs import get_logger

log = get_logger(__name__)

_PARTS = {
    "llm_error": "the model",
    "tts_error": "the voice",
    "stt_error": "the ears",
    "realtime_model_error": "the realtime model",
}


class FailureWatch:
    """Listens to the errors of a session; the first that no retry mends ends the call.

    Args:
        on_fatal: called with what failed and how, for the attempt.
    """

    def __init__(self, session: AgentSession[Any], on_fatal: Callable[[str], None]) -> None:
        self._on_fatal = on_fatal
        session.on("error", self._on_error)

    def _on_error(self, event: ErrorEvent) -> None:
        detail = describe(event.error)
        if event.error.recoverable:
            log.info("a provider is tried again", why=detail)
            return
        log.warning("a provider failed", why=detail)
        self._on_fatal(detail)


def describe(error: Any) -> str:
    """Return which provider failed and how, without what it was told: that may be private."""
    part = _PARTS.get(getattr(error, "type", ""), "a provider")
    return f"{part} {_provider(getattr(error, 'label', ''))} {reason(error.error)}"


def reason(cause: BaseException | None) -> str:
    """Return how a request to a provider failed."""
    if isinstance(cause, APIStatusError):
        return f"answered {cause.status_code}"
    if isinstance(cause, APITimeoutError):
        return "did not answer in time"
    if isinstance(cause, APIConnectionError):
        return "could not be reached or broke off"
    return f"failed: {type(cause).__name__}"


def _provider(label: str) -> str:
    """`livekit.plugins.openai.llm.LLM` → `(openai)`; `speech.offline.tts.OfflineTTS` → ours."""
    parts = label.split(".")
    if parts[:2] == ["livekit", "plugins"] and len(parts) > 2:
        return f"({parts[2]})"
    return "(fallbacks too)" if "fallback" in label.lower() else "(embedded)"
