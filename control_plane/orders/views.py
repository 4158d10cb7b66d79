"""Rows of an order as clients see them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants.views import view_of_spec
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow
from control_plane.domain.attempt import RecordingState
from control_plane.domain.call_order import OrderStatus
from control_plane.orders import repository
from control_plane.orders.schemas import AttemptView, CallView, EventView, TranscriptItem


class CallViews:
    """Builds views; `api_url` stands before the paths of recordings."""

    def __init__(self, api_url: str):
        self._api_url = api_url

    async def load(self, session: AsyncSession, orders: Sequence[CallOrder]) -> list[CallView]:
        """Return the orders with their attempts and transcripts, in the order given."""
        ids = [order.id for order in orders]
        attempts = await repository.attempts_of(session, ids)
        transcripts = await repository.transcripts_of(session, ids)
        return [
            self.build(order, attempts=attempts[order.id], transcripts=transcripts)
            for order in orders
        ]

    def build(
        self,
        order: CallOrder,
        *,
        attempts: Sequence[Attempt] = (),
        transcripts: dict[str, list[CallEventRow]] | None = None,
    ) -> CallView:
        """Return one order; `attempts` most recent first."""
        items = transcripts or {}
        tries = [self._attempt(row, items.get(row.id, [])) for row in attempts]
        assistant = view_of_spec(
            order.spec,
            assistant_id=order.assistant_id,
            organization_id=order.organization_id,
            version=order.assistant_version,
            is_default=False,
            created_at=order.created_at,
            updated_at=order.created_at,
        )
        return CallView(
            id=order.id,
            organization_id=order.organization_id,
            status=order.status,
            direction=order.direction,
            to_phone_number=order.to_phone_number,
            from_phone_number=order.from_phone_number,
            assistant=assistant,
            first_sentence_delay_ms=assistant.first_sentence_delay_ms,
            llm_model=assistant.llm_model,
            prompt_variables=order.prompt_variables,
            metadata=order.call_metadata,
            force_now=order.force_now,
            scheduled_at=order.scheduled_at,
            waiting_for=order.waiting_rule,
            next_at=order.not_before or order.due_at if order.waiting_rule else None,
            cancel_requested=order.cancel_requested_at is not None,
            calls_count=order.calls_count,
            call_attempts=tries,
            last_call_attempt=tries[0] if tries else None,
            is_cancelled=order.status is OrderStatus.CANCELLED,
            is_completed=order.status is OrderStatus.COMPLETED,
            created_at=order.created_at,
            updated_at=order.updated_at,
        )

    def _attempt(self, row: Attempt, items: Sequence[CallEventRow]) -> AttemptView:
        stored = row.recording_state is RecordingState.STORED
        return AttemptView(
            id=row.id,
            status=row.status,
            phone_number=row.to_phone_number,
            from_phone_number=row.from_phone_number,
            started_at=row.created_at,
            answered_at=row.answered_at,
            ended_at=row.ended_at,
            dial_error=row.dial_error,
            sip_status=row.sip_status,
            sip_reason=row.sip_reason,
            result=row.result,
            ended_by=row.ended_by,
            end_reason=row.end_reason,
            detail=row.detail,
            counted=row.counted,
            recording_url=f"{self._api_url}/recording/{row.id}" if stored else None,
            recording_state=row.recording_state,
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
