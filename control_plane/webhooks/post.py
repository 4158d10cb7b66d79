"""One try: the message signed and posted, the answer's beginning kept."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime

import httpx2
from msgspec import Struct
from standardwebhooks.webhooks import Webhook

from control_plane.domain.delivery import TRY_LIMIT
from control_plane.domain.masks import without_target
from control_plane.webhooks.queue import Claimed
from control_plane.webhooks.signing import signed_headers
from process.addresses import OutboundError
from process.safe_http import Limits, Outbound

LIMITS = Limits(total_s=TRY_LIMIT.total_seconds(), body_bytes=64 * 1024)
"""For the `Outbound` that messages are posted through."""

BODY_CHARS = 2_048
AGENT = "Offhook-Webhooks/1"
_ERROR_CHARS = 300


class Reply(Struct, frozen=True, kw_only=True):
    """What came back from a receiver; `error` where nothing did."""

    status: int | None = None
    retry_after: str | None = None
    body: str | None = None
    error: str | None = None


async def post(
    outbound: Outbound,
    claimed: Claimed,
    signers: Sequence[Webhook],
    *,
    url: str | None,
    at: datetime,
) -> Reply:
    """Send a delivery as of `at`, and return what came back within the limit.

    Args:
        url: the whole address; None: it cannot be read.
    """
    if url is None:
        return Reply(error="its URL cannot be read: restore secret.key")
    if not signers:
        return Reply(error="its signing secret cannot be read: restore secret.key")
    headers = {
        "content-type": "application/json",
        "user-agent": AGENT,
        **signed_headers(signers, message_id=claimed.message_id, at=at, payload=claimed.payload),
    }
    try:
        request = httpx2.Request("POST", url, headers=headers, content=claimed.payload.encode())
        answer = await outbound.handle_async_request(request)
    except httpx2.InvalidURL as exc:
        return Reply(error=without_target(f"the URL cannot be used: {exc}", url)[:_ERROR_CHARS])
    except OutboundError as exc:
        return Reply(error=without_target(str(exc), url)[:_ERROR_CHARS])
    return Reply(
        status=answer.status_code,
        retry_after=next(iter(answer.headers.get_list("retry-after")), "")[:100],
        body=await _beginning(answer, url),
    )


async def _beginning(answer: httpx2.Response, url: str) -> str:
    """Return the first characters of a body; the status has said all that counts.

    Many servers cite the path that they know nothing at, which may be the secret.
    """
    held = bytearray()
    try:
        async with contextlib.aclosing(answer.aiter_raw()) as pieces:
            async for piece in pieces:
                held += piece
                if len(held) >= 4 * BODY_CHARS:
                    break
    except OutboundError:
        held.clear()  # late, damaged or huge: nothing to show
    finally:
        await answer.aclose()
    text = held.decode(errors="replace").replace("\x00", "")
    return without_target(text, url)[:BODY_CHARS]
