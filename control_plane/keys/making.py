"""New API keys."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from control_plane.db.models.organization import ApiKey
from control_plane.domain.ids import new_id

SCOPES = ("calls", "admin")
"""`calls`: place and read calls; `admin`: also assistants, trunks, providers, keys."""

OPERATOR = "operator"
"""Beside them, for whoever runs the installation: its organizations."""

_MARK = "ok"


def make_key(
    organization_id: str, *, name: str, scopes: list[str], now: datetime
) -> tuple[ApiKey, str]:
    """Return a new key's row and the key itself, which nobody can read again later."""
    prefix = f"{_MARK}_{secrets.token_hex(5)}"
    whole = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKey(
        id=new_id(),
        organization_id=organization_id,
        name=name,
        prefix=prefix,
        # A fast hash is enough: the secret part has 256 random bits.
        sha256=hashlib.sha256(whole.encode()).hexdigest(),
        scopes=scopes,
        created_at=now,
    )
    return row, whole
