"""Requests become orders: checked against everything they name, and stored many at once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import inline, specs, versions
from control_plane.assistants import repository as assistants
from control_plane.assistants.inline import Inline
from control_plane.assistants.versions import Version
from control_plane.compliance.repository import ListedNumbers, load_listed
from control_plane.compliance.suspended import check_active
from control_plane.db.base import Base
from control_plane.db.crypto import Vault
from control_plane.db.engine import wake
from control_plane.db.models.assistant import Assistant
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.errors import BadInput, Conflict, NotCallable, Refused
from control_plane.domain.gate import Compliance, GateView, Never, Wait, gate
from control_plane.domain.ids import new_id, parse_id
from control_plane.domain.order_request import OrderRequest
from control_plane.domain.phone import e164
from control_plane.domain.retry import waiting_status
from control_plane.domain.variables import require_values
from control_plane.domain.zones import plausible_zones, recipient, resolve
from control_plane.orders.asked import (
    caller_number,
    instant_of,
    notices_of,
    times_of,
    written_of,
)
from control_plane.orders.remedies import remedy
from control_plane.trunks.routing import DialPlan, load_dial_plan, no_way

_ORDERS = Base.metadata.tables[CallOrder.__tablename__]
_EVENTS = Base.metadata.tables[CallEventRow.__tablename__]

LIFETIME = timedelta(days=7)
"""How long after its first eligible instant an order is tried."""


def sealed_assistant(vault: Vault, request: OrderRequest) -> Inline | None:
    """Return the assistant that the request describes, its secrets sealed; None: it has none.

    What is slow about an order is done here, so that nobody waits for it behind a transaction.

    Raises:
        BadInput: a field cannot be used; names it.
    """
    with contextlib.suppress(BadInput):  # it is refused when the order is built
        plausible_zones(e164(request.phone_number))  # both are remembered
    if request.assistant_id is not None or request.assistant is None:
        return None
    return inline.make(vault, request.organization_id, request.assistant)


class NewOrder(Struct, frozen=True, kw_only=True):
    """An order about to be stored: its columns, its assistant, and what its owner should know."""

    values: dict[str, Any]
    version: Version
    notices: list[str]
    inline: Inline | None

    @property
    def order(self) -> CallOrder:
        """Return the row, outside any session."""
        return CallOrder(**self.values)


class _Speaker(Struct, frozen=True):
    assistant_id: str | None
    number: int
    version_id: str
    version: Version


class OrderBuilder:
    """Builds and stores orders by what one transaction reads."""

    def __init__(self, db: AsyncSession, now: datetime):
        self._db = db
        self._now = now
        self._dial_plans: dict[str, DialPlan] = {}
        self._numbers: dict[str, ListedNumbers] = {}
        self._speakers: dict[tuple[str, tuple[str | None, str | None]], _Speaker] = {}

    @property
    def now(self) -> datetime:
        """When its transaction began."""
        return self._now

    async def prepare(self, requests: Sequence[OrderRequest]) -> None:
        """Read what all of `requests` need, once."""
        for owner in {each.organization_id for each in requests}:
            dial_plan = self._dial_plans[owner] = await load_dial_plan(self._db, owner)
            asked = {
                written_of(each.phone_number) for each in requests if each.organization_id == owner
            }
            self._numbers[owner] = await load_listed(
                self._db, owner, asked, consents=dial_plan.organization.consent_required
            )

    async def takes(self, orders: Sequence[NewOrder], other: OrderBuilder) -> bool:
        """Return whether another built `orders` on what is still so; then they are as of now.

        This one is of the transaction that stores them, and has prepared the same requests.
        """
        same = self._numbers == other._numbers and all(
            plan.is_like(self._dial_plans[owner]) for owner, plan in other._dial_plans.items()
        )
        for owner, chosen in other._speakers if same else ():
            try:
                same &= await self._found(owner, *chosen) == other._speakers[owner, chosen]
            except Refused:
                same = False
        for order in orders if same else ():
            order.values.update(created_at=self._now, updated_at=self._now)
        return same

    async def build(self, request: OrderRequest, own: Inline | None = None) -> NewOrder:
        """Return the order that was asked for, not stored yet.

        Args:
            own: what `sealed_assistant` made of the request.

        Raises:
            BadInput: a field cannot be used; names it.
            NotFound: there is no such assistant.
            Conflict: the organization has nothing to call with, or is suspended.
        """
        dial_plan = self._dial_plans[request.organization_id]
        if request.campaign_id is None:  # a campaign's rows wait until they may be placed
            check_active(dial_plan.organization)
        number = e164(request.phone_number)
        later = instant_of(request.scheduled_at)
        if request.force_now and later is not None:
            raise BadInput(
                "force_now calls at once and scheduled_at later: give one of the two",
                field="scheduled_at",
            )
        speaker = await self._speaker(request, own)
        variables = request.prompt_variables
        if any(name not in variables for name in speaker.version.variables):
            require_values(speaker.version.spec, variables)
        config = times_of(request, speaker.version)
        zones = resolve(
            number,
            explicit=config.timezone,
            default=dial_plan.organization.default_timezone,
            config=config,
            now=max(self._now, later or self._now),
        )
        shown = caller_number(request, speaker.version, dial_plan, to=number)
        route = dial_plan.route(shown, to=number)
        if route is None and shown is None:
            raise Conflict(f"{number} cannot be called: {no_way(number)}", field="phone_number")
        timing = self._timing(number, later, request.force_now, config, zones, dial_plan)
        concurrency = request.concurrency
        values = {
            "id": new_id(),
            "organization_id": request.organization_id,
            "api_key_id": request.api_key_id,
            "campaign_id": request.campaign_id,
            "to_phone_number": number,
            "from_phone_number": shown,
            "trunk_id": route.trunk.id if route is not None else None,
            "assistant_id": speaker.assistant_id,
            "assistant_version": speaker.number,
            "assistant_version_id": speaker.version_id,
            "retry_config": msgspec.to_builtins(config),
            "zones": list(zones),
            "concurrency_key": concurrency.key if concurrency is not None else None,
            "concurrency_max": concurrency.max if concurrency is not None else None,
            "prompt_variables": variables,
            "call_metadata": request.metadata,
            "events_to": msgspec.to_builtins(request.events_to),
            "force_now": request.force_now,
            "scheduled_at": later,
            "calls_count": 0,
            "epoch": 0,
            "event_count": 1,
            "uncounted_in_a_row": 0,
            "created_at": self._now,
            "updated_at": self._now,
            **timing,
        }
        notices = notices_of(later, timing, now=self._now)
        return NewOrder(values=values, version=speaker.version, notices=notices, inline=own)

    async def store(self, orders: Sequence[NewOrder]) -> None:
        """Write orders, their own assistants and histories' first entries; the caller commits."""
        if not orders:
            return
        connection = await self._db.connection()
        own = [each.inline for each in orders if each.inline is not None]
        await inline.store(connection, own, now=self._now)
        await connection.execute(insert(_ORDERS), [each.values for each in orders])
        events = [self._event(each.values) for each in orders]
        await connection.execute(insert(_EVENTS), events)
        wake(self._db)

    def _event(self, values: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": new_id(),
            "call_id": values["id"],
            "session_id": None,
            "sequence": 1,
            "type": "order_placed",
            "at": self._now,
            "stored_at": self._now,
            "data": {
                "status": values["status"],
                "rule": values["waiting_rule"],
                "until": values["due_at"] if values["waiting_rule"] else None,
            },
        }

    async def _speaker(self, request: OrderRequest, own: Inline | None) -> _Speaker:
        owner = request.organization_id
        if own is not None:
            return self._own_speaker(own)
        if request.assistant_id is None and request.assistant is not None:
            raise RuntimeError("sealed_assistant was not called: its assistant is in clear")
        key = None
        if request.assistant_id is not None:
            key = parse_id(request.assistant_id, what="assistant", field="assistant_id")
        return await self._found(owner, key, request.version_id)

    async def _found(
        self, owner: str, assistant_id: str | None, version_id: str | None
    ) -> _Speaker:
        key = owner, (assistant_id, version_id)
        if key not in self._speakers:
            self._speakers[key] = await self._known_speaker(owner, assistant_id, version_id)
        return self._speakers[key]

    def _own_speaker(self, made: Inline) -> _Speaker:
        spec, dial_plan = made.version.spec, self._dial_plans[made.organization_id]
        number = spec.from_phone_number
        if number is not None and not dial_plan.owns(number):
            raise BadInput(
                f"{number} is not a number of this organization: POST /number adds it",
                field=f"{inline.WITHIN}from_phone_number",
            )
        specs.check_transfer(spec, dial_plan, within=inline.WITHIN)
        return _Speaker(made.assistant_id, made.version.number, made.version_id, made.version)

    async def _known_speaker(
        self, owner: str, assistant_id: str | None, version_id: str | None
    ) -> _Speaker:
        if assistant_id is None:
            row = await assistants.get_default(self._db, owner)
        elif version_id is not None:  # a campaign's assistant may be deleted meanwhile
            row = (
                await self._db.execute(select(Assistant).where(Assistant.id == assistant_id))
            ).scalar_one()
        else:
            row = await assistants.get_assistant(
                self._db, owner, assistant_id, field="assistant_id"
            )
        chosen = version_id or row.version_id or ""
        version = await versions.get(self._db, chosen)
        return _Speaker(row.id, version.number, chosen, version)

    def _timing(
        self,
        number: str,
        later: datetime | None,
        force_now: bool,
        config: CallRetryConfig,
        zones: tuple[str, ...],
        dial_plan: DialPlan,
    ) -> dict[str, Any]:
        """Return status, due time and deadline.

        Raises:
            NotCallable: a rule forbids the call for ever.
        """
        listed, owner = self._numbers[dial_plan.organization.id], dial_plan.organization
        view = GateView(scheduled_at=later, force_now=force_now, config=config)
        called = recipient(number, zones)
        compliance = Compliance(
            do_not_call=number in listed.do_not_call,
            consent_required=owner.consent_required,
            consent_given=number in listed.consented,
            allowed_countries=dial_plan.countries,
            allowed_types=dial_plan.number_types,
        )
        decision = gate(view, self._now, called, compliance)
        if isinstance(decision, Never):
            raise NotCallable(
                f"phone_number may not be called by the rule {decision.rule}: "
                f"{remedy(decision.rule, called)}",
                field="phone_number",
                rule=decision.rule,
            )
        # Nothing but the order's own times can hold it back already.
        due_at, rule = (
            (decision.until, decision.rule) if isinstance(decision, Wait) else (self._now, None)
        )
        return {
            "status": waiting_status(rule),
            "due_at": due_at,
            "waiting_rule": rule,
            "deadline_at": (due_at or self._now) + LIFETIME,
        }
