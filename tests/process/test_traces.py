"""What leaves the machine as spans: those of calls, and nothing that anybody said."""

from __future__ import annotations

import uuid

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from process import traces
from process.trace_export import provider_with
from process.traces import TraceSettings

pytestmark = pytest.mark.unit

ATTEMPT = "01a1feda-57b2-76c4-a894-52077fb2618f"
SECRET = "my number is 12025550123"


def test_only_the_spans_of_calls_leave_and_only_what_is_harmless() -> None:
    exporter = InMemorySpanExporter()
    provider = provider_with(exporter, "test")
    tracer = provider.get_tracer("livekit-agents")
    tracer.start_span("of no call").end()
    with traces.below_root(ATTEMPT), tracer.start_as_current_span("llm_node") as span:
        span.set_attributes(
            {
                "lk.pii.chat_ctx": SECRET,
                "gen_ai.input.messages": SECRET,
                "lk.anything_new": SECRET,
                "lk.response.ttft": 0.25,
                "gen_ai.usage.input_tokens": 12,
            }
        )
        span.add_event("gen_ai.user.message", {"content": SECRET})
        span.record_exception(ValueError(SECRET))
        span.set_status(Status(StatusCode.ERROR, SECRET))
        with tracer.start_as_current_span("inner"):
            pass
    with traces.below_root(ATTEMPT):
        tracer.start_span("of another trace", context=traces.Context()).end()
    provider.shutdown()
    inner, node = exporter.get_finished_spans()
    assert (inner.name, node.name) == ("inner", "llm_node")
    assert dict(node.attributes or {}) == {
        "offhook.attempt_id": ATTEMPT,
        "lk.response.ttft": 0.25,
        "gen_ai.usage.input_tokens": 12,
    }
    assert SECRET not in node.to_json()
    assert node.status.status_code is StatusCode.ERROR
    number = uuid.UUID(ATTEMPT).int
    assert node.context is not None
    assert inner.parent is not None
    assert node.parent is not None
    assert {node.context.trace_id, inner.parent.trace_id} == {number}
    assert node.parent.span_id == number & (2**64 - 1)
    assert inner.parent.span_id == node.context.span_id


def test_without_an_endpoint_nothing_is_begun() -> None:
    assert traces.begin(TraceSettings(), "test") is None
    with traces.of_call(ATTEMPT, "agent"):
        assert traces.current_attempt() == ATTEMPT
    assert traces.current_attempt() is None
