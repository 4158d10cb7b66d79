"""Somebody's site: a page with the widget, whose policy forbids all that it can do without."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A shop</title>
{script}
</head>
<body><main><h1>A shop</h1>
<offhook-call public-key="{key}" assistant-id="{assistant}" label="Bright Smile Dental">
</offhook-call>
</main></body></html>
"""
SCRIPTS = {
    "module": '<script type="module" src="{server}/widget/offhook-call.mjs"></script>',
    "script": '<script src="{server}/widget/offhook-call.js" defer></script>',
}


class Site:
    """A running site."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.origin = f"http://localhost:{server.server_address[1]}"

    def page(self, key: str, assistant: str, *, kind: str = "module") -> str:
        """Return the address of a page with the widget; `kind`: how it is loaded."""
        return f"{self.origin}/?key={key}&assistant={assistant}&kind={kind}"


@contextmanager
def serving(api: str) -> Iterator[Site]:
    """Serve a site whose pages load the widget from `api`."""
    policy = (
        f"default-src 'none'; script-src {api}; base-uri 'none'; form-action 'none'; "
        f"connect-src {api} ws://127.0.0.1:* http://127.0.0.1:*"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name: each[0] for name, each in parse_qs(urlsplit(self.path).query).items()}
            script = SCRIPTS[asked.get("kind", "module")].format(server=api)
            body = PAGE.format(
                script=script, key=asked.get("key", ""), assistant=asked.get("assistant", "")
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Site(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
