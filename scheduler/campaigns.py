"""Campaigns at work: rows become orders, changes reach them, failures stop them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.campaigns import feeding, repository, service
from control_plane.compliance import suspended
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.campaign import Campaign
from control_plane.domain.campaign import CampaignStatus, fails_too_often, is_failure
from process.logs import get_logger

log = get_logger(__name__)


class Feeder:
    """Carries campaigns on; any number may run side by side, and each may die at any time."""

    def __init__(self, database: Database):
        self._database = database
        # Up to which of a campaign's changes its waiting orders have been looked through.
        self._settled: dict[str, datetime] = {}

    async def check(self) -> None:
        """Do all there is to do now, a piece of each campaign in turn."""
        while await self._round():
            pass

    async def _round(self) -> bool:
        async with self._database.reading() as db:
            campaigns = await repository.at_work(db)
        known = {campaign.id for campaign in campaigns}
        self._settled = {key: at for key, at in self._settled.items() if key in known}
        moved = [await self._carry_on(campaign) for campaign in campaigns]
        return any(moved)

    async def _carry_on(self, campaign: Campaign) -> bool:
        """Do a piece of work for a campaign; False: there was none."""
        if campaign.status is CampaignStatus.CANCELLED:
            return await self._cancel(campaign)
        if campaign.status is CampaignStatus.RUNNING and await self._stop_if_failing(campaign):
            return True
        moved = await self._settle(campaign)
        if campaign.status is CampaignStatus.RUNNING:
            moved |= await self._feed(campaign)
            if not moved:
                return await self._end(campaign)
        return moved

    async def _feed(self, campaign: Campaign) -> bool:
        async with self._database.reading() as db:
            if not await repository.has_rows_to_place(db, campaign):
                return False
            if await suspended.suspended_of(db, [campaign.organization_id]):
                return False
        async with self._database.transaction() as db:
            row = await _lock(db, campaign.id, CampaignStatus.RUNNING)
            if row is None:
                return False
            now = await read_clock(db)
            return await feeding.feed(db, row, now=now)

    async def _stop_if_failing(self, campaign: Campaign) -> bool:
        if campaign.max_failure_rate is None:
            return False
        async with self._database.reading() as db:
            found = await _failures(db, campaign)
        if found is None:
            return False
        async with self._database.transaction() as db:
            row = await _lock(db, campaign.id, CampaignStatus.RUNNING)
            reason = await _failures(db, row) if row is not None else None
            if row is None or reason is None:
                return False
            service.pause(db, row, reason, now=await read_clock(db))
        log.warning("a campaign was paused", campaign_id=campaign.id, reason=reason)
        return True

    async def _settle(self, campaign: Campaign) -> bool:
        """Bring orders in line with the campaign; only after a change, since it reads them all."""
        if self._settled.get(campaign.id) == campaign.updated_at:
            return False
        async with self._database.transaction() as db:
            now = await read_clock(db)
            moved = await feeding.limit_some(db, campaign)
            if campaign.status is CampaignStatus.RUNNING:
                moved += await feeding.release_some(db, campaign.id, now=now)
        if moved:
            return True
        async with self._database.transaction() as db:
            woken = await feeding.fill(db, campaign, now=await read_clock(db))
        if woken == 0 or campaign.max_concurrent_calls is not None:
            self._settled[campaign.id] = campaign.updated_at
        return woken > 0

    async def _cancel(self, campaign: Campaign) -> bool:
        async with self._database.reading() as db:
            if not await repository.has_open_orders(db, campaign.id):
                return await self._end(campaign)
        async with self._database.transaction() as db:
            now = await read_clock(db)
            return await feeding.cancel_some(db, campaign.id, now=now) > 0

    async def _end(self, campaign: Campaign) -> bool:
        async with self._database.reading() as db:
            if await _goes_on(db, campaign):
                return False
        async with self._database.transaction() as db:
            row = await _lock(db, campaign.id, campaign.status)
            if row is None or await _goes_on(db, row):
                return False
            now = await read_clock(db)
            if row.status is CampaignStatus.CANCELLED:
                row.ended_at = now
            else:
                service.complete(db, row, now=now)
        return True


async def _lock(db: AsyncSession, campaign_id: str, status: CampaignStatus) -> Campaign | None:
    """Return the campaign, locked, if it has still that status and nobody else is at it."""
    return await db.scalar(
        select(Campaign)
        .where(Campaign.id == campaign_id, Campaign.status == status)
        .where(Campaign.ended_at.is_(None))
        .with_for_update(skip_locked=True)
    )


async def _goes_on(db: AsyncSession, campaign: Campaign) -> bool:
    running = campaign.status is CampaignStatus.RUNNING
    if running and await repository.has_rows_to_place(db, campaign):
        return True
    return await repository.has_open_orders(db, campaign.id)


async def _failures(db: AsyncSession, campaign: Campaign) -> str | None:
    """Return why the campaign must pause itself, None when it need not."""
    since = campaign.sampled_from or campaign.created_at
    ended = await repository.newest_ended(
        db, campaign.id, since=since, limit=campaign.failure_sample
    )
    letters = "".join("x" if is_failure(*each) else "." for each in reversed(ended))
    limit, sample = campaign.max_failure_rate, campaign.failure_sample
    if limit is None or not fails_too_often(letters, limit=limit, sample=sample):
        return None
    return (
        f"{letters.count('x')} of the last {sample} orders failed, which is more than "
        f"max_failure_rate {limit:g}: see the report, then resume"
    )
