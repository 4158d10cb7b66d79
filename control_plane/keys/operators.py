"""Who runs the installation: its first key, and after an upgrade the key that is used as such."""

from __future__ import annotations

import hashlib
import tomllib
from datetime import datetime
from pathlib import Path

from sqlalchemy import Text, or_, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.organization import ApiKey, Organization
from control_plane.keys.making import OPERATOR
from process.logs import get_logger

log = get_logger(__name__)


async def appoint(db: AsyncSession, credentials: Path, *, now: datetime) -> None:
    """Give one key the scope operator, where none that works has it: after an upgrade.

    It is the key that `credentials` holds, if that one works and may administer the first
    organization, else the oldest that may.
    """
    works = or_(ApiKey.revoked_at.is_(None), ApiKey.revoked_at > now)
    has_it = type_coerce(ApiKey.scopes, Text).like(f'%"{OPERATOR}"%')
    if await db.scalar(select(ApiKey.id).where(works, has_it).limit(1)) is not None:
        return
    first = select(Organization.id).order_by(Organization.created_at, Organization.id).limit(1)
    rows = await db.scalars(
        select(ApiKey)
        .where(ApiKey.organization_id == first.scalar_subquery(), works)
        .order_by(ApiKey.created_at, ApiKey.id)
    )
    able = [row for row in rows if "admin" in row.scopes]
    used = _digest(credentials)
    chosen = next((row for row in able if row.sha256 == used), next(iter(able), None))
    if chosen is None:
        log.warning("no key of the first organization may administer it: nobody is the operator")
        return
    chosen.scopes = sorted({*chosen.scopes, OPERATOR})
    log.info("a key is the operator's now", key_id=chosen.id)


def _digest(credentials: Path) -> str | None:
    try:
        key = tomllib.loads(credentials.read_text()).get("api_key")
    except (OSError, ValueError):  # not there, or no longer what the first start wrote
        return None
    return hashlib.sha256(str(key).encode()).hexdigest()
