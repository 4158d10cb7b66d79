"""All provider servers on loopback: in a test's own loop, or in a thread beside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from ssl import SSLContext
from tempfile import TemporaryDirectory

import msgspec
from aiohttp import web
from msgspec import Struct

from control_plane.domain.brief import ProviderAccess
from control_plane.domain.providers import Provider
from tests.providers import cartesia, elevenlabs, google_live, refusals
from tests.providers.certificate import make_certificate
from tests.providers.controls import Command, Controls
from tests.providers.desk import Desk, application, bearer
from tests.providers.journal import Journal
from tests.providers.openai_http import Audio, Chat
from tests.providers.openai_listening import transcription
from tests.providers.openai_realtime import conversation
from tests.providers.sound import Sound

HOST = "127.0.0.1"
PORTS = 5
KEY = "key-for-the-local-servers"
_START_LIMIT_S = 30.0
_LEAVE_S = 0.05


class ProviderServers(Struct, frozen=True, kw_only=True):
    """The running servers: where they are, what they are told, what they were asked.

    `controls` and `journal` may be used from any thread. Google is reached by TLS alone: let
    `SSL_CERT_FILE` name `ca_file` where its client runs.
    """

    controls: Controls
    journal: Journal
    openai_url: str
    openrouter_url: str
    mistral_url: str
    custom_url: str
    cartesia_url: str
    elevenlabs_url: str
    google_url: str
    control_url: str
    ca_file: Path

    def access(self, key: str = KEY) -> dict[Provider, ProviderAccess]:
        """Return what an organization stores so that its calls reach these servers."""
        urls = {
            Provider.OPENAI: self.openai_url,
            Provider.OPENROUTER: self.openrouter_url,
            Provider.MISTRAL: self.mistral_url,
            Provider.CARTESIA: self.cartesia_url,
            Provider.ELEVENLABS: self.elevenlabs_url,
            Provider.GOOGLE: self.google_url,
        }
        return {provider: ProviderAccess(key, url) for provider, url in urls.items()}


@asynccontextmanager
async def serving(
    first_port: int | None = None, *, tone: bool = False
) -> AsyncIterator[ProviderServers]:
    """Run the servers in this loop.

    Args:
        first_port: the first of `PORTS` in a row; null takes free ones.
        tone: voices give a fixed tone and no engine is loaded for them.
    """
    sound = Sound()
    controls, journal = Controls(tone=tone), Journal()
    desk = Desk(controls, journal, sound)
    try:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="provider-servers-")))
            ca_file, tls = make_certificate(folder)
            apps = (
                (_openai(desk), None),
                (cartesia.app(desk), None),
                (elevenlabs.app(desk), None),
                (_control(controls, journal), None),
                (google_live.app(desk), tls),
            )
            ports = []
            for index, (app, secured) in enumerate(apps):
                port = first_port + index if first_port else 0
                ports.append(await stack.enter_async_context(_listening(app, port, secured)))
            openai, bare = f"http://{HOST}:{ports[0]}", f"http://{HOST}"
            yield ProviderServers(
                controls=controls,
                journal=journal,
                openai_url=f"{openai}/v1",
                openrouter_url=f"{openai}/openrouter/api/v1",
                mistral_url=f"{openai}/mistral/v1",
                custom_url=f"{openai}/custom/v1",
                cartesia_url=f"{bare}:{ports[1]}",
                elevenlabs_url=f"{bare}:{ports[2]}/v1",
                control_url=f"{bare}:{ports[3]}",
                google_url=f"https://{HOST}:{ports[4]}",
                ca_file=ca_file,
            )
    finally:
        sound.close()


@contextmanager
def in_background(
    first_port: int | None = None, *, tone: bool = False
) -> Iterator[ProviderServers]:
    """Run the servers in a thread, for tests without a loop and for other processes to reach."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="providers", daemon=True)
    thread.start()
    servers = serving(first_port, tone=tone)
    try:
        started = asyncio.run_coroutine_threadsafe(servers.__aenter__(), loop)
        yield started.result(_START_LIMIT_S)
    finally:
        stopped = asyncio.run_coroutine_threadsafe(servers.__aexit__(None, None, None), loop)
        stopped.result(_START_LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_START_LIMIT_S)
        loop.close()


@asynccontextmanager
async def _listening(
    app: web.Application, port: int, tls: SSLContext | None = None
) -> AsyncIterator[int]:
    # Cancelled when the client leaves: an answer that hangs must not outlive who waits for it.
    runner = web.AppRunner(
        app, handler_cancellation=True, shutdown_timeout=_LEAVE_S, access_log=None
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port, ssl_context=tls).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _openai(desk: Desk) -> web.Application:
    app = application(refusals.openai)
    audio = Audio(desk)

    async def realtime(request: web.Request) -> web.StreamResponse:
        listens = request.query.get("intent") == "transcription"
        desk.admit("openai.stt" if listens else "openai.realtime", bearer(request))
        return await (transcription if listens else conversation)(desk, request)

    app.add_routes(audio.routes("/v1"))
    app.router.add_get("/v1/realtime", realtime)
    for provider, prefix in (
        ("openai", "/v1"),
        ("openrouter", "/openrouter/api/v1"),
        ("mistral", "/mistral/v1"),
        ("custom", "/custom/v1"),
    ):
        app.add_routes(Chat(desk, provider).routes(prefix))
    return app


def _control(controls: Controls, journal: Journal) -> web.Application:
    async def control(request: web.Request) -> web.Response:
        try:
            controls.apply(msgspec.json.decode(await request.read(), type=Command))
        except ValueError as mistake:  # msgspec's own are ValueErrors
            return web.json_response({"error": str(mistake)}, status=400)
        return web.json_response({"done": True})

    async def log(request: web.Request) -> web.Response:
        entries = journal.entries(request.query.get("capability"), request.query.get("event"))
        body = msgspec.json.encode(entries)
        return web.Response(body=body, content_type="application/json")

    async def forget(_request: web.Request) -> web.Response:
        journal.clear()
        return web.json_response({"done": True})

    app = web.Application()
    app.add_routes(
        [web.post("/control", control), web.get("/log", log), web.delete("/log", forget)]
    )
    return app
