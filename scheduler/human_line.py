"""Which trunk calls a human now, or how long they must wait, or why they are not called at all."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.compliance import repository as compliance
from control_plane.compliance import suspended
from control_plane.db.models.session import Leg
from control_plane.db.models.trunk import Trunk
from control_plane.domain.assistant import AssistantSpec, TransferCallerId
from control_plane.domain.brief import Direction
from control_plane.domain.gate import Compliance, GateView, Go, Rule, gate
from control_plane.domain.human_leg import LINE_WITHIN, HumanResult
from control_plane.domain.zones import recipient
from control_plane.sessions.calls import Call
from control_plane.trunks import pace
from control_plane.trunks.repository import calls_on
from control_plane.trunks.routing import Route, country_prefix, load_dial_plan

_LOOK_AGAIN = timedelta(seconds=0.25)
"""How soon a line that was not free is looked for again."""
_NOW = timedelta()
_E164 = re.compile(r"\+[1-9]\d{6,14}")


class Later(Struct, frozen=True):
    """The INVITE must wait for so long."""

    wait: timedelta


class Never(Struct, frozen=True):
    """There is no INVITE; the leg is closed."""

    result: HumanResult
    rule: str


async def find(db: AsyncSession, call: Call, leg: Leg, now: datetime) -> Trunk | Later | Never:
    """Return the trunk that the INVITE leaves by now, or how long it must wait, or why never."""
    owner = leg.organization_id
    plan = await load_dial_plan(db, owner)
    numbers = await compliance.load_listed(db, owner, [leg.to_phone_number], consents=False)
    decision = gate(
        GateView(),
        now,
        recipient(leg.to_phone_number, ()),
        Compliance(
            do_not_call=leg.to_phone_number in numbers.do_not_call,
            allowed_countries=plan.countries,
            allowed_types=plan.number_types,
            suspended=bool(await suspended.suspended_of(db, [owner])),
        ),
    )
    if not isinstance(decision, Go):
        return Never(HumanResult.FORBIDDEN, decision.rule)
    spec = (await versions.get(db, call.session.assistant_version_id)).spec
    way = plan.route(_ours(call, spec), to=leg.to_phone_number)
    way = way or plan.route(None, to=leg.to_phone_number)
    if way is None:
        return Never(HumanResult.NO_LINE, "no_trunk")
    shown = way.from_phone_number
    if spec.transfer_caller_id is TransferCallerId.PERSON:
        shown = _theirs(call) or shown
    return await _on(db, way, leg, now, shown=shown)


async def _on(
    db: AsyncSession, way: Route, leg: Leg, now: datetime, *, shown: str
) -> Trunk | Later | Never:
    locked = await pace.lock_with_trunk(db, way.trunk.id)
    if locked is None:
        return Later(_LOOK_AGAIN)
    state, trunk = locked
    if state.stopped_at is not None:
        return Never(HumanResult.NO_LINE, Rule.TRUNK_STOPPED)
    stopped = await pace.stopped_destinations(db, trunk.id)
    if country_prefix(leg.to_phone_number) in stopped:
        return Never(HumanResult.FORBIDDEN, Rule.DESTINATION_STOPPED)
    if leg.trunk_id is None:
        live, _, _ = await calls_on(db, trunk.id)
        is_blocked = state.blocked_until is not None and state.blocked_until > now
        if is_blocked or live >= trunk.max_concurrent_calls or trunk.sip_trunk_id is None:
            if now - leg.created_at > LINE_WITHIN:
                rule = state.blocked_rule if is_blocked else Rule.TRUNK_PACE
                return Never(HumanResult.NO_LINE, rule or Rule.TRUNK_BREAKER)
            return Later(_LOOK_AGAIN)
        leg.trunk_id, leg.from_phone_number = trunk.id, shown
    early = await pace.time_to_invite(db, leg, now)
    return Later(early) if early > _NOW else trunk


def _ours(call: Call, spec: AssistantSpec) -> str | None:
    """Return the number of ours that the person's side goes by; a browser's is the assistant's."""
    if call.in_browser:
        return spec.from_phone_number
    if call.session.direction is Direction.INBOUND:
        return call.leg.to_phone_number
    return call.leg.from_phone_number or None


def _theirs(call: Call) -> str | None:
    """Return the person's number, if they have and show one."""
    inbound = call.session.direction is Direction.INBOUND
    number = call.leg.from_phone_number if inbound else call.leg.to_phone_number
    return number if _E164.fullmatch(number) else None
