"""HTTP servers of the standard library that answer in a thread of the test's own process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer

_LIMIT_S = 10.0


@contextmanager
def answering(server: HTTPServer) -> Iterator[None]:
    """Have `server` answer, and close it in the end."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_LIMIT_S)
