"""Campaigns over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.campaigns import repository, service
from control_plane.campaigns.dry_run import dry_run
from control_plane.campaigns.report import report
from control_plane.campaigns.rows import Upload
from control_plane.campaigns.schemas import (
    CampaignCreate,
    CampaignEnvelope,
    CampaignPage,
    CampaignPatch,
    CampaignView,
    DryRun,
    Report,
    RowPage,
    RowsAdded,
    RowsGiven,
    RowsRead,
    RowView,
)
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.campaign import Campaign, CampaignRow
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.errors import BadInput, IllegalTransition, MissingVariable
from control_plane.domain.ids import parse_id
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal
from control_plane.http.pages import Cursor, Limit
from control_plane.http.requests import decode
from control_plane.http.uploads import CSV_LIMIT, chunks, described, is_csv, whole

_COLUMNS = (
    "phone_number, one column for each prompt variable, and metadata.NAME for metadata; the first "
    "line names them"
)


class CampaignController(Controller):
    """Many calls with one assistant."""

    path = "/campaign"
    tags = ("campaigns",)

    @post(operation_id="createCampaign", summary="Create a campaign", status_code=201)
    async def create(
        self, data: JSONBody[CampaignCreate], principal: GivenPrincipal, database: GivenDatabase
    ) -> CampaignEnvelope:
        """Create a draft; nobody is called before it has rows and is launched."""
        async with database.transaction() as db:
            row = await service.create(db, principal, data, now=await read_clock(db))
        return CampaignEnvelope(_view(row))

    @get(operation_id="listCampaigns", summary="List campaigns")
    async def list_all(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> CampaignPage:
        """Return campaigns, newest first."""
        before = parse_id(cursor, what="campaign", field="cursor") if cursor is not None else None
        async with database.reading() as db:
            rows = await repository.list_campaigns(
                db, principal.organization_id, before=before, limit=limit + 1
            )
        views = [_view(row) for row in rows[:limit]]
        return CampaignPage(views, views[-1].id if len(rows) > limit else None)

    @get("/{campaign_id:str}", operation_id="getCampaign", summary="Get a campaign")
    async def get_one(
        self, campaign_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> CampaignEnvelope:
        """Return one campaign."""
        async with database.reading() as db:
            return CampaignEnvelope(_view(await _get(db, principal, campaign_id)))

    @patch("/{campaign_id:str}", operation_id="updateCampaign", summary="Change a campaign")
    async def change(
        self,
        campaign_id: FromPath[str],
        data: JSONBody[CampaignPatch],
        principal: GivenPrincipal,
        database: GivenDatabase,
    ) -> CampaignEnvelope:
        """Change what is given; a new `max_concurrent_calls` reaches orders that wait too."""
        async with database.transaction() as db:
            row = await _get(db, principal, campaign_id, lock=True)
            await service.change(db, row, data, now=await read_clock(db))
        return CampaignEnvelope(_view(row))

    @delete("/{campaign_id:str}", operation_id="deleteCampaign", summary="Delete a draft")
    async def remove(
        self, campaign_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Delete a draft with its rows."""
        await service.remove(database, principal.organization_id, campaign_id)

    @post(
        "/{campaign_id:str}/rows",
        operation_id="addCampaignRows",
        summary="Add rows",
        status_code=200,
        opt={"raises": (MissingVariable,)},
        request_max_body_size=None,
        operation_class=described(RowsGiven, columns=_COLUMNS),
    )
    async def add_rows(
        self,
        campaign_id: FromPath[str],
        request: Request[Any, Any, Any],
        principal: GivenPrincipal,
        database: GivenDatabase,
    ) -> RowsAdded:
        """Add people to call: JSON, or a CSV file of up to 64 MiB; each bad row is told."""
        upload = Upload(database, principal.organization_id, campaign_id)
        csv = is_csv(request)
        await upload.begin()
        if csv:
            return await upload.add_csv(chunks(request, CSV_LIMIT))
        return await upload.add_json(decode(await whole(request), RowsRead))

    @get("/{campaign_id:str}/rows", operation_id="listCampaignRows", summary="List rows")
    async def list_rows(
        self,
        campaign_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        status: Annotated[
            str | None, QueryParameter(description="waiting, placed or refused")
        ] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> RowPage:
        """Return rows in their order."""
        if status is not None and status not in repository.ROW_STATES:
            raise BadInput(f"status is one of {', '.join(repository.ROW_STATES)}", field="status")
        line = _line(cursor)
        async with database.reading() as db:
            campaign = await _get(db, principal, campaign_id)
            rows = await repository.rows_after(
                db, campaign.id, line, limit=limit + 1, status=status
            )
        views = [_row_view(row) for row in rows[:limit]]
        return RowPage(views, str(views[-1].line) if len(rows) > limit else None)

    @get("/{campaign_id:str}/dry-run", operation_id="dryRunCampaign", summary="Try a launch")
    async def try_launch(
        self,
        campaign_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
    ) -> DryRun:
        """Return how many rows would be called now, later and never, and why; change nothing."""
        async with database.reading() as db:
            campaign = await _get(db, principal, campaign_id)
        return await dry_run(database, campaign, api_key_id=principal.key_id)

    @post(
        "/{campaign_id:str}/launch",
        operation_id="launchCampaign",
        summary="Launch a campaign",
        status_code=200,
        opt={"raises": (IllegalTransition,)},
    )
    async def launch(
        self, campaign_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> CampaignEnvelope:
        """Let the rows become orders, with the assistant as it is now."""
        async with database.transaction() as db:
            row = await _get(db, principal, campaign_id, lock=True)
            now = await read_clock(db)
            await service.launch(db, row, principal.key_id, now=now)
        return CampaignEnvelope(_view(row))

    @post(
        "/{campaign_id:str}/pause",
        operation_id="pauseCampaign",
        summary="Pause a campaign",
        status_code=200,
        opt={"raises": (IllegalTransition,)},
    )
    async def pause(
        self, campaign_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> CampaignEnvelope:
        """Dial nothing more until it is resumed; live calls go on."""

        def apply(db: AsyncSession, row: Campaign, now: datetime) -> None:
            service.pause(db, row, None, now=now)

        return await _apply(database, principal, campaign_id, apply)

    @post(
        "/{campaign_id:str}/resume",
        operation_id="resumeCampaign",
        summary="Resume a campaign",
        status_code=200,
        opt={"raises": (IllegalTransition,)},
    )
    async def resume(
        self, campaign_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> CampaignEnvelope:
        """Go on, whoever paused it; failures are counted anew."""

        def apply(db: AsyncSession, row: Campaign, now: datetime) -> None:
            service.resume(db, row, now=now)

        return await _apply(database, principal, campaign_id, apply)

    @post(
        "/{campaign_id:str}/cancel",
        operation_id="cancelCampaign",
        summary="Cancel a campaign",
        status_code=202,
        opt={"raises": (IllegalTransition,)},
    )
    async def cancel(
        self, campaign_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> CampaignEnvelope:
        """Dial nothing more, end live calls; `ended_at` tells when the last order is final."""

        def apply(db: AsyncSession, row: Campaign, now: datetime) -> None:
            service.cancel(db, row, now=now)

        return await _apply(database, principal, campaign_id, apply)

    @get("/{campaign_id:str}/report", operation_id="reportCampaign", summary="Report on a campaign")
    async def get_report(
        self, campaign_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> Report:
        """Return how far it got."""
        async with database.reading() as db:
            return await report(db, await _get(db, principal, campaign_id))


async def _get(
    db: AsyncSession, principal: GivenPrincipal, campaign_id: str, *, lock: bool = False
) -> Campaign:
    key = parse_id(campaign_id, what="campaign")
    return await repository.get_campaign(db, principal.organization_id, key, lock=lock)


async def _apply(
    database: Database,
    principal: GivenPrincipal,
    campaign_id: str,
    what: Callable[[AsyncSession, Campaign, datetime], None],
) -> CampaignEnvelope:
    async with database.transaction() as db:
        row = await _get(db, principal, campaign_id, lock=True)
        what(db, row, await read_clock(db))
    return CampaignEnvelope(_view(row))


def _line(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise BadInput("cursor is the next_cursor of the page before", field="cursor")
    return int(cursor)


def _view(row: Campaign) -> CampaignView:
    config = row.retry_config
    return CampaignView(
        id=row.id,
        name=row.name,
        status=row.status,
        status_reason=row.status_reason,
        assistant_id=row.assistant_id,
        assistant_version_id=row.assistant_version_id,
        call_retry_config=msgspec.convert(config, CallRetryConfig) if config else None,
        from_phone_numbers=row.from_phone_numbers,
        max_concurrent_calls=row.max_concurrent_calls,
        max_failure_rate=row.max_failure_rate,
        failure_sample=row.failure_sample,
        prompt_variables=row.prompt_variables,
        metadata=row.campaign_metadata,
        scheduled_at=row.scheduled_at,
        rows=row.row_count,
        launched_at=row.launched_at,
        ended_at=row.ended_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _row_view(row: CampaignRow) -> RowView:
    status = "placed" if row.order_id else "refused" if row.error else "waiting"
    return RowView(
        line=row.line,
        status=status,
        phone_number=row.phone_number,
        prompt_variables=row.prompt_variables,
        metadata=row.row_metadata,
        call_id=row.order_id,
        error=row.error,
    )
