"""Idempotency-Key: the same request sent again gets the same answer and changes nothing.

After Stripe's contract: a key belongs to an organization and one body, for a day; an answer is
kept once the request was carried out, so what was refused may be sent again, corrected.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from litestar.params import HeaderParameter
from msgspec import Struct
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.compliance import IdempotentAnswer
from control_plane.domain.errors import BadInput, KeyReused

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEPT = timedelta(hours=24)
_LONGEST = 255
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(name=HEADER, description="Sent again, the same request changes nothing"),
]


class RequestKey(Struct, frozen=True):
    """A request that may be sent again: its key, what it asks for, and its body's digest."""

    organization_id: str
    key: str
    operation: str
    body_sha256: str


def request_key(
    header: str | None, *, organization_id: str, operation: str, body: bytes
) -> RequestKey | None:
    """Return the request's key, None when it has none.

    Raises:
        BadInput: the header is not a usable key.
    """
    if header is None:
        return None
    if not 0 < len(header) <= _LONGEST or not header.isprintable():
        raise BadInput(
            f"{HEADER} is 1 to {_LONGEST} printable characters, such as a UUID", field=HEADER
        )
    return RequestKey(organization_id, header, operation, hashlib.sha256(body).hexdigest())


async def known_answers(
    db: AsyncSession, keys: Sequence[RequestKey]
) -> dict[tuple[str, str], IdempotentAnswer]:
    """Return the answers that were given under these keys, by organization and key."""
    found: dict[tuple[str, str], IdempotentAnswer] = {}
    for owner in {each.organization_id for each in keys}:
        rows = await db.scalars(
            select(IdempotentAnswer).where(
                IdempotentAnswer.organization_id == owner,
                IdempotentAnswer.key.in_([k.key for k in keys if k.organization_id == owner]),
            )
        )
        found |= {(row.organization_id, row.key): row for row in rows}
    return found


def replay(known: IdempotentAnswer, key: RequestKey) -> bytes:
    """Return the answer given before.

    Raises:
        KeyReused: it was given to another request.
    """
    if (known.operation, known.body_sha256) != (key.operation, key.body_sha256):
        raise KeyReused(
            f"{HEADER} was used for another request: use a new key for a new request",
            field=HEADER,
        )
    return known.answer.encode()


def answer_row(key: RequestKey, answer: bytes, *, status: int, now: datetime) -> IdempotentAnswer:
    """Return the row that keeps an answer."""
    return IdempotentAnswer(
        organization_id=key.organization_id,
        key=key.key,
        operation=key.operation,
        body_sha256=key.body_sha256,
        status=status,
        answer=answer.decode(),
        created_at=now,
    )


async def delete_expired(db: AsyncSession, now: datetime) -> None:
    """Delete the answers that nobody can ask for again."""
    await db.execute(delete(IdempotentAnswer).where(IdempotentAnswer.created_at < now - KEPT))
