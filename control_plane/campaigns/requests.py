"""A campaign's rows as requests for calls: what a launch places and what a dry run tries."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from control_plane.db.models.campaign import Campaign, CampaignRow
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.campaign import choose_caller, concurrency_key
from control_plane.domain.order_request import ConcurrencyLimit, OrderRequest
from control_plane.trunks.routing import DialPlan


def usable_pool(campaign: Campaign, dial_plan: DialPlan) -> list[str] | None:
    """Return the caller numbers that are the organization's still; None: not one of a pool is."""
    pool = [number for number in campaign.from_phone_numbers if dial_plan.owns(number)]
    return None if campaign.from_phone_numbers and not pool else pool


def order_request(campaign: Campaign, row: CampaignRow, pool: Sequence[str]) -> OrderRequest:
    """Return what a row asks for, showing one of `pool`; an empty one leaves the default."""
    limit = campaign.max_concurrent_calls
    config = campaign.retry_config
    return OrderRequest(
        organization_id=campaign.organization_id,
        api_key_id=campaign.api_key_id,
        phone_number=row.phone_number,
        from_phone_number=choose_caller(pool, row.phone_number) if pool else None,
        assistant_id=campaign.assistant_id,
        version_id=campaign.assistant_version_id,
        call_retry_config=msgspec.convert(config, CallRetryConfig) if config else None,
        concurrency=ConcurrencyLimit(concurrency_key(campaign.id), limit) if limit else None,
        scheduled_at=campaign.scheduled_at,
        campaign_id=campaign.id,
        metadata={**campaign.campaign_metadata, **row.row_metadata},
        prompt_variables={**campaign.prompt_variables, **row.prompt_variables},
    )
