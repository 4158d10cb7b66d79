"""The SDK's side of `process.traces`: loaded only where spans are exported."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Status

from process import traces

_PATH = "/v1/traces"


def provider_for(endpoint: str, service: str) -> TracerProvider:
    """Return a provider that exports the spans of calls to `endpoint` over OTLP/HTTP."""
    return provider_with(OTLPSpanExporter(endpoint=endpoint.rstrip("/") + _PATH), service)


def provider_with(exporter: SpanExporter, service: str) -> TracerProvider:
    """Return a provider that gives the spans of calls to `exporter`, from a thread of its own."""
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service}),
        id_generator=_CallIds(),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(_NameCall())
    provider.add_span_processor(BatchSpanProcessor(Discreet(exporter)))
    return provider


class _CallIds(RandomIdGenerator):
    """Gives a call's root the numbers that every process derives from the attempt."""

    def generate_trace_id(self) -> int:
        wanted = traces.wanted_ids()
        return super().generate_trace_id() if wanted is None else wanted[0]

    def generate_span_id(self) -> int:
        wanted = traces.wanted_ids()
        return super().generate_span_id() if wanted is None else wanted[1]


class _NameCall(SpanProcessor):
    """Writes on every span of a call whose it is."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        attempt = traces.current_attempt()
        context = span.get_span_context()
        if attempt and context is not None and traces.belongs(context.trace_id, attempt):
            span.set_attribute(traces.ATTEMPT, attempt)


class Discreet(SpanExporter):
    """Gives spans of calls on without what was said: only the attributes known to be harmless.

    Events, links and descriptions of failures go: exceptions quote what a provider was told.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        told = [_bare(span) for span in spans if traces.ATTEMPT in (span.attributes or {})]
        return self._exporter.export(told) if told else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _bare(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=traces.allowed(span.attributes),
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
