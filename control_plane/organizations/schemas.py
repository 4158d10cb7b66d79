"""Organizations of an installation, as its operator sees them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from control_plane.db.models.organization import Organization
from control_plane.keys.schemas import KeyView


class OrganizationCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new organization; no other may have its name."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]


class OrganizationEntry(Struct, frozen=True, kw_only=True):
    """An organization; `suspended_at` says since when it makes and takes no call, null if it may.

    What belongs to it is seen with its own keys alone.
    """

    id: str
    name: str
    suspended_at: datetime | None
    created_at: datetime


class OrganizationMade(Struct, frozen=True, kw_only=True):
    """The new organization and its first key, which has the scopes admin and calls."""

    organization: OrganizationEntry
    key: KeyView


class OrganizationPage(Struct, frozen=True):
    """Organizations, newest first; `next_cursor` is null on the last page."""

    organizations: list[OrganizationEntry]
    next_cursor: str | None


def entry(row: Organization) -> OrganizationEntry:
    """Return what the operator sees of an organization."""
    return OrganizationEntry(
        id=row.id, name=row.name, suspended_at=row.suspended_at, created_at=row.created_at
    )
