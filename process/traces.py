"""Spans for OpenTelemetry: exported if an endpoint is named, and stripped of what people said.

One call is one trace: its number is the attempt's id, and so every process finds it by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

ATTEMPT = "offhook.attempt_id"
_TRACER = "offhook"
_HALF = (1 << 64) - 1

_attempt: ContextVar[str | None] = ContextVar("attempt", default=None)
_ids: ContextVar[tuple[int, int] | None] = ContextVar("ids", default=None)

_ALLOWED = frozenset(
    {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.request.stream",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.model",
        "gen_ai.response.time_to_first_chunk",
        "error.type",
        "lk.close_reason",
        "lk.e2e_latency",
        "lk.end_of_turn_delay",
        "lk.eou.endpointing_delay",
        "lk.eou.outcome",
        "lk.eou.wait_duration",
        "lk.fallback.index",
        "lk.fallback.label",
        "lk.first_frame_delay",
        "lk.function_tool.is_error",
        "lk.interrupted",
        "lk.interruption.source",
        "lk.on_user_turn_completed_delay",
        "lk.playout.position",
        "lk.response.ttfb",
        "lk.response.ttft",
        "lk.retry_count",
        "lk.speech.queue_wait",
        "lk.speech_id",
        "lk.transcription_delay",
        "lk.tts.label",
        "lk.tts.streaming",
    }
)
"""Attributes of LiveKit's spans that hold neither words nor who spoke them."""
_ALLOWED_BELOW = ("offhook.", "gen_ai.usage.")


class TraceSettings(Struct, frozen=True):
    """Where spans go, by OpenTelemetry's own variable; empty: none are made."""

    endpoint: str = msgspec.field(name="OTEL_EXPORTER_OTLP_ENDPOINT", default="")


class Exporter(Protocol):
    """What `begin` gives back."""

    def shutdown(self) -> None:
        """Send what is left, and stop."""
        ...


def begin(settings: TraceSettings, service: str) -> Exporter | None:
    """Export this process's spans of calls from now on; null: no endpoint, and nothing was done.

    OpenTelemetry's other variables (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_SCHEDULE_DELAY` …)
    are read by its SDK.
    """
    if not settings.endpoint:
        return None
    # Only here: without an endpoint, no process pays for loading it.
    from process.trace_export import provider_for

    provider = provider_for(settings.endpoint, service)
    trace.set_tracer_provider(provider)
    return provider


@contextmanager
def below_root(attempt_id: str) -> Iterator[None]:
    """Make what runs inside part of the call's trace."""
    trace_id, root = _numbers(attempt_id)
    parent = trace.SpanContext(
        trace_id, root, is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED)
    )
    around = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    token, attached = _attempt.set(attempt_id), otel_context.attach(around)
    try:
        yield
    finally:
        otel_context.detach(attached)
        _attempt.reset(token)


@contextmanager
def of_call(attempt_id: str, name: str) -> Iterator[None]:
    """Make what runs inside a span of the call's trace, below its root."""
    with (
        below_root(attempt_id),
        trace.get_tracer(_TRACER).start_as_current_span(
            name, record_exception=False, set_status_on_exception=False
        ),
    ):
        yield


def report_span(
    name: str, began: datetime, ended: datetime, attributes: Mapping[str, Any], **how: Any
) -> None:
    """Tell a span of the current call that is over already."""
    told = {f"offhook.{key}": value for key, value in attributes.items() if value is not None}
    span = trace.get_tracer(_TRACER).start_span(
        name, start_time=_nanoseconds(began), attributes=told, **how
    )
    span.end(_nanoseconds(max(began, ended)))


def report_root(
    attempt_id: str, began: datetime, ended: datetime, attributes: Mapping[str, Any]
) -> None:
    """Tell the root of a call's trace, once the call is over; once per call."""
    attempt_token, token = _attempt.set(attempt_id), _ids.set(_numbers(attempt_id))
    try:
        report_span("call", began, ended, attributes, context=Context())
    finally:
        _ids.reset(token)
        _attempt.reset(attempt_token)


def current_attempt() -> str | None:
    """Return the attempt whose trace the running code is part of."""
    return _attempt.get()


def wanted_ids() -> tuple[int, int] | None:
    """Return the numbers that the next trace and span are to have."""
    return _ids.get()


def belongs(trace_id: int, attempt_id: str) -> bool:
    """Return whether a span's trace is that of the attempt."""
    return _numbers(attempt_id)[0] == trace_id


def allowed(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return those of the attributes that may leave the machine."""
    return {
        key: value
        for key, value in (attributes or {}).items()
        if key in _ALLOWED or key.startswith(_ALLOWED_BELOW)
    }


def _numbers(attempt_id: str) -> tuple[int, int]:
    try:
        number = uuid.UUID(attempt_id).int
    except ValueError:
        number = uuid.uuid5(uuid.NAMESPACE_OID, attempt_id).int
    return number, number & _HALF


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
