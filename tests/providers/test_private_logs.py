"""Providers repeat in their errors what they were sent: none of it reaches a log, or a span."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from process import logs, traces
from process.trace_export import provider_with
from tests.providers.test_guard import LOOPBACK, WAYS, ask, listening

pytestmark = pytest.mark.unit

SAID = "Wilhelmina Marked called from +12025550177 with 4111 1111 1111 1111"
MARKS = ("Wilhelmina", "Marked", "2025550177", "1111 1111")
ATTEMPT = "01a1feda-57b2-76c4-a894-52077fb2618f"


def refusal(status: int) -> bytes:
    body = f'{{"error": {{"message": "{SAID}", "type": "t"}}, "message": "{SAID}"}}'.encode()
    head = f"HTTP/1.1 {status} {SAID}\r\nContent-Type: application/json\r\nX-Said: {SAID}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


# Google's client speaks TLS alone.
@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("way", sorted(set(WAYS) - {"google-realtime"}))
async def test_what_a_provider_repeats_is_in_no_line(
    way: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("agent", level="DEBUG")
    async with listening(refusal(status)) as listener:
        await ask(way, f"http://127.0.0.1:{listener.port}/v1", LOOPBACK)
    assert listener.connections > 0
    shown = capsys.readouterr().err
    assert "a provider was found wanting" in shown
    assert [mark for mark in MARKS if mark in shown] == []


@pytest.mark.parametrize("way", ["custom", "openai"])
async def test_the_path_of_its_address_is_not_repeated(way: str) -> None:
    path = "/hooks/B0Zx81SecretPath/v1"
    body = f'{{"error": {{"message": "Cannot POST {path}/chat/completions", "type": "t"}}}}'
    head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
    answer = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    async with listening(answer) as listener:
        told = await ask(way, f"http://127.0.0.1:{listener.port}{path}", LOOPBACK)
    assert "Cannot POST" in told
    assert "B0Zx81SecretPath" not in told


async def test_what_a_provider_repeats_is_in_no_span() -> None:
    exporter = InMemorySpanExporter()
    provider = provider_with(exporter, "test")
    tracer = provider.get_tracer("livekit-agents")
    async with listening(refusal(500)) as listener:
        with traces.below_root(ATTEMPT), tracer.start_as_current_span("llm_node") as span:
            told = await ask("openai", f"http://127.0.0.1:{listener.port}/v1", LOOPBACK)
            span.record_exception(ValueError(told + SAID))
            span.set_attribute("lk.response.text", SAID)
            trace.get_current_span().set_attribute("http.response.body", SAID)
    provider.shutdown()
    spans = exporter.get_finished_spans()
    assert spans
    assert [mark for mark in MARKS for each in spans if mark in each.to_json()] == []
