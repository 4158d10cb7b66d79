"""Campaigns through their states: made, changed, launched, paused, resumed, cancelled, ended."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import UNSET
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants.repository import get_assistant
from control_plane.campaigns import repository
from control_plane.campaigns.schemas import CampaignCreate, CampaignPatch
from control_plane.db.engine import Database, wake
from control_plane.db.models.campaign import Campaign, CampaignRow
from control_plane.db.models.history import OutboxRow
from control_plane.domain.calling_times import CallRetryConfig, check
from control_plane.domain.campaign import CampaignStatus, move
from control_plane.domain.errors import BadInput, Conflict
from control_plane.domain.ids import new_id, parse_id
from control_plane.domain.phone import e164
from control_plane.http.auth import Principal
from control_plane.orders.asked import instant_of
from control_plane.trunks.routing import load_dial_plan

_PLAIN = ("name", "max_concurrent_calls", "max_failure_rate", "failure_sample")
_ALWAYS = {"name"}
_AT_ONCE = 5_000


async def create(
    db: AsyncSession, principal: Principal, data: CampaignCreate, *, now: datetime
) -> Campaign:
    """Return a new draft.

    Raises:
        NotFound: there is no such assistant.
        BadInput: a field cannot be used; names it.
    """
    owner = principal.organization_id
    row = Campaign(
        id=new_id(),
        organization_id=owner,
        name=data.name,
        status=CampaignStatus.DRAFT,
        assistant_id=await _assistant(db, owner, data.assistant_id),
        api_key_id=principal.key_id,
        retry_config=_config(data.call_retry_config),
        from_phone_numbers=await _pool(db, owner, data.from_phone_numbers),
        prompt_variables=data.prompt_variables,
        campaign_metadata=data.metadata,
        max_concurrent_calls=data.max_concurrent_calls,
        max_failure_rate=data.max_failure_rate,
        failure_sample=data.failure_sample,
        scheduled_at=instant_of(data.scheduled_at),
        row_count=0,
        fed_line=0,
        event_count=0,
        created_at=now,
        updated_at=now,
    )
    db.add(row)
    return row


async def change(db: AsyncSession, row: Campaign, data: CampaignPatch, *, now: datetime) -> None:
    """Change what is given; the scheduler carries it to the orders that wait.

    Raises:
        Conflict: the campaign is too far for that.
        BadInput: a field cannot be used; names it.
    """
    given = [name for name in data.__struct_fields__ if getattr(data, name) is not UNSET]
    _refuse_late(row, given)
    for name in _PLAIN:
        if name in given:
            setattr(row, name, getattr(data, name))
    if data.assistant_id is not UNSET:
        row.assistant_id = await _assistant(db, row.organization_id, data.assistant_id)
    if data.call_retry_config is not UNSET:
        row.retry_config = _config(data.call_retry_config)
    if data.from_phone_numbers is not UNSET:
        row.from_phone_numbers = await _pool(db, row.organization_id, data.from_phone_numbers)
    if data.prompt_variables is not UNSET:
        row.prompt_variables = data.prompt_variables
    if data.metadata is not UNSET:
        row.campaign_metadata = data.metadata
    if data.scheduled_at is not UNSET:
        row.scheduled_at = instant_of(data.scheduled_at)
    row.updated_at = now
    wake(db)


async def launch(db: AsyncSession, row: Campaign, key_id: str, *, now: datetime) -> None:
    """Let the rows become orders, by the assistant as it is now; the key's caps count.

    Raises:
        Conflict: it is not a draft, has no rows, or there is nothing to call with.
        NotFound: its assistant is gone.
        BadInput: a number of its pool is not the organization's any more.
    """
    if row.status is CampaignStatus.RUNNING:
        return
    if row.status is not CampaignStatus.DRAFT:
        remedy = ": resume it" if row.status is CampaignStatus.PAUSED else ""
        raise Conflict(f"the campaign is {row.status}{remedy}", field="status")
    if row.row_count == 0:
        raise Conflict("the campaign has no rows: POST /campaign/{id}/rows adds them")
    dial_plan = await load_dial_plan(db, row.organization_id)
    if not dial_plan.trunks:
        raise Conflict("the organization has no outbound trunk to call with: POST /trunk adds one")
    await _pool(db, row.organization_id, row.from_phone_numbers)
    assistant = await get_assistant(db, row.organization_id, row.assistant_id, field="assistant_id")
    row.assistant_version_id = assistant.version_id
    row.api_key_id = key_id
    row.launched_at = row.sampled_from = now
    _enter(db, row, CampaignStatus.RUNNING, "campaign.launched", now=now)


def pause(db: AsyncSession, row: Campaign, reason: str | None, *, now: datetime) -> None:
    """Dial nothing more until the campaign is resumed; live calls go on.

    Raises:
        IllegalTransition: it is not running.
    """
    if move(row.status, CampaignStatus.PAUSED) is not row.status:
        _enter(db, row, CampaignStatus.PAUSED, "campaign.paused", now=now, reason=reason)


def resume(db: AsyncSession, row: Campaign, *, now: datetime) -> None:
    """Go on; failures are counted anew.

    Raises:
        Conflict: it was not launched, or is over.
    """
    if row.status is CampaignStatus.DRAFT:
        raise Conflict("the campaign is a draft: launch it", field="status")
    if move(row.status, CampaignStatus.RUNNING) is not row.status:
        row.sampled_from = now
        _enter(db, row, CampaignStatus.RUNNING, "campaign.resumed", now=now)


def cancel(db: AsyncSession, row: Campaign, *, now: datetime) -> None:
    """Dial nothing more; orders that wait are cancelled, live calls ended.

    Raises:
        IllegalTransition: it is completed.
    """
    if move(row.status, CampaignStatus.CANCELLED) is row.status:
        return
    if row.launched_at is None:
        row.ended_at = now
    _enter(db, row, CampaignStatus.CANCELLED, "campaign.cancelled", now=now)


def complete(db: AsyncSession, row: Campaign, *, now: datetime) -> None:
    """End a running campaign whose orders are all final."""
    row.ended_at = now
    _enter(db, row, CampaignStatus.COMPLETED, "campaign.completed", now=now)


async def remove(database: Database, organization_id: str, campaign_id: str) -> None:
    """Delete a draft and its rows.

    Raises:
        NotFound: there is no such campaign.
        Conflict: it is no draft.
    """
    key = parse_id(campaign_id, what="campaign")
    while True:
        async with database.transaction() as db:
            row = await repository.get_campaign(db, organization_id, key, lock=True)
            if row.status is not CampaignStatus.DRAFT:
                raise Conflict(
                    f"the campaign is {row.status}; only a draft can be deleted", field="status"
                )
            some = select(CampaignRow.id).where(CampaignRow.campaign_id == key).limit(_AT_ONCE)
            gone = await db.scalars(
                delete(CampaignRow)
                .where(CampaignRow.id.in_(some))
                .returning(CampaignRow.id)
                .execution_options(synchronize_session=False)
            )
            count = len(gone.all())
            row.row_count -= count
            if count < _AT_ONCE:
                await db.delete(row)
                return


def _enter(
    db: AsyncSession,
    row: Campaign,
    status: CampaignStatus,
    kind: str,
    *,
    now: datetime,
    reason: str | None = None,
) -> None:
    row.status = move(row.status, status)
    row.status_reason = reason
    row.updated_at = now
    row.event_count += 1
    db.add(
        OutboxRow(
            id=new_id(),
            organization_id=row.organization_id,
            call_id=None,
            sequence=row.event_count,
            type=kind,
            data={
                "campaign_id": row.id,
                "name": row.name,
                "status": status,
                "reason": reason,
                "rows": row.row_count,
            },
            created_at=now,
        )
    )
    wake(db)


def _refuse_late(row: Campaign, given: list[str]) -> None:
    if row.status is CampaignStatus.DRAFT:
        return
    going = row.status in (CampaignStatus.RUNNING, CampaignStatus.PAUSED)
    allowed = set(_PLAIN) if going else _ALWAYS
    late = next((name for name in given if name not in allowed), None)
    if late is not None:
        raise Conflict(
            f"the campaign is {row.status}; only {', '.join(sorted(allowed))} can be changed now",
            field=late,
        )


async def _assistant(db: AsyncSession, owner: str, assistant_id: str) -> str:
    key = parse_id(assistant_id, what="assistant", field="assistant_id")
    return (await get_assistant(db, owner, key, field="assistant_id")).id


async def _pool(db: AsyncSession, owner: str, given: list[str]) -> list[str]:
    dial_plan = await load_dial_plan(db, owner)
    found: list[str] = []
    for index, text in enumerate(given):
        field = f"from_phone_numbers[{index}]"
        number = e164(text, field=field)
        if not dial_plan.owns(number):
            raise BadInput(
                f"{number} is not a number of this organization: POST /number adds it", field=field
            )
        if number not in found:
            found.append(number)
    return found


def _config(given: CallRetryConfig | None) -> dict[str, object] | None:
    if given is None:
        return None
    check(given)
    found: dict[str, object] = msgspec.to_builtins(given)
    return found
