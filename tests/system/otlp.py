"""A receiver of OTLP/HTTP traces on loopback, which decodes what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.in_thread import answering


class Told(Struct, frozen=True):
    """One span."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    attributes: dict[str, Any]
    everything: str  # the span as text, whatever is in it


class Receiver:
    """The spans received so far."""

    def __init__(self) -> None:
        self.url = ""
        self._spans: list[Told] = []
        self._changed = threading.Condition()

    def take(self, body: bytes) -> None:
        """Add the spans of a request."""
        told = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            for group in told.resource_spans:
                service = _plain(group.resource.attributes)["service.name"]
                for scope in group.scope_spans:
                    self._spans += [_told(service, span) for span in scope.spans]
            self._changed.notify_all()

    def wait(self, done: Callable[[list[Told]], bool], limit_s: float) -> list[Told]:
        """Return the spans once `done` says so.

        Raises:
            AssertionError: it did not within `limit_s`.
        """
        with self._changed:
            found = self._changed.wait_for(lambda: done(self._spans), limit_s)
            assert found, sorted({(span.service, span.name) for span in self._spans})
            return list(self._spans)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive on a free port while the context is open."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            receiver.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    with answering(server):
        yield receiver


def _told(service: str, span: Any) -> Told:
    return Told(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_plain(span.attributes),
        everything=str(span),
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes
    }
