"""What a launch would do: every row through the same checks and the same gate, nothing stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.campaigns import repository, requests
from control_plane.campaigns.schemas import Barred, DryRun, Held
from control_plane.compliance.repository import attempts_since, spent_until
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign
from control_plane.db.models.session import Leg
from control_plane.domain.errors import NotCallable, Refused
from control_plane.domain.gate import Compliance, Decision, Go, Never, Wait, day_began, gate
from control_plane.domain.leg import LegKind
from control_plane.orders.gatekeeper import recipient_of, view
from control_plane.orders.placing import NewOrder, OrderBuilder
from control_plane.trunks.routing import DialPlan, load_dial_plan

_CHUNK = 300
_BREATH = 25
_LONGEST_DAY = timedelta(hours=52)
"""From the earliest zone's midnight to now, with a clock change on the way."""


async def dry_run(database: Database, campaign: Campaign, *, api_key_id: str) -> DryRun:
    """Return how many rows would be called now, later and never, by rule.

    Judged one by one: how many run at once is up to `max_concurrent_calls` and the trunks.
    """
    count = _Count()
    line = campaign.fed_line
    async with database.reading() as db:
        now = await read_clock(db)
    while True:
        async with database.reading() as db:
            rows = await repository.rows_after(db, campaign.id, line, limit=_CHUNK)
            if not rows:
                return count.result()
            judge = _Judge(db, campaign, api_key_id, now)
            await judge.prepare([row.phone_number for row in rows])
            asked = [(row.line, requests.order_request(campaign, row, judge.pool)) for row in rows]
            builder = OrderBuilder(db, now)
            await builder.prepare([request for _, request in asked])
            for index, (at, request) in enumerate(asked):
                if index % _BREATH == 0:
                    await asyncio.sleep(0)
                try:
                    count.add(at, await judge.decide(await builder.build(request)))
                except Refused as exc:
                    count.bar(at, exc)
            line = rows[-1].line


class _Judge:
    """What the gate says at the first look, caps included, which are not asked when placing."""

    def __init__(
        self,
        db: AsyncSession,
        campaign: Campaign,
        api_key_id: str,
        now: datetime,
    ):
        self._db = db
        self._campaign = campaign
        self._key = api_key_id
        self._now = now
        self._dial_plan: DialPlan
        self._often: set[str] = set()
        self._spent_until: datetime | None = None
        self.pool: list[str] = []

    async def prepare(self, numbers: Sequence[str]) -> None:
        """Read what is needed for rows to these numbers."""
        self._dial_plan = await load_dial_plan(self._db, self._campaign.organization_id)
        usable = requests.usable_pool(self._campaign, self._dial_plan)
        self.pool = self._campaign.from_phone_numbers if usable is None else usable
        spent = await spent_until(self._db, [self._key], self._now)
        self._spent_until = spent.get(self._key)
        cap = self._dial_plan.organization.attempts_per_day
        if cap is not None:
            self._often = set(
                await self._db.scalars(
                    select(Leg.to_phone_number)
                    .join(Attempt, Attempt.session_id == Leg.session_id)
                    .where(
                        Leg.organization_id == self._campaign.organization_id,
                        Leg.kind == LegKind.CALLEE,
                        Leg.to_phone_number.in_(numbers),
                        Leg.dialing_at >= self._now - _LONGEST_DAY,
                        Attempt.counted,
                    )
                    .group_by(Leg.to_phone_number)
                    .having(func.count() >= cap)
                )
            )

    async def decide(self, new: NewOrder) -> Decision:
        """Return the gate's answer for an order that may be placed."""
        order: CallOrder = new.order
        recipient, owner = recipient_of(order), self._dial_plan.organization
        made = 0
        if order.to_phone_number in self._often:
            began = day_began(recipient, self._now)
            made = await attempts_since(self._db, owner.id, order.to_phone_number, began)
        compliance = Compliance(
            attempt_cap=owner.attempts_per_day,
            attempts_today=made,
            spend_cap_reached_until=self._spent_until,
        )
        return gate(view(order), self._now, recipient, compliance)


class _Count:
    def __init__(self) -> None:
        self._now = 0
        self._later: dict[str, Held] = {}
        self._never: dict[str, Barred] = {}

    def add(self, line: int, decision: Decision) -> None:
        match decision:
            case Go():
                self._now += 1
            case Wait(until, rule):
                known = self._later.get(rule) or Held(rule=rule, count=0, next_at=until)
                instants = [each for each in (known.next_at, until) if each is not None]
                earliest = min(instants, default=None)
                self._later[rule] = Held(rule=rule, count=known.count + 1, next_at=earliest)
            case Never(rule):
                self._bar(line, rule, f"the rule {rule} forbids it")

    def bar(self, line: int, exc: Refused) -> None:
        self._bar(line, exc.rule if isinstance(exc, NotCallable) else exc.code, exc.detail)

    def _bar(self, line: int, rule: str, detail: str) -> None:
        known = self._never.get(rule) or Barred(rule=rule, count=0, line=line, detail=detail)
        self._never[rule] = msgspec.structs.replace(known, count=known.count + 1)

    def result(self) -> DryRun:
        later, never = list(self._later.values()), list(self._never.values())
        rows = self._now + sum(each.count for each in later) + sum(each.count for each in never)
        return DryRun(rows=rows, now=self._now, later=later, never=never)
