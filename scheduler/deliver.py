"""Deliveries on the wire: claimed in batches, posted side by side, written down in batches."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks.webhooks import Webhook

from control_plane.db.base import read_clock
from control_plane.db.crypto import KeyLost, Vault
from control_plane.db.engine import Database
from control_plane.domain.delivery import decide
from control_plane.orders.views import CallViews
from control_plane.webhooks import outbox, queue
from control_plane.webhooks.post import post
from control_plane.webhooks.queue import Claimed, Tried
from control_plane.webhooks.recorder import Recorder
from control_plane.webhooks.shares import Shares
from control_plane.webhooks.signing import Keyring
from process.logs import get_logger
from process.safe_http import Outbound

MOST_UNDER_WAY = 400
MOST_PER_RECEIVER = 16
MOST_RELAYED = 200
"""Events that one transaction brings from the outbox."""

Clock = Callable[[AsyncSession], Awaitable[datetime]]
log = get_logger(__name__)


class Deliverer:
    """Sends what is due, so much at a time, and so shared out that nobody waits for others'."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        views: CallViews,
        outbound: Outbound,
        *,
        on_room: Callable[[], None],
        clock: Clock = read_clock,
        chance: Callable[[], float] = random.random,
    ):
        """Prepare.

        Args:
            on_room: called when tries have ended that kept others from being claimed.
            clock: the time that deliveries are due by.
            chance: 0 to 1, for the jitter of the schedule.
        """
        self._database = database
        self._outbound = outbound
        self._on_room = on_room
        self._views = views
        self._clock = clock
        self._chance = chance
        self._vault = vault
        self._keys = Keyring(vault)
        self._recorder = Recorder(database)
        self._shares = Shares(most=MOST_UNDER_WAY, per_receiver=MOST_PER_RECEIVER)
        self._tries: set[asyncio.Task[None]] = set()
        self._was_full = False  # by the last claim, as were those in `_busy`, with so many tries
        self._busy: dict[tuple[str, str | None], int] = {}

    async def deliver_due(self) -> int:
        """Claim what is due and there is room for, begin to send it, and return how much.

        New events count as well: call it until there is nothing. A look in vain takes no lock.
        """
        if self._shares.free <= 0 or not await self._is_anything_due():
            return 0
        async with self._database.transaction() as db:
            now = await self._clock(db)
            relayed = await outbox.relay(db, self._vault, self._views, now=now, limit=MOST_RELAYED)
            claimed = await queue.claim_due(db, now=now, shares=self._shares.copy())
            signers = await self._signers(db, claimed, now)
        for each in claimed:
            signer = signers.get(each.endpoint_id or each.organization_id, ())
            self._begin(each, signer, now)
        self._was_full = self._shares.free <= 0
        full: list[tuple[str, str | None]] = [*self._shares.full_receivers()]
        full += [(owner, None) for owner in self._shares.full_organizations()]
        self._busy |= {each: self._shares.count(*each) for each in full}
        return relayed + len(claimed)

    async def next_due(self) -> tuple[datetime | None, datetime]:
        """Return the next instant at which something will be due, and the time now."""
        async with self._database.reading() as db:
            now = await self._clock(db)
            return await queue.next_due(db, now=now), now

    async def settled(self) -> None:
        """Wait until everything that was begun is written down."""
        while self._tries:
            await asyncio.wait(self._tries)

    async def finish(self, grace_s: float) -> None:
        """Let tries end and be written for `grace_s`; the rest is sent again by whoever comes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.settled()
        for task in self._tries:
            task.cancel()
        await asyncio.gather(*self._tries, return_exceptions=True)
        await self._recorder.stop()

    async def _is_anything_due(self) -> bool:
        async with self._database.reading() as db:
            return await outbox.is_waiting(db) or await queue.is_due(db, now=await self._clock(db))

    async def _signers(
        self, db: AsyncSession, claimed: Sequence[Claimed], now: datetime
    ) -> dict[str, tuple[Webhook, ...]]:
        endpoints = {each.endpoint_id for each in claimed if each.endpoint_id is not None}
        owners = {each.organization_id for each in claimed if each.endpoint_id is None}
        found = await self._keys.of_endpoints(db, endpoints, now=now)
        return found | await self._keys.of_organizations(db, owners, now=now)

    def _begin(self, claimed: Claimed, signers: Sequence[Webhook], now: datetime) -> None:
        self._shares.count_in(claimed.organization_id, claimed.receiver)
        task = asyncio.create_task(self._carry_out(claimed, signers, now))
        self._tries.add(task)
        task.add_done_callback(lambda done: self._ended(done, claimed))

    async def _carry_out(self, claimed: Claimed, signers: Sequence[Webhook], now: datetime) -> None:
        began = asyncio.get_running_loop().time()
        reply = await post(self._outbound, claimed, signers, url=self._address(claimed), at=now)
        took = timedelta(seconds=asyncio.get_running_loop().time() - began)
        verdict = decide(
            reply.status,
            failures=claimed.failures,
            now=now + took,
            jitter=self._chance(),
            retry_after=reply.retry_after,
        )
        await self._recorder.write(
            Tried(
                claimed=claimed,
                at=now,
                duration_ms=took // timedelta(milliseconds=1),
                verdict=verdict,
                status=reply.status,
                error=reply.error,
                body=reply.body,
            )
        )

    def _address(self, claimed: Claimed) -> str | None:
        try:
            return self._vault.open_url(claimed.url)
        except KeyLost:
            log.error("a webhook's URL cannot be read: restore secret.key", delivery_id=claimed.id)
            return None

    def _ended(self, task: asyncio.Task[None], claimed: Claimed) -> None:
        self._tries.discard(task)
        self._shares.give_back(claimed.organization_id, claimed.receiver)
        if not task.cancelled() and task.exception() is not None:
            log.error("a webhook's try broke; it is sent again", error=task.exception())
        self._report_room(claimed.organization_id, claimed.receiver)

    def _report_room(self, owner: str, receiver: str) -> None:
        """Have more claimed once there is room for many: a claim costs the same for one."""
        roomy = False
        if self._was_full and len(self._tries) <= MOST_UNDER_WAY // 2:
            self._was_full, roomy = False, True
        for each in ((owner, receiver), (owner, None)):
            if each in self._busy and self._shares.count(*each) <= self._busy[each] // 2:
                del self._busy[each]
                roomy = True
        if roomy:
            self._on_room()
