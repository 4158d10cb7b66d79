"""API keys as clients see and ask for them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from control_plane.db.models.organization import ApiKey

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Scope = Literal["calls", "admin", "operator"]
Limit = Annotated[int, Meta(ge=1, le=10_000_000)] | None
Money = Annotated[float, Meta(ge=0, le=1_000_000_000)] | None


class KeyCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new API key; caps count a day in UTC, null is none.

    `operator` is for the organizations of this installation; only such a key makes another.
    """

    name: Name
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=3)] = ("calls", "admin")
    requests_per_minute: Limit = None
    calls_per_day: Limit = None
    minutes_per_day: Limit = None
    spend_per_day: Money = None


class KeyPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to a key; what is absent stays."""

    name: Name | UnsetType = UNSET
    requests_per_minute: Limit | UnsetType = UNSET
    calls_per_day: Limit | UnsetType = UNSET
    minutes_per_day: Limit | UnsetType = UNSET
    spend_per_day: Money | UnsetType = UNSET


class KeyRotate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long the old key still works."""

    grace_secs: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 86_400


class KeyView(Struct, frozen=True, kw_only=True):
    """A key without its secret part; `key` is whole once, in the answer that creates it.

    `revoked_at` may lie ahead: a rotated key works until then. `used_today` is what its orders
    have used of the caps.
    """

    id: str
    name: str
    prefix: str
    scopes: list[str]
    requests_per_minute: int | None
    calls_per_day: int | None
    minutes_per_day: int | None
    spend_per_day: float | None
    used_today: KeyUsageView
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    key: str | None = None


class KeyUsageView(Struct, frozen=True):
    """What a key's orders have used on one day, UTC."""

    calls: int = 0
    minutes: float = 0.0
    spend: float = 0.0


class KeyList(Struct, frozen=True):
    """Every key, revoked ones included, newest first."""

    keys: list[KeyView]


def key_view(row: ApiKey, used: KeyUsageView, whole: str | None = None) -> KeyView:
    """Return the key; `whole` is the key itself, which only the answer that creates it has."""
    return KeyView(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=row.scopes,
        requests_per_minute=row.requests_per_minute,
        calls_per_day=row.calls_per_day,
        minutes_per_day=row.minutes_per_day,
        spend_per_day=row.spend_per_day,
        used_today=used,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        key=whole,
    )
