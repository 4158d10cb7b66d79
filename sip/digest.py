"""Digest authentication, the server's side: RFC 2617 (MD5) and RFC 7616 (SHA-256, qop=auth)."""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

# Possessive, and begun at a word's first letter only: no text makes it look at a letter twice.
_FIELD = re.compile(r"(?<![A-Za-z])([A-Za-z]++)\s*+=\s*+(\"(?:[^\"\\]|\\.)*+\"|[^\s,]++)")
_ALGORITHMS = {"md5": hashlib.md5, "sha-256": hashlib.sha256}


class CheckResult(enum.Enum):
    """What a check of credentials found."""

    VALID = "valid"
    STALE = "stale"  # right password, old nonce: challenge again
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The fields of an Authorization or Proxy-Authorization header."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "md5"
    qop: str = ""
    cnonce: str = ""
    nc: str = ""


def parse_credentials(value: str) -> Credentials | None:
    """Read a Digest header value; None when it is another scheme or lacks a needed field."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    found = {name.lower(): _unquote(text) for name, text in _FIELD.findall(rest)}
    if not {"username", "realm", "nonce", "uri", "response"} <= found.keys():
        return None
    return Credentials(
        found["username"],
        found["realm"],
        found["nonce"],
        found["uri"],
        found["response"].lower(),
        found.get("algorithm", "md5").lower(),
        found.get("qop", "").lower(),
        found.get("cnonce", ""),
        found.get("nc", ""),
    )


def expected_response(credentials: Credentials, method: str, password: str) -> str | None:
    """The response the right password gives; None for an algorithm or qop not served here."""
    algorithm = _ALGORITHMS.get(credentials.algorithm)
    if algorithm is None or credentials.qop not in ("", "auth"):
        return None

    def digest(*parts: str) -> str:
        return algorithm(":".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    secret = digest(credentials.username, credentials.realm, password)
    target = digest(method, credentials.uri)
    if not credentials.qop:
        return digest(secret, credentials.nonce, target)
    return digest(
        secret, credentials.nonce, credentials.nc, credentials.cnonce, credentials.qop, target
    )


class Authority:
    """Issues nonces and checks what comes back, without remembering either.

    A nonce is the time and a keyed hash of time and context (the Call-ID), so a recorded answer
    opens no other call and nothing after `lifetime` seconds.
    """

    def __init__(self, realm: str, lifetime: float = 60.0, clock: Callable[[], float] = time.time):
        self._realm = realm
        self._lifetime = lifetime
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def challenge(self, context: str, *, stale: bool = False) -> str:
        """The value of a WWW-Authenticate or Proxy-Authenticate header for this context."""
        nonce = self._nonce(str(int(self._clock() * 1e6)), context)
        extra = ", stale=true" if stale else ""
        return f'Digest realm="{self._realm}", nonce="{nonce}", algorithm=MD5, qop="auth"{extra}'

    def check(
        self, header: str, *, method: str, context: str, username: str, password: str
    ) -> CheckResult:
        """Whether this header proves knowledge of the password for this context."""
        credentials = parse_credentials(header)
        if credentials is None or credentials.realm != self._realm:
            return CheckResult.WRONG
        expected = expected_response(credentials, method, password)
        same_user = hmac.compare_digest(_raw(credentials.username), _raw(username))
        if expected is None or not same_user:
            return CheckResult.WRONG
        if not hmac.compare_digest(_raw(expected), _raw(credentials.response)):
            return CheckResult.WRONG
        return CheckResult.VALID if self._fresh(credentials.nonce, context) else CheckResult.STALE

    def _nonce(self, stamp: str, context: str) -> str:
        mark = hmac.new(
            self._key, f"{stamp}:{context}".encode("utf-8", "surrogateescape"), "sha256"
        )
        return f"{stamp}-{mark.hexdigest()[:32]}"

    def _fresh(self, nonce: str, context: str) -> bool:
        stamp = nonce.partition("-")[0]
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 20):
            return False
        if not hmac.compare_digest(_raw(self._nonce(stamp, context)), _raw(nonce)):
            return False
        return abs(self._clock() - int(stamp) / 1e6) <= self._lifetime


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _unquote(text: str) -> str:
    if text.startswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
