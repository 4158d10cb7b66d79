"""Links that open one recording for a while, without an API key."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from control_plane.domain.errors import NotAllowed
from control_plane.domain.recording import RecordingKind
from control_plane.keys.tokens import TokenSigner

_AGAIN = "read the call again: its recording_url is a fresh one"


class RecordingLinks:
    """Makes and checks links.

    Args:
        key: what they are signed with.
        api_url: what stands before the path.
        lifetime: how long they open.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        key: bytes,
        api_url: str,
        *,
        lifetime: timedelta = timedelta(hours=24),
        clock: Callable[[], float] = time.time,
    ):
        self._key = key
        self._api_url = api_url
        self._lifetime = lifetime
        self._clock = clock

    @classmethod
    def open(cls, signer: TokenSigner, api_url: str, *, lifetime: timedelta) -> RecordingLinks:
        """Return links signed with a key that every process here finds in the same way."""
        return cls(signer.derived("recording links"), api_url, lifetime=lifetime)

    def url(self, attempt_id: str, kind: RecordingKind) -> str:
        """Return a link to one file of an attempt's recording."""
        expires = str(int(self._clock() + self._lifetime.total_seconds()))
        query = {
            "kind": kind.value,
            "expires": expires,
            "signature": self._sign(attempt_id, kind.value, expires),
        }
        return f"{self._api_url}/recording/{attempt_id}?{urlencode(query)}"

    def check(self, attempt_id: str, kind: str, expires: str, signature: str) -> None:
        """Find out whether a link was made here for this file and still opens it.

        Raises:
            NotAllowed: it was not, or it does no longer; says which.
        """
        ours = self._sign(attempt_id, kind, expires)
        if not hmac.compare_digest(ours.encode(), signature.encode()):
            raise NotAllowed(
                f"this link was not made for this recording, or it was changed: {_AGAIN}",
                field="signature",
            )
        if int(expires) <= self._clock():
            ended = datetime.fromtimestamp(int(expires), UTC)
            raise NotAllowed(
                f"this link ended at {ended:%Y-%m-%dT%H:%M:%SZ}: {_AGAIN}", field="expires"
            )

    def _sign(self, attempt_id: str, kind: str, expires: str) -> str:
        content = "\n".join((attempt_id, kind, expires))
        return hmac.new(self._key, content.encode(), hashlib.sha256).hexdigest()
