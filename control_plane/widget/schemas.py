"""Public keys as their owners see them, and a session as a page sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Origin = Annotated[str, Meta(min_length=1, max_length=300)]
Id = Annotated[str, Meta(min_length=1, max_length=36)]


class PublicKeyCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key for pages: from which origins, with which assistants, and how often in any hour."""

    name: Name
    allowed_origins: Annotated[tuple[Origin, ...], Meta(min_length=1, max_length=50)]
    assistant_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=100)]
    sessions_per_hour: Annotated[int, Meta(ge=1, le=100_000)] = 60


class PublicKeyView(Struct, frozen=True, kw_only=True):
    """A public key; `key` is what a page carries, and no secret.

    `sessions_last_hour` is what was started with it in the hour that ends now.
    """

    id: str
    name: str
    key: str
    allowed_origins: list[str]
    assistant_ids: list[str]
    sessions_per_hour: int
    sessions_last_hour: int
    created_at: datetime
    revoked_at: datetime | None


class PublicKeyList(Struct, frozen=True):
    """Every public key, revoked ones included, newest first."""

    public_keys: list[PublicKeyView]


class PageStart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom the person at the page wants to talk with."""

    assistant_id: Id


class PageSession(Struct, frozen=True, kw_only=True):
    """A new session, and what the page joins it with; nothing of how the assistant is made.

    The person is to be told when `recording` is true.
    """

    session_id: str
    token: str
    livekit_url: str
    recording: bool
