"""Connections out are made in the places named here, and nowhere else.

An address that a user chose is reached through `process/` alone, which checks it at connect.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "control_plane", "offhook", "process", "scheduler", "sip", "speech")

CLIENTS = {
    "httpx": {"Client", "AsyncClient", "request", "stream", "get", "post", "put", "patch",
              "delete", "head", "options", "HTTPTransport", "AsyncHTTPTransport"},
    "httpcore": {"ConnectionPool", "AsyncConnectionPool", "HTTPConnection", "AsyncHTTPConnection"},
    "aiohttp": {"ClientSession", "TCPConnector", "request"},
    "websockets": {"connect", "unix_connect"},
    "urllib": {"urlopen", "build_opener", "urlretrieve"},
    "requests": {"get", "post", "put", "patch", "delete", "head", "request", "Session"},
    "http": {"HTTPConnection", "HTTPSConnection"},
    "openai": {"OpenAI", "AsyncOpenAI", "Client", "AsyncClient"},
    "google": {"Client", "HttpOptions"},
    "asyncio": {"open_connection", "create_connection"},
    "socket": {"create_connection"},
    "livekit": {"LLM", "STT", "TTS", "RealtimeModel", "http_session"},
}  # fmt: skip
CLIENTS["httpx2"], CLIENTS["httpcore2"] = CLIENTS["httpx"], CLIENTS["httpcore"]

PLACES = {
    # The guard itself.
    "process/guarded_connect.py": {"asyncio.open_connection"},
    "process/safe_http.py": {"httpx2.AsyncClient", "httpcore2.AsyncHTTPConnection"},
    "process/safe_session.py": {"aiohttp.ClientSession", "aiohttp.TCPConnector"},
    "process/safe_websocket.py": {"websockets.connect"},
    # Plugins, whose way out is the guard's: tests/providers/test_guard.py tries each.
    "speech/providers/google.py": {"google.HttpOptions", "livekit.RealtimeModel"},
    "speech/providers/openai.py": {
        "openai.AsyncClient", "livekit.LLM", "livekit.STT", "livekit.RealtimeModel",
    },
    "speech/providers/cartesia.py": {"livekit.STT", "livekit.TTS"},
    "speech/providers/elevenlabs.py": {"livekit.STT", "livekit.TTS"},
    # An answer from memory; nothing is asked.
    "speech/warm_clients.py": {"httpx2.AsyncClient", "openai.AsyncClient"},
    # Offhook's own parts, whose addresses the operator sets.
    "agent/internal_api.py": {"httpx.AsyncClient"},
    "agent/aftercall/job_api.py": {"httpx.AsyncClient"},
    "control_plane/health/probes.py": {"httpx.AsyncClient"},
    "offhook/api_client.py": {"httpx.Client"},
    "offhook/doctor.py": {"httpx.get"},
    "offhook/supervisor.py": {"httpx.AsyncClient", "httpx.AsyncHTTPTransport"},
    "offhook/webhooks.py": {"httpx.Client", "httpx.stream"},
    "sip/api.py": {"asyncio.open_connection"},
}  # fmt: skip


def made_in(source: str) -> Iterator[str]:
    """Yield each client that a module makes or derives, as `library.name`."""
    tree = ast.parse(source)
    imported = dict(imports(tree))
    for used in uses(tree):
        root: ast.expr = used
        while isinstance(root, ast.Attribute):
            root = root.value
        library, name = imported.get(root.id, ("", "")) if isinstance(root, ast.Name) else ("", "")
        if isinstance(used, ast.Attribute):
            name = used.attr
        if not library and name == "create_connection":
            library = "asyncio"  # a loop's, whatever the loop is called
        if name in CLIENTS.get(library, set()):
            yield f"{library}.{name}"


def imports(tree: ast.Module) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield what is imported: its name here, its library, and its name there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                library = each.name.partition(".")[0]
                yield each.asname or library, (library, "")
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            library = node.module.partition(".")[0]
            for each in node.names:
                yield each.asname or each.name, (library, each.name)


def uses(tree: ast.Module) -> Iterator[ast.Name | ast.Attribute]:
    """Yield what is called, and what classes derive from."""
    for node in ast.walk(tree):
        found = [node.func] if isinstance(node, ast.Call) else []
        found = node.bases if isinstance(node, ast.ClassDef) else found
        yield from (each for each in found if isinstance(each, ast.Name | ast.Attribute))


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def test_connections_out_are_made_in_known_places() -> None:
    found: dict[str, set[str]] = {}
    for file in sources():
        if clients := set(made_in(file.read_text())):
            found[file.relative_to(ROOT).as_posix()] = clients
    assert found == PLACES, "reach an address that a user chose through process/safe_*.py"


@pytest.mark.parametrize(
    ("source", "client"),
    [
        ("import httpx\nhttpx.AsyncClient()", "httpx.AsyncClient"),
        ("import httpx as h\nh.get('http://a')", "httpx.get"),
        ("from httpx2 import AsyncClient as C\nC()", "httpx2.AsyncClient"),
        ("import aiohttp\nclass A(aiohttp.ClientSession): ...", "aiohttp.ClientSession"),
        ("import urllib.request\nurllib.request.urlopen('x')", "urllib.urlopen"),
        ("from urllib import request\nrequest.urlopen('x')", "urllib.urlopen"),
        ("import websockets\nwebsockets.connect('x')", "websockets.connect"),
        ("from websockets.sync.client import connect\nconnect('x')", "websockets.connect"),
        ("from livekit.plugins import cartesia\ncartesia.TTS()", "livekit.TTS"),
        ("from livekit.plugins import google\ngoogle.realtime.RealtimeModel()",
         "livekit.RealtimeModel"),
        ("from livekit.agents.utils import http_context\nhttp_context.http_session()",
         "livekit.http_session"),
        ("from openai import AsyncClient\nAsyncClient()", "openai.AsyncClient"),
        ("async def f(loop):\n    await loop.create_connection(f, 'x')",
         "asyncio.create_connection"),
        ("import http.client\nhttp.client.HTTPSConnection('x')", "http.HTTPSConnection"),
    ],
)  # fmt: skip
def test_each_way_to_connect_is_seen(source: str, client: str) -> None:
    assert list(made_in(source)) == [client]


@pytest.mark.parametrize(
    "source",
    [
        "import httpx\nhttpx.URL('x')",
        "import aiohttp\naiohttp.ClientTimeout(1)",
        "d = {}\nd.get(1)",
    ],
)
def test_what_connects_to_nothing_is_not(source: str) -> None:
    assert list(made_in(source)) == []
