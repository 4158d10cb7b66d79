"""The rows that a conversation begins with, however it comes about."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from control_plane.db.models.session import Leg, Session
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import Direction
from control_plane.domain.ids import new_id
from control_plane.domain.leg import LegKind

_DIRECTIONS = {
    LegKind.CALLEE: Direction.OUTBOUND,
    LegKind.CALLER: Direction.INBOUND,
    LegKind.BROWSER: Direction.BROWSER,
}


class Speaker(Struct, frozen=True, kw_only=True):
    """Which assistant speaks, and what it is told."""

    assistant_id: str | None
    version: int
    version_id: str
    prompt_variables: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class Person(Struct, frozen=True, kw_only=True):
    """How the person comes into the room."""

    kind: LegKind
    identity: str
    to_phone_number: str = ""
    from_phone_number: str = ""
    trunk_id: str | None = None
    sip_call_id: str | None = None


def begin(
    session_id: str,
    organization_id: str,
    speaker: Speaker,
    person: Person,
    *,
    room_name: str,
    status: AttemptStatus,
    epoch: int,
    now: datetime,
    **columns: Any,
) -> tuple[Session, Leg]:
    """Return a new session and the leg of its person; the session is to be flushed first.

    Args:
        columns: of the session, beyond those that each has.
    """
    session = Session(
        id=session_id,
        organization_id=organization_id,
        direction=_DIRECTIONS[person.kind],
        assistant_id=speaker.assistant_id,
        assistant_version=speaker.version,
        assistant_version_id=speaker.version_id,
        prompt_variables=speaker.prompt_variables,
        call_metadata=speaker.metadata,
        status=status,
        epoch=epoch,
        room_name=room_name,
        last_event_seq=0,
        event_count=0,
        created_at=now,
        updated_at=now,
        **columns,
    )
    leg = Leg(
        id=new_id(),
        session_id=session_id,
        organization_id=organization_id,
        kind=person.kind,
        trunk_id=person.trunk_id,
        participant_identity=person.identity,
        to_phone_number=person.to_phone_number,
        from_phone_number=person.from_phone_number,
        created_at=now,
        sip_call_id=person.sip_call_id,
    )
    return session, leg
