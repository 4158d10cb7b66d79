"""What an assistant's `webhook_url` gets waits a moment for the recording of the call.

The message is a row like any other: due when the wait is over at the latest, and made anew and due
at once as soon as there is nothing more to wait for.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import wake
from control_plane.db.models.webhook import Delivery
from control_plane.domain.recording import RecordingState
from control_plane.orders.schemas import CallView
from control_plane.orders.views import CallViews
from control_plane.sessions.calls import Owner
from control_plane.webhooks.payloads import message_id_of, owner_payload

HOLD = timedelta(seconds=9)
"""From the end of a call: the message leaves within ten seconds of it, whatever else is due."""


def due_at(view: CallView, *, now: datetime) -> datetime:
    """Return when the message with `view` is due: now, unless a recording is on its way."""
    waits = [
        each.ended_at + HOLD
        for each in view.call_attempts
        if each.recording_state is RecordingState.SPOOLING
        and each.answered_at is not None
        and each.ended_at is not None
    ]
    return max([now, *waits])


async def release(views: CallViews, db: AsyncSession, owner: Owner, now: datetime) -> None:
    """Let the message about `owner` go if it waits, now that a recording of it was dealt with.

    The caller holds it, as does who makes the message (`outbox`): so the message sees what
    became of the recording, or is seen here.
    """
    held = await db.scalar(
        select(Delivery)
        .where(
            Delivery.call_id == owner.id,
            Delivery.endpoint_id.is_(None),
            Delivery.message_id == message_id_of(owner.id),
            Delivery.claim == 0,  # neither tried nor replayed
            Delivery.next_at > now,
        )
        .with_for_update()
    )
    if held is None:
        return
    await db.flush()
    [view] = await views.load(db, [owner])
    held.payload, held.next_at = owner_payload(owner, view), due_at(view, now=now)
    wake(db)
