"""Tokens of the internal API: HS256 JWTs signed with a key that is generated on this machine."""

from __future__ import annotations

import hmac
import secrets
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import jwt
from msgspec import Struct

from control_plane.db.crypto import load_or_create
from control_plane.domain.errors import NotAuthenticated

_ALGORITHM = "HS256"
_ISSUER = "offhook"


class Scope(StrEnum):
    """What a token opens."""

    BRIEF = "brief"  # the brief of one attempt, once
    SESSION = "session"  # events and recording of one attempt
    JOB = "job"  # reports on one job, by the worker that took it


class Claims(Struct, frozen=True):
    """What a valid token says; `subject` is an attempt or a job."""

    subject: str
    epoch: int
    scope: Scope


class TokenSigner:
    """Issues and checks the internal API's tokens."""

    def __init__(self, key: bytes):
        self._key = key

    @classmethod
    def open(cls, path: Path) -> TokenSigner:
        """Return a signer with the key in `path`, which is generated when absent."""
        return cls(load_or_create(path, secrets.token_hex(32).encode()))

    def derived(self, purpose: str) -> bytes:
        """Return a key of 32 bytes for another purpose, from which ours cannot be found."""
        return hmac.digest(self._key, f"offhook {purpose}".encode(), "sha256")

    def issue(self, scope: Scope, subject: str, *, epoch: int = 0, ttl: timedelta) -> str:
        """Return a token that is valid for `ttl` from now."""
        now = datetime.now(UTC)
        return jwt.encode(
            {
                "iss": _ISSUER,
                "sub": subject,
                "epoch": epoch,
                "scope": scope.value,
                "jti": secrets.token_hex(12),
                "iat": now,
                "exp": now + ttl,
            },
            self._key,
            algorithm=_ALGORITHM,
        )

    def verify(self, token: str, scope: Scope) -> Claims:
        """Return what `token` says.

        Raises:
            NotAuthenticated: it is forged, expired or for another purpose.
        """
        try:
            payload = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={"require": ["exp", "sub", "jti"]},
            )
        except jwt.InvalidTokenError as exc:
            raise NotAuthenticated("the token is not valid, or it has expired") from exc
        if payload.get("scope") != scope.value:
            raise NotAuthenticated(f"this endpoint takes a token with the scope {scope.value}")
        return Claims(str(payload["sub"]), int(payload.get("epoch", 0)), scope)
