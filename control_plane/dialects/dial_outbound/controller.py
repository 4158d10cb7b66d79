"""Dial outbound: one endpoint that calls, and one that lists what a call may name."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from litestar import Controller, MediaType, Response, get, post
from litestar.params import JSONBody
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants.repository import list_assistants
from control_plane.compliance.suspended import check_active
from control_plane.db.models.campaign import Campaign
from control_plane.db.models.organization import Organization
from control_plane.db.owned import get_own
from control_plane.dialects.dial_outbound.choice import choose
from control_plane.dialects.dial_outbound.ids import Kind, naming, short
from control_plane.dialects.dial_outbound.schemas import (
    Dial,
    Dialled,
    Ids,
    Named,
    Problem,
    UseCase,
)
from control_plane.dialects.placing import Speaker, placed_call, variables_of
from control_plane.dialects.variables import values_of
from control_plane.domain.campaign import CampaignStatus, concurrency_key
from control_plane.domain.errors import BadInput, Conflict, MissingVariable, NotCallable
from control_plane.domain.order_request import ConcurrencyLimit, OrderRequest
from control_plane.domain.preset import PresetKind
from control_plane.http import problems
from control_plane.http.auth import Principal
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenVault
from control_plane.orders.dependencies import GivenIntake
from control_plane.presets.repository import list_presets
from control_plane.trunks.repository import get_number, list_numbers

_MOST = 10_000
_AT_WORK = (CampaignStatus.RUNNING, CampaignStatus.PAUSED)


def _render(problem: problems.Problem, headers: dict[str, str]) -> Response[bytes]:
    told = Problem(problem.code, problem.detail, problem.field)
    return Response(
        content=msgspec.json.encode(told),
        status_code=problem.status,
        media_type=MediaType.JSON,
        headers=headers,
    )


class DialController(Controller):
    """Calls by a use case."""

    path = "/dial"
    exception_handlers = problems.handlers(_render, Problem)

    @post(
        "/outbound",
        status_code=200,
        operation_id="dialOutbound",
        summary="Place a call",
        opt={"raises": (MissingVariable, NotCallable)},
    )
    async def dial(
        self,
        data: JSONBody[Dial],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        intake: GivenIntake,
    ) -> Dialled:
        """Call a number: at once, whatever the use case's calling windows, or when asked."""
        async with database.reading() as db:
            plan = await _plan(db, principal.organization_id, data)
        speaker = plan.speaker
        try:
            answer = await intake.place(
                _request(data, plan, principal), None, own=speaker.own(vault)
            )
        except MissingVariable as exc:
            field = (exc.field or "").replace("prompt_variables", "params")
            detail = exc.detail.replace("prompt_variables", "params")
            raise MissingVariable(detail, field=field) from exc
        placed = placed_call(answer)
        return Dialled(
            id=short(Kind.CALL, placed.id),
            organization_id=short(Kind.ORGANIZATION, placed.organization_id),
            metadata=data.metadata or {},
            use_case=UseCase(
                id=short(Kind.USE_CASE, speaker.assistant.id),
                name=speaker.spec.name,
                prompt=speaker.spec.prompt,
                language=speaker.spec.language,
                max_duration_mins=speaker.spec.max_call_duration_secs / 60,
            ),
            created=placed.created_at,
            params=data.params,
        )

    @get("/ids", operation_id="listIds", summary="List what a call may name")
    async def list_ids(self, principal: GivenPrincipal, database: GivenDatabase) -> Ids:
        """Return what a call may name, by the ids that it takes."""
        owner = principal.organization_id
        async with database.reading() as db:
            numbers = await list_numbers(db, owner)
            use_cases = await list_assistants(db, owner)
            campaigns = await db.scalars(
                select(Campaign)
                .where(Campaign.organization_id == owner, Campaign.status.in_(_AT_WORK))
                .order_by(Campaign.id.desc())
                .limit(_MOST)
            )
            at_work = [Named(short(Kind.CAMPAIGN, row.id), row.name) for row in campaigns]
            kept = await list_presets(db, owner, kind=None, before=None, limit=_MOST)

        def named(kind: Kind, preset: PresetKind) -> list[Named]:
            return [Named(short(kind, row.id), row.name) for row in kept if row.kind is preset]

        return Ids(
            numbers=[Named(short(Kind.NUMBER, row.id), row.phone_number) for row in numbers],
            use_cases=[Named(short(Kind.USE_CASE, row.id), row.name) for row in use_cases],
            agents=named(Kind.AGENT, PresetKind.VOICE),
            models=named(Kind.MODEL, PresetKind.MODEL),
            prompts=named(Kind.PROMPT, PresetKind.PROMPT),
            campaigns=at_work,
        )


class _Plan(Struct, frozen=True):
    speaker: Speaker
    from_phone_number: str
    campaign_id: str | None
    concurrency: ConcurrencyLimit | None


async def _plan(db: AsyncSession, organization_id: str, given: Dial) -> _Plan:
    """Return what the ids of a request stand for."""
    check_active(await db.get_one(Organization, organization_id))
    with naming(Kind.NUMBER, given.number_id, field="number_id") as key:
        number = await get_number(db, organization_id, key)
    speaker = await choose(db, organization_id, given)
    if given.campaign_id is None:
        return _Plan(speaker, number.phone_number, None, None)
    campaign = await _campaign(db, organization_id, given.campaign_id)
    most = campaign.max_concurrent_calls
    limit = ConcurrencyLimit(concurrency_key(campaign.id), most) if most else None
    return _Plan(speaker, number.phone_number, campaign.id, limit)


async def _campaign(db: AsyncSession, organization_id: str, given: str) -> Campaign:
    with naming(Kind.CAMPAIGN, given, field="campaign_id") as key:
        found = await get_own(db, Campaign, organization_id, key, what="campaign")
    if found.status not in _AT_WORK:
        raise Conflict(
            f"campaign_id: the campaign is {found.status}: only one that is launched and not over "
            "makes calls",
            field="campaign_id",
        )
    return found


def _request(given: Dial, plan: _Plan, principal: Principal) -> OrderRequest:
    later = _later(given.scheduled_for)
    return OrderRequest(
        organization_id=principal.organization_id,
        api_key_id=principal.key_id,
        phone_number=given.phone_number,
        from_phone_number=plan.from_phone_number,
        assistant_id=plan.speaker.assistant.id,
        concurrency=plan.concurrency,
        force_now=later is None,
        scheduled_at=later,
        campaign_id=plan.campaign_id,
        metadata=values_of(given.metadata, ()),
        prompt_variables=values_of(given.params, variables_of(plan.speaker.spec)),
    )


def _later(given: datetime | None) -> datetime | None:
    """Return the instant that is waited for; None: now. A time without a zone is UTC."""
    if given is None:
        return None
    try:
        instant = given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    except OverflowError as exc:
        raise BadInput("scheduled_for is not a time in UTC", field="scheduled_for") from exc
    return instant if instant > datetime.now(UTC) else None
