"""A campaign's rows as wishes for calls: what a launch places and what a dry run tries."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from control_plane.db.models.campaign import Campaign, CampaignRow
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.campaign import choose_caller
from control_plane.orders.placing import Wish
from control_plane.orders.schemas import Concurrency, PlaceCall
from control_plane.trunks.routing import DialPlan


def concurrency_key(campaign_id: str) -> str:
    """Return the key that a campaign's orders share."""
    return f"campaign:{campaign_id}"


def usable_pool(campaign: Campaign, dial_plan: DialPlan) -> list[str] | None:
    """Return the caller numbers that are the organization's still; None: not one of a pool is."""
    pool = [number for number in campaign.from_phone_numbers if dial_plan.owns(number)]
    return None if campaign.from_phone_numbers and not pool else pool


def wish(campaign: Campaign, row: CampaignRow, pool: Sequence[str]) -> Wish:
    """Return the wish that a row is, showing one of `pool`; an empty one leaves the default."""
    limit = campaign.max_concurrent_calls
    config = campaign.retry_config
    return Wish(
        organization_id=campaign.organization_id,
        api_key_id=campaign.api_key_id,
        campaign_id=campaign.id,
        version_id=campaign.assistant_version_id,
        request=PlaceCall(
            phone_number=row.phone_number,
            assistant_id=campaign.assistant_id,
            call_retry_config=msgspec.convert(config, CallRetryConfig) if config else None,
            concurrency=Concurrency(concurrency_key(campaign.id), limit) if limit else None,
            scheduled_at=campaign.scheduled_at,
            from_phone_number=choose_caller(pool, row.phone_number) if pool else None,
            metadata={**campaign.campaign_metadata, **row.row_metadata},
            prompt_variables={**campaign.prompt_variables, **row.prompt_variables},
        ),
    )
