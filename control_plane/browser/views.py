"""Browser sessions as clients see them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.browser.schemas import SessionView
from control_plane.db.models.session import Session
from control_plane.orders.schemas import CallView
from control_plane.orders.views import CallViews
from control_plane.sessions.browsers import status_of


async def load(db: AsyncSession, views: CallViews, rows: Sequence[Session]) -> list[SessionView]:
    """Return the sessions with their transcripts, in the order given."""
    calls = await views.load(db, rows)
    return [view_of(row, call) for row, call in zip(rows, calls, strict=True)]


def view_of(session: Session, call: CallView) -> SessionView:
    """Return a session of which `call` is the view as a call."""
    [talk] = call.call_attempts
    assistant = call.assistant
    limit_s = session.max_duration_secs or assistant.max_call_duration_secs
    recorded = session.is_recorded
    return SessionView(
        id=session.id,
        organization_id=session.organization_id,
        status=status_of(session),
        assistant=assistant,
        prompt_variables=call.prompt_variables,
        metadata=call.metadata,
        max_duration_secs=limit_s,
        recording=assistant.recording_enabled if recorded is None else recorded,
        webhook_url=session.webhook_url.shown if session.webhook_url is not None else None,
        scheduled_at=session.scheduled_at,
        created_at=session.created_at,
        updated_at=session.updated_at,
        token_expires_at=session.token_until,
        started_at=session.answered_at,
        ended_at=session.ended_at,
        ended_by=session.ended_by,
        end_reason=session.end_reason,
        detail=session.detail,
        result=session.result,
        transfer=talk.transfer,
        usage=talk.usage,
        cost=talk.cost,
        recording_url=talk.recording_url,
        recording_mix_url=talk.recording_mix_url,
        recording_state=talk.recording_state,
        recording_intact=talk.recording_intact,
        recording_expires_at=talk.recording_expires_at,
        transcript=talk.transcript,
        not_yet_supported=call.not_yet_supported,
    )
