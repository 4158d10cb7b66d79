"""The gateway process: `python -m sip.gateway`."""

from __future__ import annotations

import process.importing  # noqa: F401

# isort: split

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from baresip.call import Call
from baresip.errors import BaresipError

from process.gc_tuning import tune_gc
from process.logs import configure, get_logger
from process.settings import SettingsError, load
from process.short_way.offers import Folder, NoFolder
from process.signals import STOP, signalled
from process.wear import come_to_rest, release_memory, share_memory
from sip.front import Front, PortBusy
from sip.gateway.admission import Admission
from sip.gateway.call_log import name_calls
from sip.gateway.calls import Calls, Parts
from sip.gateway.directory import Directory
from sip.gateway.endpoint import Endpoint, hang_up
from sip.gateway.inbound import InboundCall
from sip.gateway.ledger import Ledger, report_lost
from sip.gateway.media import MediaEngine
from sip.gateway.presence import Presence
from sip.gateway.rooms import Server
from sip.gateway.service import CallService
from sip.gateway.settings import Settings
from sip.gateway.store import Store, StoreError
from sip.gateway.twirp import application
from sip.listener import Listener

log = get_logger("sip.gateway")
_FAREWELL_S = 2.0
_REPORT_S = 2.0


class StartError(Exception):
    """The gateway cannot start; the text names the setting to change."""


class Gateway:
    """The composition root: every part, built once, and the order of start and stop."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._store = Store(Path(settings.data) / "run" / "sip-gateway.json")
        self._ledger = Ledger(Path(settings.data) / "run" / "sip-calls.json")
        self._calls = Calls(settings.max_calls, self._ledger)
        name_calls(self._calls)
        self._endpoint = Endpoint(settings, self._incoming)
        self._media = MediaEngine()
        server = Server(settings.livekit_url, settings.livekit_api_key, settings.livekit_api_secret)
        self._presence = Presence(server)
        self._parts = Parts(
            server,
            self._endpoint,
            self._media,
            self._calls,
            self._presence,
            _offers(settings),
            settings.hold_timeout,
            settings.codecs,
        )
        self._admission = Admission(
            self._store,
            (settings.sip_host, settings.ua_port),
            lambda: self._calls.full,
            settings.silent_reject,
            settings.codecs,
        )
        agents = (settings.sip_host, settings.ua_port)
        self._front = Front(
            (settings.sip_host, settings.sip_port), self._admission.decide, dialogs=agents
        )
        self._listener: Listener | None = None
        self._releasing: asyncio.Task[NoReturn] | None = None

    @property
    def healthy(self) -> bool:
        """Whether calls can be taken."""
        return self._endpoint.alive and self._front.alive and self._media.alive

    async def run(self) -> int:
        """Serve until a signal comes or the SIP thread dies; the exit status."""
        settings = self._settings
        _probe(settings.sip_host, settings.ua_port, "OFFHOOK_SIP_UA_PORT")
        try:
            await self._endpoint.start()
            self._media.start()
            reporting = self._calls.spawn(report_lost(self._ledger, self._parts.server))
            # New calls wait a moment for this, so that none takes the place of one that is lost.
            await asyncio.wait({reporting}, timeout=_REPORT_S)
            await self._front.start()
            await self._listen()
        except PortBusy as error:
            raise StartError(f"OFFHOOK_SIP_PORT: {error}") from error
        except BaresipError as error:
            raise StartError(f"the SIP stack did not start: {error}") from error
        tune_gc()
        self._releasing = asyncio.create_task(self._release_at_rest(), name="release-memory")
        log.info("gateway ready", sip_port=settings.sip_port, api_port=settings.api_port)
        stopping = signalled(*STOP)
        await asyncio.wait({stopping, self._endpoint.dead}, return_when=asyncio.FIRST_COMPLETED)
        return 1 if self._endpoint.dead.done() else 0

    async def stop(self) -> None:
        """End all calls, leave all rooms, close all ports."""
        if self._listener is not None:
            await self._listener.stop()
        if self._releasing is not None:
            self._releasing.cancel()
        await self._calls.end_all(_FAREWELL_S)
        await self._front.stop()
        self._media.stop()
        await self._presence.close()
        await self._endpoint.stop()

    async def _release_at_rest(self) -> NoReturn:
        """Give back what calls left, which keeps native memory: they refer to themselves."""
        released = 0
        while True:
            released = await come_to_rest(
                lambda: bool(self._calls.active), lambda: self._calls.taken, since=released
            )
            release_memory()

    async def _listen(self) -> None:
        settings = self._settings
        methods = {
            **Directory(self._store).methods(),
            **CallService(self._parts, self._store, settings.sip_host).methods(),
        }
        app = application(
            methods,
            settings.livekit_api_key,
            settings.livekit_api_secret,
            lambda: self.healthy,
        )
        self._listener = Listener(app)
        try:
            await self._listener.start(settings.api_host, settings.api_port)
        except OSError as error:
            where = f"{settings.api_host}:{settings.api_port}"
            text = f"OFFHOOK_SIP_API_PORT: TCP {where} cannot be bound: {error.strerror}"
            raise StartError(text) from error

    def _incoming(self, phone: Call) -> None:
        admitted = self._admission.pop(phone.call_id)
        if admitted is None or not self._front.admits(phone.headers):
            log.warning("a call that did not come through the front was declined")
            self._calls.spawn(hang_up(phone))
            return
        leg = InboundCall(self._parts, admitted, phone, self._settings.answer_timeout)
        self._calls.start(leg, leg.run())


def _offers(settings: Settings) -> Folder | None:
    """Where agents of this machine are offered the short way; None when it is not to be had."""
    if not settings.short_way:
        return None
    folder = Folder(Path(settings.data))
    try:
        folder.prepare()
    except NoFolder as error:
        log.warning("the short way cannot be offered: sound passes through rooms", why=error)
        return None
    return folder


def _probe(host: str, port: int, setting: str) -> None:
    """baresip does not say which address it could not bind, so try before it does."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, port))
    except OSError as error:
        raise StartError(f"{setting}: UDP {host}:{port} cannot be bound: {error}") from error


async def serve(settings: Settings) -> int:
    """Run the gateway; the exit status."""
    gateway = Gateway(settings)
    try:
        return await gateway.run()
    finally:
        await gateway.stop()


def main() -> int:
    """Read the settings and run."""
    share_memory()
    try:
        settings = load(Settings, os.environ)
        configure("sip-gateway", level=settings.log_level)
        return asyncio.run(serve(settings))
    except (SettingsError, StartError, StoreError) as error:
        print(f"sip gateway: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
