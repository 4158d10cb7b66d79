"""What proves to the control plane that a worker is ours: made from a secret that both hold."""

from __future__ import annotations

import hashlib
import hmac

_PURPOSE = b"offhook: take jobs from the internal API"


def worker_key(livekit_secret: str) -> str:
    """Return the bearer token of workers; livekit-server's secret cannot be told from it."""
    return hmac.new(livekit_secret.encode(), _PURPOSE, hashlib.sha256).hexdigest()


def is_worker_key(given: str, livekit_secret: str) -> bool:
    """Return whether `given` is the workers' token; takes the same time for every answer."""
    return hmac.compare_digest(given.encode(), worker_key(livekit_secret).encode())
