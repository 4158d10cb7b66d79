"""Whether a call could be placed now: every part, what is missing and its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import aiohttp
import httpx
from livekit import api
from msgspec import Struct
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from control_plane.db.base import database_now
from control_plane.db.engine import Database
from control_plane.db.models.history import Heartbeat
from control_plane.domain.waiting import PARTS, Cause
from sip.ports import SipTrouble, Trunks

LIMIT_SECS = 3.0
SCHEDULER = "scheduler"
_STALE = timedelta(seconds=10)

Check = Callable[[], Awaitable[None]]


class Missing(Exception):
    """A part is not there; the text says what is seen."""


class PartHealth(Struct, frozen=True, kw_only=True):
    """One part; `remedy` says what to do about one that is not ok.

    `waiting_for` is the word that orders show in theirs while the part is missing.
    """

    name: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    waiting_for: Cause | None = None


class Readiness(Struct, frozen=True):
    """Every part that a call needs."""

    ready: bool
    parts: list[PartHealth]


class Probes:
    """Looks at each part that a call needs."""

    def __init__(
        self, database: Database, livekit: api.LiveKitAPI, trunks: Trunks, worker_url: str
    ):
        self._database = database
        self._livekit = livekit
        self._trunks = trunks
        self._worker_url = worker_url

    async def check(self) -> Readiness:
        """Return the state of every part; each has `LIMIT_SECS` to answer."""
        parts = await asyncio.gather(
            _probe("database", self._see_database, "look at the database's disk and its log"),
            _probe(
                "livekit",
                self._see_livekit,
                "start livekit-server, or check LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET",
            ),
            _probe(
                "sip",
                self._see_sip,
                "start the SIP service (python -m sip.gateway), or check LIVEKIT_SIP_URL",
            ),
            _probe(
                "worker",
                self._see_worker,
                "start the agent worker (python -m agent start), or check "
                "OFFHOOK_WORKER_HEALTH_URL",
            ),
            _probe("scheduler", self._see_scheduler, "start the scheduler (python -m scheduler)"),
        )
        return Readiness(all(part.ok for part in parts), list(parts))

    async def _see_database(self) -> None:
        async with self._database.reading() as db:
            await db.execute(text("SELECT 1"))

    async def _see_livekit(self) -> None:
        await self._livekit.room.list_rooms(api.ListRoomsRequest(names=["offhook-health"]))

    async def _see_sip(self) -> None:
        await self._trunks.known()

    async def _see_worker(self) -> None:
        async with httpx.AsyncClient(timeout=LIMIT_SECS, trust_env=False) as client:
            answer = await client.get(self._worker_url)
        if answer.status_code != 200:
            raise Missing(f"{self._worker_url} answers {answer.status_code}")

    async def _see_scheduler(self) -> None:
        async with self._database.reading() as db:
            now, last = (
                await db.execute(
                    select(database_now(), func.max(Heartbeat.at)).where(
                        Heartbeat.kind == SCHEDULER
                    )
                )
            ).one()
        if last is None or now - last > _STALE:
            raise Missing("no scheduler has given a sign of life for ten seconds")


async def _probe(name: str, check: Check, remedy: str) -> PartHealth:
    try:
        async with asyncio.timeout(LIMIT_SECS):
            await check()
    except (
        Missing,
        SipTrouble,
        TimeoutError,
        OSError,
        SQLAlchemyError,
        httpx.HTTPError,
        aiohttp.ClientError,
        api.ServerError,
    ) as exc:
        detail = str(exc) or f"no answer within {LIMIT_SECS:g} s"
        return PartHealth(
            name=name, ok=False, detail=detail, remedy=remedy, waiting_for=PARTS.get(name)
        )
    return PartHealth(name=name, ok=True)
