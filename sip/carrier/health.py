"""The simulator's HTTP face: is it up, and which numbers has it."""

from __future__ import annotations

import msgspec
from aiohttp import web

from sip.carrier.carrier import Carrier
from sip.carrier.scenarios import SCENARIOS
from sip.listener import Listener


class Health:
    """Serves `GET /healthz` and `GET /numbers`."""

    def __init__(self, carrier: Carrier, host: str, port: int) -> None:
        self._carrier = carrier
        self._host = host
        self._port = port
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/numbers", self._numbers)
        self._listener = Listener(app)

    async def start(self) -> int:
        """Listen, within the limits of `sip.listener`; return the port."""
        return await self._listener.start(self._host, self._port)

    async def stop(self) -> None:
        """Stop listening."""
        await self._listener.stop()

    async def _healthz(self, _: web.Request) -> web.Response:
        phones = self._carrier.phones
        body = {
            "status": "ok" if self._carrier.alive else "down",
            "sip": "{}:{}".format(*self._carrier.address),
            "calls": phones.calls if phones is not None else 0,
            "voice": phones is not None,
        }
        return _json(body, 200 if self._carrier.alive else 503)

    async def _numbers(self, _: web.Request) -> web.Response:
        return _json(list(SCENARIOS), 200)


def _json(body: object, status: int) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
