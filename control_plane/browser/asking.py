"""A browser session is asked for: rows alone, no network; whoever opens rooms is woken by them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import inline, versions
from control_plane.assistants import repository as assistants
from control_plane.assistants.inline import Inline
from control_plane.assistants.schemas import merge
from control_plane.assistants.versions import Version
from control_plane.browser.schemas import StartSession
from control_plane.compliance import repository as compliance
from control_plane.compliance import suspended
from control_plane.db.base import read_clock
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.models.recording import Recording
from control_plane.domain import browser
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.credentials import check_webhook_url
from control_plane.domain.errors import BadInput, Conflict
from control_plane.domain.ids import new_id, parse_id
from control_plane.domain.leg import LegKind
from control_plane.domain.masks import SealedUrl
from control_plane.domain.recording import RecordingState
from control_plane.domain.transitions import SessionAsked
from control_plane.orders import idempotency
from control_plane.orders.idempotency import RequestKey
from control_plane.providers.needed import missing_keys
from control_plane.sessions import lifecycle
from control_plane.sessions.calls import Call
from control_plane.sessions.making import Person, Speaker, begin
from control_plane.sessions.settings import spec_of

FURTHEST = timedelta(days=366)
"""How far ahead a session may be scheduled."""


class Asked(Struct, frozen=True):
    """Who wants a session, by which key (null: by none of that kind), and what they want of it."""

    organization_id: str
    api_key_id: str | None
    request: StartSession
    public_key_id: str | None = None


class Begun(Struct, frozen=True):
    """A session that was just stored, and what its owner should know."""

    call: Call
    version: Version
    recording: Recording | None
    notices: list[str]


class Known(Struct, frozen=True):
    """A session that the same request began before: its id, and what its owner was told then."""

    session_id: str
    notices: list[str]


Admit = Callable[[AsyncSession, datetime], Awaitable[None]]
"""Raises what keeps a session from being started now; what it locks stays so until it is stored."""


async def start_once(
    database: Database, vault: Vault, asked: Asked, key: RequestKey
) -> Begun | Known:
    """Return the session, stored; the one before, where the same request comes again.

    Raises:
        KeyReused: the key came with another request before; and what `start` raises.
    """
    try:
        return await _start(database, vault, asked, key)
    except IntegrityError:  # the same request, at the same time
        async with database.reading() as db:
            known = await _known(db, key)
        if known is None:
            raise
        return known


async def start(
    database: Database, vault: Vault, asked: Asked, *, admit: Admit | None = None
) -> Begun:
    """Return the session, stored.

    Raises:
        BadInput: a field cannot be used; names it.
        NotFound: there is no such assistant.
        Conflict: the organization is suspended, has no key for a provider of the assistant, or its
            own key has reached a cap.
    """
    begun = await _start(database, vault, asked, None, admit)
    assert isinstance(begun, Begun)
    return begun


async def _start(
    database: Database,
    vault: Vault,
    asked: Asked,
    key: RequestKey | None,
    admit: Admit | None = None,
) -> Begun | Known:
    request, owner = asked.request, asked.organization_id
    made = told = None  # sealing is slow: before the transaction
    if request.webhook_url:
        check_webhook_url(request.webhook_url, field="webhook_url")
        told = vault.seal_url(request.webhook_url)
    if request.assistant_id is None and request.assistant is not None:
        made = inline.make(vault, owner, merge(request.assistant))
    async with database.transaction() as db:
        now = await read_clock(db)
        if key is not None and (known := await _known(db, key)) is not None:
            return known
        if admit is not None:
            await admit(db, now)
        opens_at = _opening(request.scheduled_at, now)
        await _check_allowed(db, asked, now)
        speaker, version = await _speaker(db, owner, request, made, now=now)
        await _check_keys(db, owner, version)
        call = _rows(asked, speaker, told=told, opens_at=opens_at, now=now)
        db.add(call.session)
        await db.flush()
        db.add(call.leg)
        recording = None
        if spec_of(call.session, version.spec).recording_enabled:
            recording = Recording(session_id=call.id, state=RecordingState.SPOOLING)
            db.add(recording)
        missing = [each for each in version.variables if each not in speaker.prompt_variables]
        missing = list(dict.fromkeys(missing))
        await lifecycle.apply(db, call, SessionAsked(at=now, without_value=tuple(missing)))
        said = [
            f"{{{{{name}}}}} has no value in prompt_variables: it is left out" for name in missing
        ]
        if key is not None:
            answer = msgspec.json.encode(Known(call.id, said))
            db.add(idempotency.answer_row(key, answer, status=201, now=now))
    return Begun(call, version, recording, said)


async def _known(db: AsyncSession, key: RequestKey) -> Known | None:
    """Return what this request began before; the token is not kept, it is made anew."""
    for answer in (await idempotency.known_answers(db, [key])).values():
        return msgspec.json.decode(idempotency.replay(answer, key), type=Known)
    return None


def _opening(wanted: datetime | None, now: datetime) -> datetime:
    if wanted is None or wanted <= now:
        return now
    if wanted - now > FURTHEST:
        raise BadInput(
            f"scheduled_at is more than {FURTHEST.days} days ahead; use a nearer time",
            field="scheduled_at",
        )
    return wanted.astimezone(UTC)


async def _check_allowed(db: AsyncSession, asked: Asked, now: datetime) -> None:
    if await suspended.suspended_of(db, [asked.organization_id]):
        raise Conflict(
            "the organization is suspended and holds no conversations until whoever runs this "
            f"installation resumes it: `offhook org resume {asked.organization_id}`"
        )
    if asked.api_key_id is None:
        return
    again = (await compliance.spent_until(db, [asked.api_key_id], now)).get(asked.api_key_id)
    if again is not None:
        raise Conflict(
            f"a cap of the API key is used up until {again:%Y-%m-%dT%H:%M:%SZ}: PATCH /keys "
            "raises it"
        )


async def _speaker(
    db: AsyncSession, owner: str, request: StartSession, made: Inline | None, *, now: datetime
) -> tuple[Speaker, Version]:
    """Return who speaks; `assistant_id` wins over `assistant`, neither is the default one."""
    told = {
        "prompt_variables": request.prompt_variables or {},
        "metadata": request.metadata or {},
    }
    if made is not None:
        await inline.store(await db.connection(), [made], now=now)
        own = Speaker(assistant_id=None, version=0, version_id=made.version_id, **told)
        return own, made.version
    if request.assistant_id is None:
        row = await assistants.get_default(db, owner)
    else:
        key = parse_id(request.assistant_id, what="assistant", field="assistant_id")
        row = await assistants.get_assistant(db, owner, key, field="assistant_id")
    version = await versions.get(db, row.version_id or "")
    speaker = Speaker(
        assistant_id=row.id, version=row.version, version_id=row.version_id or "", **told
    )
    return speaker, version


async def _check_keys(db: AsyncSession, owner: str, version: Version) -> None:
    missing = await missing_keys(db, owner, version.spec)
    if missing:
        remedies = " and ".join(f"`offhook provider set {name}`" for name in missing)
        raise Conflict(
            f"the assistant needs keys that are not there ({', '.join(missing)}): run {remedies}"
        )


def _rows(
    asked: Asked, speaker: Speaker, *, told: SealedUrl | None, opens_at: datetime, now: datetime
) -> Call:
    session_id, request = new_id(), asked.request
    identity = browser.participant_identity(session_id)
    session, leg = begin(
        session_id,
        asked.organization_id,
        speaker,
        Person(kind=LegKind.BROWSER, identity=identity),
        room_name=browser.room_name(session_id),
        status=AttemptStatus.QUEUED,
        epoch=0,
        now=now,
        api_key_id=asked.api_key_id,
        public_key_id=asked.public_key_id,
        scheduled_at=opens_at if opens_at > now else None,
        due_at=opens_at,
        token_until=opens_at + browser.TOKEN_LIFE,
        webhook_url=told,
        max_duration_secs=request.max_duration_secs,
        is_recorded=request.recording,
    )
    return Call(session, leg)
