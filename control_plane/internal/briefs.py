"""Briefs: what an agent needs for one conversation, handed out once per dispatch."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import specs, versions
from control_plane.db.crypto import Vault
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.domain.brief import CallBrief
from control_plane.domain.errors import NotFound, StaleEpoch, TokenUsed
from control_plane.orders import leases
from control_plane.providers.needed import access_of, for_agent, providers_of
from control_plane.tokens import Claims, Scope, TokenSigner

_SLACK = timedelta(hours=1)


async def take(
    session: AsyncSession, claims: Claims, *, now: datetime
) -> tuple[CallOrder, Attempt]:
    """Return whose brief a dispatch token opens, once; `build` makes it after the commit.

    Raises:
        TokenUsed: it was opened before.
        StaleEpoch: the attempt was taken over or is closed.
    """
    order, attempt = await leases.hold(session, claims.subject, epoch=claims.epoch)
    if attempt.closed_at is not None:
        raise StaleEpoch("the attempt is closed; there is nothing to talk about")
    if attempt.brief_taken_at is not None:
        raise TokenUsed("this brief was taken before; a token opens it once")
    attempt.brief_taken_at = now
    return order, attempt


async def build(
    session: AsyncSession, vault: Vault, signer: TokenSigner, order: CallOrder, attempt: Attempt
) -> CallBrief:
    """Return the brief of an attempt, secrets in clear: that is slow, so only read here."""
    version = await versions.get(session, order.assistant_version_id)
    stored = await specs.opened(session, vault, version.stored)
    spec = await for_agent(session, order.organization_id, stored)
    lifetime = timedelta(seconds=spec.max_call_duration_secs) + _SLACK
    return CallBrief(
        session_id=attempt.id,
        epoch=attempt.epoch,
        token=signer.issue(Scope.SESSION, attempt.id, epoch=attempt.epoch, ttl=lifetime),
        organization_id=order.organization_id,
        direction=order.direction,
        room_name=attempt.room_name,
        participant_identity=attempt.participant_identity,
        to_phone_number=attempt.to_phone_number,
        from_phone_number=attempt.from_phone_number,
        assistant=spec,
        time_zone=order.zones[0] if order.zones else "UTC",
        prompt_variables=order.prompt_variables,
        heartbeat_secs=leases.HEARTBEAT_SECS,
        providers=await access_of(session, vault, order.organization_id, providers_of(spec)),
    )


async def order_of(session: AsyncSession, attempt: Attempt) -> CallOrder:
    """Return the order of an attempt.

    Raises:
        NotFound: it has gone.
    """
    order = await session.get(CallOrder, attempt.order_id)
    if order is None:
        raise NotFound("there is no such order")
    return order
