"""Calls as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.assistants.versions import Version
from control_plane.assistants.views import view_of_spec
from control_plane.db.base import read_clock
from control_plane.db.crypto import Vault
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign
from control_plane.db.models.history import CallEventRow
from control_plane.db.models.recording import Recording
from control_plane.db.models.session import Leg, Session
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import WAITING, OrderStatus
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.prices import Cost
from control_plane.domain.recording import RecordingKind, RecordingState
from control_plane.orders import repository
from control_plane.orders.gatekeeper import config_of
from control_plane.orders.placing import NewOrder
from control_plane.orders.schemas import (
    AnswerView,
    AttemptView,
    CallDirection,
    CallView,
    CampaignName,
    Concurrency,
    EventView,
    TranscriptItem,
    TransferView,
)
from control_plane.recordings.links import RecordingLinks
from control_plane.sessions import humans
from control_plane.sessions.calls import Call, Owner, status_of
from control_plane.sessions.usage import cost_of_calls, usage_of
from control_plane.trunks import pace


class CallViews:
    """Builds views; `links` open the recordings."""

    def __init__(self, links: RecordingLinks):
        self._links = links

    def of_new(self, new: NewOrder) -> CallView:
        """Return an order that is just being stored."""
        return _of_order(new.order, new.version, [], cost_of_calls(()), new.notices)

    def of_begun(self, call: Call, version: Version, recording: Recording | None) -> CallView:
        """Return a session without an order that has just been stored."""
        attempt = self._attempt(call, recording, [])
        cost = cost_of_calls([call.session])
        return _of_session(call.session, call.leg, version, [attempt], cost)

    async def load(
        self, db: AsyncSession, owners: Sequence[Owner], *, vault: Vault | None = None
    ) -> list[CallView]:
        """Return the calls with their attempts and transcripts, in the order given.

        Args:
            vault: as for `view_of_spec`; never for what is kept or sent to others.
        """
        orders = [owner for owner in owners if isinstance(owner, CallOrder)]
        calls = await repository.calls_of(db, owners)
        transcripts = await repository.transcripts_of(db, calls.keys())
        recordings = await repository.recordings_of(
            db, [call.id for some in calls.values() for call in some]
        )
        passed_on = await humans.answered_of(
            db, [c.id for some in calls.values() for c in some if c.session.handed_over_at]
        )
        campaigns = await _campaigns(db, orders)
        lanes = await _closed_lanes(db, orders)
        found = []
        for owner in owners:
            mine = calls[owner.id]
            attempts = [
                self._attempt(
                    call,
                    recordings.get(call.id),
                    transcripts.get(call.id, []),
                    passed_on.get(call.id),
                )
                for call in mine
            ]
            version = await versions.get(db, owner.assistant_version_id)
            cost = cost_of_calls([call.session for call in mine])
            if isinstance(owner, CallOrder):
                found.append(
                    _of_order(
                        owner,
                        version,
                        attempts,
                        cost,
                        campaign=campaigns.get(owner.campaign_id or ""),
                        lane=lanes.get(owner.trunk_id or ""),
                        vault=vault,
                    )
                )
            else:
                found.append(_of_session(owner, mine[0].leg, version, attempts, cost, vault))
        return found

    def _attempt(
        self,
        call: Call,
        recording: Recording | None,
        items: Sequence[CallEventRow],
        human: Leg | None = None,
    ) -> AttemptView:
        state = recording.state if recording is not None else RecordingState.ABSENT
        stored = state is RecordingState.STORED
        session, leg = call.session, call.leg
        usage = usage_of(session)
        return AttemptView(
            id=call.id,
            status=session.status,
            phone_number=leg.to_phone_number,
            from_phone_number=leg.from_phone_number,
            created_at=session.created_at,
            started_at=session.created_at
            if session.direction is Direction.INBOUND
            else leg.dialing_at,
            answered_at=session.answered_at,
            ended_at=session.ended_at,
            dial_error=leg.dial_error,
            sip_status=leg.sip_status,
            sip_reason=leg.sip_reason,
            result=session.result,
            answer=msgspec.convert(session.answer, AnswerView) if session.answer else None,
            ended_by=session.ended_by,
            end_reason=session.end_reason,
            detail=session.detail,
            usage=usage.parts if usage is not None else None,
            cost=usage.cost if usage is not None else None,
            counted=call.is_counted,
            transfer=_transfer(session, human),
            recording_url=self._links.url(call.id, RecordingKind.STEREO) if stored else None,
            recording_mix_url=self._links.url(call.id, RecordingKind.MIX)
            if stored and recording is not None and recording.mix_path is not None
            else None,
            recording_state=state,
            recording_intact=recording.intact if recording is not None else None,
            recording_expires_at=recording.expires_at if recording is not None else None,
            transcript=[
                msgspec.convert({**item.data, "at": item.at.timestamp()}, TranscriptItem)
                for item in items
            ],
        )


def _transfer(session: Session, human: Leg | None) -> TransferView | None:
    if human is None or session.handed_over_at is None:
        return None
    ended, since = session.ended_at, session.handed_over_at
    return TransferView(
        to_phone_number=human.to_phone_number,
        from_phone_number=human.from_phone_number,
        at=since,
        talk_secs=round((ended - since) / timedelta(seconds=1), 3) if ended is not None else None,
    )


def _of_order(
    order: CallOrder,
    version: Version,
    attempts: Sequence[AttemptView],
    cost: Cost | None,
    notices: Sequence[str] = (),
    *,
    campaign: CampaignName | None = None,
    lane: pace.Closed | None = None,
    vault: Vault | None = None,
) -> CallView:
    """Return one order; `attempts` most recent first."""
    waiting_for, next_at = order.waiting_rule, order.due_at if order.waiting_rule else None
    if lane is not None and order.status in WAITING and order.due_at is not None:
        waiting_for, next_at = lane.rule, lane.until
    return CallView(
        **_shared(order, version, attempts, cost, vault),
        direction=CallDirection.OUTBOUND,
        to_phone_number=order.to_phone_number,
        from_phone_number=_caller_number(order, attempts),
        call_retry_config=config_of(order),
        timezones=order.zones,
        concurrency=_concurrency(order),
        force_now=order.force_now,
        scheduled_at=order.scheduled_at,
        waiting_for=waiting_for,
        next_at=next_at,
        paused=order.paused_at is not None,
        calls_count=order.calls_count,
        campaign=campaign,
        notices=list(notices),
    )


def _of_session(
    session: Session,
    leg: Leg,
    version: Version,
    attempts: Sequence[AttemptView],
    cost: Cost | None,
    vault: Vault | None = None,
) -> CallView:
    """Return a call that came in: one attempt, and nothing to wait for."""
    return CallView(
        **_shared(session, version, attempts, cost, vault),
        direction=CallDirection.INBOUND,  # of a browser's session this is not shown
        to_phone_number=leg.to_phone_number,
        from_phone_number=leg.from_phone_number,
        call_retry_config=CallRetryConfig(),
        timezones=[],
        concurrency=None,
        force_now=False,
        scheduled_at=None,
        waiting_for=None,
        next_at=None,
        paused=False,
        calls_count=1,
        campaign=None,
        notices=[],
    )


def _shared(
    owner: Owner,
    version: Version,
    attempts: Sequence[AttemptView],
    cost: Cost | None,
    vault: Vault | None,
) -> dict[str, Any]:
    """Return the fields that are the same for whatever was called or came in."""
    assistant = view_of_spec(
        version.spec,
        assistant_id=owner.assistant_id,
        organization_id=owner.organization_id,
        version=owner.assistant_version,
        is_default=False,
        created_at=owner.created_at,
        updated_at=owner.created_at,
        vault=vault,
    )
    status = status_of(owner)
    return {
        "id": owner.id,
        "organization_id": owner.organization_id,
        "status": status,
        "assistant": assistant,
        "first_sentence_delay_ms": assistant.first_sentence_delay_ms,
        "llm_model": assistant.llm_model,
        "prompt_variables": owner.prompt_variables,
        "metadata": owner.call_metadata,
        "cancel_requested": owner.cancel_requested_at is not None,
        "call_attempts": list(attempts),
        "last_call_attempt": attempts[0] if attempts else None,
        "cost": cost,
        "is_cancelled": status is OrderStatus.CANCELLED,
        "is_completed": status is OrderStatus.COMPLETED,
        "not_yet_supported": assistant.not_yet_supported,
        "created_at": owner.created_at,
        "updated_at": owner.updated_at,
    }


def event_view(row: CallEventRow) -> EventView:
    """Return an entry of the history."""
    return EventView(
        sequence=row.sequence, type=row.type, at=row.at, attempt_id=row.session_id, data=row.data
    )


async def _campaigns(db: AsyncSession, orders: Sequence[CallOrder]) -> dict[str, CampaignName]:
    wanted = {order.campaign_id for order in orders if order.campaign_id is not None}
    if not wanted:
        return {}
    rows = await db.execute(select(Campaign.id, Campaign.name).where(Campaign.id.in_(wanted)))
    return {key: CampaignName(key, name) for key, name in rows}


async def _closed_lanes(db: AsyncSession, orders: Sequence[CallOrder]) -> dict[str, pace.Closed]:
    """Return what keeps the trunks of due orders from being called."""
    now = None
    lanes: set[str] = set()
    for order in orders:
        if order.trunk_id is None or order.due_at is None or order.status not in WAITING:
            continue
        now = now or await read_clock(db)
        if order.due_at <= now:
            lanes.add(order.trunk_id)
    return await pace.closed(db, lanes, now) if lanes and now is not None else {}


def _caller_number(order: CallOrder, attempts: Sequence[AttemptView]) -> str | None:
    """Return the number that the last attempt showed; before the first, the one asked for."""
    used = next((each.from_phone_number for each in attempts if each.from_phone_number), None)
    return used or order.from_phone_number


def _concurrency(order: CallOrder) -> Concurrency | None:
    if order.concurrency_key is None or order.concurrency_max is None:
        return None
    return Concurrency(order.concurrency_key, order.concurrency_max)
