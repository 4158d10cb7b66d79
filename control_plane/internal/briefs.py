"""Briefs: what an agent needs for one conversation, handed out once per dispatch."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import specs, versions
from control_plane.compliance import suspended
from control_plane.db.crypto import Vault
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.trunk import Trunk
from control_plane.domain import refer_uri
from control_plane.domain.brief import ANSWER_TIMEOUT_S, CallBrief
from control_plane.domain.browser import ALONE_S
from control_plane.domain.errors import Conflict, StaleEpoch, TokenUsed
from control_plane.keys.tokens import Claims, Scope, TokenSigner
from control_plane.providers.needed import access_of, for_agent, providers_of
from control_plane.sessions import leases
from control_plane.sessions.calls import Call
from control_plane.sessions.settings import spec_of

_SLACK = timedelta(hours=1)


async def open_brief(
    db: AsyncSession, claims: Claims, *, now: datetime
) -> tuple[CallOrder | None, Call]:
    """Return whose brief a dispatch token opens, once; `build` makes it after the commit.

    Raises:
        TokenUsed: it was opened before.
        StaleEpoch: the attempt was taken over or is closed.
        Conflict: the organization is suspended.
    """
    order, call = await leases.lock(db, claims.subject, epoch=claims.epoch)
    if call.session.closed_at is not None:
        raise StaleEpoch("the attempt is closed; there is nothing to talk about")
    if call.session.brief_taken_at is not None:
        raise TokenUsed("this brief was taken before; a token opens it once")
    if await suspended.suspended_of(db, [call.session.organization_id]):
        raise Conflict("the organization is suspended: it begins no conversation")
    call.session.brief_taken_at = now
    return order, call


async def build(
    db: AsyncSession,
    vault: Vault,
    signer: TokenSigner,
    order: CallOrder | None,
    call: Call,
) -> CallBrief:
    """Return the brief of an attempt, secrets in clear: that is slow, so only read here."""
    version = await versions.get(db, call.session.assistant_version_id)
    opened = await specs.opened(db, vault, version.spec)
    spec = await for_agent(db, call.session.organization_id, opened)
    spec = spec_of(call.session, spec)
    trunk = await db.get(Trunk, call.leg.trunk_id) if call.leg.trunk_id is not None else None
    lifetime = timedelta(seconds=spec.max_call_duration_secs) + _SLACK
    return CallBrief(
        session_id=call.id,
        epoch=call.session.epoch,
        token=signer.issue(Scope.SESSION, call.id, epoch=call.session.epoch, ttl=lifetime),
        organization_id=call.session.organization_id,
        direction=call.session.direction,
        room_name=call.session.room_name,
        participant_identity=call.leg.participant_identity,
        to_phone_number=call.leg.to_phone_number,
        from_phone_number=call.leg.from_phone_number,
        assistant=spec,
        time_zone=order.zones[0] if order is not None and order.zones else "UTC",
        prompt_variables=call.session.prompt_variables,
        heartbeat_secs=leases.HEARTBEAT_SECS,
        takes_refer=trunk is None or trunk.takes_refer,
        refer_to=trunk.refer_to if trunk is not None else refer_uri.DEFAULT,
        answer_timeout_secs=ALONE_S if call.in_browser else ANSWER_TIMEOUT_S,
        providers=await access_of(db, vault, call.session.organization_id, providers_of(spec)),
    )
