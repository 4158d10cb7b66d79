"""What receivers are sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from control_plane.browser.schemas import SessionEnvelope
from control_plane.browser.views import view_of
from control_plane.db.models.history import OutboxRow
from control_plane.db.models.session import Session
from control_plane.domain.brief import Direction
from control_plane.domain.delivery import TEST_EVENT
from control_plane.orders.schemas import CallEnvelope, CallView
from control_plane.sessions.calls import Owner

MOST_BYTES = 20_000
_LONGEST_FACT = 500


def event_body(row: OutboxRow, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return an event as receivers and followers see it, below 20 kB as JSON.

    What does not fit is left out, least telling first, and named in `left_out`.
    """
    facts = {"call_id": row.call_id, **row.data} if row.call_id is not None else row.data
    body = {
        "type": row.type,
        "timestamp": row.created_at,
        "id": row.id,
        "sequence": row.sequence,
        "data": {**facts, "metadata": metadata},
    }
    if _fits(body):
        return body
    left_out = ["metadata"]
    body["data"] = {**facts, "metadata": {}, "left_out": left_out}
    if not _fits(body):
        long = [name for name, value in facts.items() if len(_text(value)) > _LONGEST_FACT]
        kept = {name: value for name, value in facts.items() if name not in long}
        body["data"] = {**kept, "metadata": {}, "left_out": [*left_out, *long]}
    return body


def event_payload(row: OutboxRow, metadata: Mapping[str, str]) -> str:
    """Return the message to an endpoint."""
    return _text(event_body(row, metadata))


def message_id_of(call_id: str) -> str:
    """Return the id of the message to an assistant's `webhook_url`.

    Not the event's id: an endpoint at the same URL gets that, with another body.
    """
    return f"call_{call_id}"


def owner_payload(owner: Owner, call: CallView) -> str:
    """Return the message to an assistant's `webhook_url` of what is over, be it call or session."""
    if isinstance(owner, Session) and owner.direction is Direction.BROWSER:
        return _text(SessionEnvelope(view_of(owner, call)))
    return _text(CallEnvelope(call))


def test_payload(message_id: str, *, at: datetime) -> str:
    """Return the message that `POST /webhook/{id}/test` sends."""
    data = {"message": "It works: this is a test, and nothing happened."}
    return _text({"type": TEST_EVENT, "timestamp": at, "id": message_id, "data": data})


def _fits(body: dict[str, Any]) -> bool:
    return len(msgspec.json.encode(body)) < MOST_BYTES


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
