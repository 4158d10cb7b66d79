"""Somebody's site: a page with the widget, whose policy forbids all that it can do without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.in_thread import answering

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A shop</title>
{script}
</head>
<body><main><h1>A shop</h1>
<offhook-call {whom} label="Bright Smile Dental"></offhook-call>
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
        self.session: dict[str, Any] = {}
        """What the site's own server answers to its pages' `session-url`."""

    def page(self, key: str, assistant: str, *, kind: str = "module") -> str:
        """Return the address of a page with the widget; `kind`: how it is loaded."""
        return f"{self.origin}/?key={key}&assistant={assistant}&kind={kind}"

    @property
    def own_page(self) -> str:
        """The address of a page whose sessions come from the site's own server."""
        return f"{self.origin}/?kind=module"


@contextmanager
def serving(api: str) -> Iterator[Site]:
    """Serve a site whose pages load the widget from `api`."""
    policy = (
        f"default-src 'none'; script-src {api}; base-uri 'none'; form-action 'none'; "
        f"connect-src 'self' {api} ws://127.0.0.1:* http://127.0.0.1:*"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name: each[0] for name, each in parse_qs(urlsplit(self.path).query).items()}
            script = SCRIPTS[asked.get("kind", "module")].format(server=api)
            whom = 'session-url="/session"'
            if "key" in asked:
                whom = f'public-key="{asked["key"]}" assistant-id="{asked["assistant"]}"'
            self._answer("text/html; charset=utf-8", PAGE.format(script=script, whom=whom))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer("application/json", json.dumps(site.session))

        def _answer(self, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(server)
    with answering(server):
        yield site
