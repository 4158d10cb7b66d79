"""The agent's part of a call's trace: LiveKit's own spans, and one per turn with its delays."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from livekit.agents import telemetry
from livekit.agents.llm import ChatMessage
from opentelemetry.sdk.trace import TracerProvider

from process import traces
from process.traces import TraceSettings


def begin(settings: TraceSettings) -> traces.Exporter | None:
    """Export the spans of this worker's calls from now on; null: no endpoint is set."""
    provider = traces.begin(settings, "offhook-agent")
    if isinstance(provider, TracerProvider):
        # Ours drops what people said; LiveKit is told not even to write it down.
        telemetry.set_tracer_provider(provider, allow_pii=False)
    return provider


def conversation(attempt_id: str) -> AbstractContextManager[None]:
    """Make what runs inside the agent's part of a call's trace."""
    return traces.of_call(attempt_id, "agent")


def report_turn(message: ChatMessage, delays_ms: dict[str, float], now: datetime) -> None:
    """Tell what somebody said: from when to when, and with which delays; never the words."""
    if not traces.current_attempt():
        return
    spoke = message.metrics.get("started_speaking_at"), message.metrics.get("stopped_speaking_at")
    ended = _instant(spoke[1], now)
    began = _instant(spoke[0], ended - timedelta(milliseconds=delays_ms.get("first_sound", 0.0)))
    facts: dict[str, Any] = {"role": message.role, "interrupted": message.interrupted}
    facts |= {f"delay_ms.{part}": delay for part, delay in delays_ms.items()}
    traces.report_span("turn", began, ended, facts)


def _instant(seconds: float | None, otherwise: datetime) -> datetime:
    return otherwise if seconds is None else datetime.fromtimestamp(seconds, UTC)
