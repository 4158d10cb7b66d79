"""Asks the domain's gate about stored orders: gathers the rows that its rules need."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance import repository as compliance
from control_plane.compliance import suspended
from control_plane.compliance.repository import ListedNumbers
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.campaign import CampaignStatus
from control_plane.domain.gate import (
    Compliance,
    Decision,
    GateView,
    Recipient,
    Rule,
    day_began,
    gate,
)
from control_plane.domain.zones import recipient
from control_plane.trunks.routing import DialPlan, DialPlans

_HELD = {CampaignStatus.PAUSED, CampaignStatus.CANCELLED}


class Question(Struct, frozen=True):
    """All that the gate looks at for one order."""

    order: GateView
    recipient: Recipient
    compliance: Compliance

    def decide(self, now: datetime) -> Decision:
        """Return the gate's answer at `now`."""
        return gate(self.order, now, self.recipient, self.compliance)


class Gatekeeper:
    """Asks about orders within one transaction, and reads what several of them need only once."""

    def __init__(self, db: AsyncSession, now: datetime, dial_plans: DialPlans | None = None):
        self._db = db
        self._now = now
        self._dial_plans = dial_plans or DialPlans()
        self._numbers: dict[str, ListedNumbers] = {}
        self._campaigns: dict[str, bool] = {}
        self._suspended: frozenset[str] = frozenset()
        self._spent: dict[str, datetime] = {}

    async def prepare(self, orders: Sequence[CallOrder]) -> None:
        """Read what is needed for all of `orders`."""
        for owner in {order.organization_id for order in orders}:
            dial_plan = await self.dial_plan(owner)
            self._numbers[owner] = await compliance.load_listed(
                self._db,
                owner,
                [order.to_phone_number for order in orders if order.organization_id == owner],
                consents=dial_plan.organization.consent_required,
            )
        self._suspended = await suspended.suspended_of(self._db, self._numbers)
        keys = {order.api_key_id for order in orders if order.api_key_id is not None}
        self._spent = await compliance.spent_until(self._db, keys, self._now)
        wanted = {order.campaign_id for order in orders if order.campaign_id is not None}
        if wanted:
            # Who pauses or cancels a campaign waits for whom it would otherwise overtake.
            rows = await self._db.execute(
                select(Campaign.id, Campaign.status)
                .where(Campaign.id.in_(wanted))
                .order_by(Campaign.id)
                .with_for_update(read=True)
            )
            self._campaigns = {key: status in _HELD for key, status in rows}

    async def dial_plan(self, organization_id: str) -> DialPlan:
        """Return what the organization calls with."""
        return await self._dial_plans.get(self._db, organization_id, self._now)

    def drop_older_plan(self, order: CallOrder) -> bool:
        """Have the dial_plan read again if it is older than the order; return whether it was.

        What was added a moment before the order, such as its number, is not in an older one.
        """
        return self._dial_plans.drop(order.organization_id, read_before=order.created_at)

    async def question(self, order: CallOrder) -> Question:
        """Return all that the gate looks at for `order`, which `prepare` has seen."""
        recipient = recipient_of(order)
        return Question(view(order), recipient, await self._compliance(order, recipient))

    async def decide(self, order: CallOrder) -> Decision:
        """Return the gate's answer."""
        return (await self.question(order)).decide(self._now)

    async def _compliance(self, order: CallOrder, recipient: Recipient) -> Compliance:
        dial_plan = await self.dial_plan(order.organization_id)
        numbers, number = self._numbers[order.organization_id], order.to_phone_number
        owner, cap = dial_plan.organization, dial_plan.organization.attempts_per_day
        made = 0
        if cap is not None:
            began = day_began(recipient, self._now)
            made = await compliance.attempts_since(self._db, owner.id, number, began)
        live = 0
        if order.concurrency_key is not None:
            live = await compliance.live_calls(self._db, owner.id, order.concurrency_key)
            live -= order.status == "calling"  # at the last gate the order itself is live
        return Compliance(
            do_not_call=number in numbers.do_not_call,
            consent_required=owner.consent_required,
            consent_given=number in numbers.consented,
            allowed_countries=dial_plan.countries,
            allowed_types=dial_plan.number_types,
            attempt_cap=cap,
            attempts_today=made,
            spend_cap_reached_until=self._spent.get(order.api_key_id or ""),
            concurrency_max=order.concurrency_max,
            concurrency_live=live,
            campaign_paused=self._campaigns.get(order.campaign_id or "", False),
            suspended=order.organization_id in self._suspended,
        )


def recipient_of(order: CallOrder) -> Recipient:
    """Return who is called."""
    return recipient(order.to_phone_number, tuple(order.zones))


def config_of(order: CallOrder) -> CallRetryConfig:
    """Return when and how often the order is tried."""
    return msgspec.convert(order.retry_config, CallRetryConfig)


def view(order: CallOrder) -> GateView:
    """Return what the gate needs to know of `order`."""
    return GateView(
        cancel_requested=order.cancel_requested_at is not None,
        scheduled_at=order.scheduled_at,
        not_before=order.not_before,
        not_before_rule=Rule(order.not_before_rule or Rule.BACK_OFF),
        force_now=order.force_now,
        paused=order.paused_at is not None,
        config=config_of(order),
        attempts_made=order.calls_count,
        deadline=order.deadline_at,
    )
