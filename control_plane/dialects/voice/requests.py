"""What the Voice API's clients ask for, in the domain's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from control_plane.assistants import versions
from control_plane.assistants.repository import get_assistant
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.dialects.placing import ONCE, Speaker, variables_of
from control_plane.dialects.variables import values_of
from control_plane.dialects.voice.schemas import (
    CANCELLED,
    EVENTS,
    MAX_DURATION_SECS,
    Dial,
    Start,
    Status,
)
from control_plane.domain.credentials import check_webhook_url
from control_plane.domain.errors import BadInput, NotFound, Refused
from control_plane.domain.ids import parse_id
from control_plane.domain.order_request import EventReceiver, OrderRequest
from control_plane.http.auth import Principal

_FILTERS = (Status.COMPLETED, Status.FAILED, Status.IN_PROGRESS)
_FIELDS = {
    "phone_number": "to_number",
    "from_phone_number": "from_number",
    "max_call_duration_secs": "max_duration",
}
"""Our names of what an order may be refused for, and the document's."""


async def speaker_of(database: Database, principal: Principal, given: Dial | Start) -> Speaker:
    """Return the agent as this call has it."""
    key = parse_id(given.agent_id, what="agent", field="agent_id")
    changes: dict[str, Any] = {"max_call_duration_secs": given.max_duration or MAX_DURATION_SECS}
    if given.recording is not None:
        changes["recording_enabled"] = given.recording
    async with database.reading() as db:
        try:
            row = await get_assistant(db, principal.organization_id, key)
        except NotFound as exc:
            told = f"there is no agent with the id {given.agent_id!r}"
            raise NotFound(told, field="agent_id") from exc
        version = await versions.get(db, row.version_id or "")
    return Speaker.of(row, version, changes)


def order_request(
    given: Dial, speaker: Speaker, principal: Principal, vault: Vault
) -> OrderRequest:
    """Return what the domain is asked for; sealing `webhook_url` is not for a transaction."""
    told = None
    if given.webhook_url is not None:
        check_webhook_url(given.webhook_url, field="webhook_url")
        told = EventReceiver(vault.seal_url(given.webhook_url), (*EVENTS, CANCELLED))
    return OrderRequest(
        organization_id=principal.organization_id,
        api_key_id=principal.key_id,
        phone_number=given.to_number,
        from_phone_number=given.from_number,
        assistant_id=speaker.assistant.id,
        call_retry_config=ONCE,
        scheduled_at=_zoned(given.scheduled_at),
        events_to=told,
        prompt_variables=values_of(given.context, variables_of(speaker.spec)),
    )


def renamed(exc: BadInput) -> Refused:
    """Return what an order was refused for, its field by the document's name."""
    detail, field = exc.detail, exc.field or ""
    for ours, theirs in (*_FIELDS.items(), ("prompt_variables", "context")):
        if field == ours or field.startswith(f"{ours}."):
            field, detail = field.replace(ours, theirs, 1), detail.replace(ours, theirs)
            break
    told = BadInput(detail, field=field or None)
    told.code = exc.code
    return told


def filter_of(word: str) -> Status:
    """Return the status that a list is filtered by."""
    if word not in _FILTERS:
        raise BadInput(f"status is one of {', '.join(_FILTERS)}", field="status")
    return Status(word)


def instant_of(text: str | None, field: str) -> datetime | None:
    """Return the instant of an ISO 8601 date or time; without a zone it is UTC."""
    if text is None:
        return None
    try:
        # A + that was not escaped arrives as a space.
        read = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return (_zoned(read) or read).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise BadInput(
            f"{field} is a date or a time such as 2026-01-31 or 2026-01-31T12:00:00Z", field=field
        ) from exc


def _zoned(given: datetime | None) -> datetime | None:
    """Return a time that has a zone: UTC where it had none."""
    return given.replace(tzinfo=UTC) if given is not None and given.tzinfo is None else given
