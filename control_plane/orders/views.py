"""Rows of an order as clients see them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.assistants.versions import Version
from control_plane.assistants.views import view_of_spec
from control_plane.db.base import read_clock
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign
from control_plane.db.models.history import CallEventRow
from control_plane.db.models.recording import Recording
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import WAITING, OrderStatus
from control_plane.domain.prices import Cost
from control_plane.domain.recording import RecordingKind, RecordingState
from control_plane.orders import repository
from control_plane.orders.gatekeeper import config_of
from control_plane.orders.placing import Placed
from control_plane.orders.schemas import (
    AttemptView,
    CallView,
    CampaignName,
    Concurrency,
    EventView,
    TranscriptItem,
)
from control_plane.orders.used import cost_of_order, usage_of
from control_plane.recordings.links import RecordingLinks
from control_plane.trunks import pace


class CallViews:
    """Builds views; `links` open the recordings."""

    def __init__(self, links: RecordingLinks):
        self._links = links

    def of_new(self, placed: Placed) -> CallView:
        """Return an order that is just being stored."""
        return self._build(
            placed.order, placed.version, notices=placed.notices, cost=cost_of_order(())
        )

    async def load(self, session: AsyncSession, orders: Sequence[CallOrder]) -> list[CallView]:
        """Return the orders with their attempts and transcripts, in the order given."""
        ids = [order.id for order in orders]
        attempts = await repository.attempts_of(session, ids)
        transcripts = await repository.transcripts_of(session, ids)
        recordings = await repository.recordings_of(
            session, [row.id for rows in attempts.values() for row in rows]
        )
        campaigns = await _campaigns(session, orders)
        lanes = await _closed_lanes(session, orders)
        return [
            self._build(
                order,
                await versions.get(session, order.assistant_version_id),
                attempts=[
                    self._attempt(order, row, recordings.get(row.id), transcripts.get(row.id, []))
                    for row in attempts[order.id]
                ],
                campaign=campaigns.get(order.campaign_id or ""),
                lane=lanes.get(order.trunk_id or ""),
                cost=cost_of_order(attempts[order.id]),
            )
            for order in orders
        ]

    def _build(
        self,
        order: CallOrder,
        version: Version,
        *,
        cost: Cost | None,
        attempts: Sequence[AttemptView] = (),
        campaign: CampaignName | None = None,
        lane: pace.Closed | None = None,
        notices: Sequence[str] = (),
    ) -> CallView:
        """Return one order; `attempts` most recent first."""
        assistant = view_of_spec(
            version.stored,
            assistant_id=order.assistant_id,
            organization_id=order.organization_id,
            version=order.assistant_version,
            is_default=False,
            created_at=order.created_at,
            updated_at=order.created_at,
        )
        waiting_for, next_at = order.waiting_rule, order.due_at if order.waiting_rule else None
        if lane is not None and order.status in WAITING and order.due_at is not None:
            waiting_for, next_at = lane.rule, lane.until
        return CallView(
            id=order.id,
            organization_id=order.organization_id,
            status=order.status,
            direction=order.direction,
            to_phone_number=order.to_phone_number,
            from_phone_number=_caller_number(order, attempts),
            assistant=assistant,
            first_sentence_delay_ms=assistant.first_sentence_delay_ms,
            llm_model=assistant.llm_model,
            call_retry_config=config_of(order),
            timezones=order.zones,
            concurrency=_concurrency(order),
            prompt_variables=order.prompt_variables,
            metadata=order.call_metadata,
            force_now=order.force_now,
            scheduled_at=order.scheduled_at,
            waiting_for=waiting_for,
            next_at=next_at,
            paused=order.paused_at is not None,
            cancel_requested=order.cancel_requested_at is not None,
            calls_count=order.calls_count,
            call_attempts=list(attempts),
            last_call_attempt=attempts[0] if attempts else None,
            campaign=campaign,
            cost=cost,
            is_cancelled=order.status is OrderStatus.CANCELLED,
            is_completed=order.status is OrderStatus.COMPLETED,
            not_yet_acted_on=assistant.not_yet_acted_on,
            notices=list(notices),
            created_at=order.created_at,
            updated_at=order.updated_at,
        )

    def _attempt(
        self,
        order: CallOrder,
        row: Attempt,
        recording: Recording | None,
        items: Sequence[CallEventRow],
    ) -> AttemptView:
        state = recording.state if recording is not None else RecordingState.ABSENT
        stored = state is RecordingState.STORED
        usage = usage_of(row)
        return AttemptView(
            id=row.id,
            status=row.status,
            phone_number=row.to_phone_number,
            from_phone_number=row.from_phone_number,
            created_at=row.created_at,
            started_at=row.created_at if order.direction is Direction.INBOUND else row.dialing_at,
            answered_at=row.answered_at,
            ended_at=row.ended_at,
            dial_error=row.dial_error,
            sip_status=row.sip_status,
            sip_reason=row.sip_reason,
            result=row.result,
            ended_by=row.ended_by,
            end_reason=row.end_reason,
            detail=row.detail,
            usage=usage.parts if usage is not None else None,
            cost=usage.cost if usage is not None else None,
            counted=row.counted,
            recording_url=self._links.url(row.id, RecordingKind.STEREO) if stored else None,
            recording_mix_url=self._links.url(row.id, RecordingKind.MIX)
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


def event_view(row: CallEventRow) -> EventView:
    """Return an entry of the history."""
    return EventView(
        sequence=row.sequence, type=row.type, at=row.at, attempt_id=row.attempt_id, data=row.data
    )


async def _campaigns(session: AsyncSession, orders: Sequence[CallOrder]) -> dict[str, CampaignName]:
    wanted = {order.campaign_id for order in orders if order.campaign_id is not None}
    if not wanted:
        return {}
    rows = await session.execute(select(Campaign.id, Campaign.name).where(Campaign.id.in_(wanted)))
    return {key: CampaignName(key, name) for key, name in rows}


async def _closed_lanes(
    session: AsyncSession, orders: Sequence[CallOrder]
) -> dict[str, pace.Closed]:
    """Return what keeps the trunks of due orders from being called."""
    now = None
    lanes: set[str] = set()
    for order in orders:
        if order.trunk_id is None or order.due_at is None or order.status not in WAITING:
            continue
        now = now or await read_clock(session)
        if order.due_at <= now:
            lanes.add(order.trunk_id)
    return await pace.closed(session, lanes, now) if lanes and now is not None else {}


def _caller_number(order: CallOrder, attempts: Sequence[AttemptView]) -> str | None:
    """Return the number that the last attempt showed; before the first, the one asked for."""
    used = next((each.from_phone_number for each in attempts if each.from_phone_number), None)
    return used or order.from_phone_number


def _concurrency(order: CallOrder) -> Concurrency | None:
    if order.concurrency_key is None or order.concurrency_max is None:
        return None
    return Concurrency(order.concurrency_key, order.concurrency_max)
