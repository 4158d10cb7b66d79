"""The only way SIP is reached: LiveKit's SIP API, wherever it is served."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from livekit import api

from sip.outbound import LiveKitDialer
from sip.settings import LiveKitSettings
from sip.transfers import LiveKitTransferrer
from sip.trunks import LiveKitTrunks


class SipApi:
    """Dialling, transfers and trunks over one connection; an async context manager."""

    def __init__(self, settings: LiveKitSettings):
        # One attempt per request: a repeated dial would ring a phone twice.
        self._client = api.LiveKitAPI(
            settings.sip_http_url, settings.api_key, settings.api_secret, failover=False
        )
        self.dialer = LiveKitDialer(self._client.sip)
        self.trunks = LiveKitTrunks(self._client.sip)
        self.transferrer = LiveKitTransferrer(self._client.sip)
        self._address = urlsplit(settings.sip_http_url)
        self.separate = settings.sip_http_url != settings.http_url
        """The service is a process of its own, not livekit-server: its absence ends calls."""

    async def listening(self) -> bool:
        """Return False only when nothing listens at its address: a busy service is there."""
        port = self._address.port or (443 if self._address.scheme == "https" else 80)
        try:
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_connection(self._address.hostname, port)
        except ConnectionRefusedError:
            return False
        except (OSError, TimeoutError):
            return True
        writer.close()
        return True

    async def __aenter__(self) -> SipApi:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
