"""The only way SIP is reached: LiveKit's SIP API, wherever it is served."""

from __future__ import annotations

from types import TracebackType

from livekit import api

from sip.outbound import LiveKitDialer
from sip.settings import LiveKitSettings
from sip.trunks import LiveKitTrunks


class SipApi:
    """Dialling and trunks over one connection; an async context manager."""

    def __init__(self, settings: LiveKitSettings):
        # One attempt per request: a repeated dial would ring a phone twice.
        self._client = api.LiveKitAPI(
            settings.sip_http_url, settings.api_key, settings.api_secret, failover=False
        )
        self.dialer = LiveKitDialer(self._client.sip)
        self.trunks = LiveKitTrunks(self._client.sip)

    async def __aenter__(self) -> SipApi:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()
