"""A SIP service that died took its calls with it, though its participants linger in their rooms."""

from __future__ import annotations

from process.logs import get_logger
from scheduler.reconciler import Reconciler
from sip.ports import Presence

REFUSALS = 2
"""Looks in a row at which nothing listened; they follow each other faster than a restart."""

log = get_logger(__name__)


class SipWatch:
    """Ends the calls of a SIP service that is gone."""

    def __init__(self, service: Presence, reconciler: Reconciler):
        self._service = service
        self._reconciler = reconciler
        self._refusals = 0

    async def check(self) -> None:
        """Look once; livekit-server alone would notice only after some twenty seconds."""
        if await self._service.listening():
            self._refusals = 0
            return
        self._refusals += 1
        if self._refusals == REFUSALS:
            log.warning("the SIP service is gone, and its calls with it")
            await self._reconciler.end_ongoing()
