"""The brief is asked for until it is there, within a limit; a refusal is not asked again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from structlog.testing import capture_logs

from agent.briefing import insist
from agent.internal_api import InternalApi, Refused, Unreachable
from tests import factories

pytestmark = pytest.mark.unit

BRIEF = factories.call_brief()
TAKEN = (200, msgspec.json.encode(BRIEF))
BUSY = (503, b'{"code": "busy", "detail": "LiveKit cannot be asked about +12025550111"}')
LOST = None
"""The connection ends before the answer: nobody knows whether the request was served."""
Answer = tuple[int, bytes] | None


@asynccontextmanager
async def control_plane(*answers: Answer) -> AsyncIterator[tuple[InternalApi, list[str]]]:
    """Yield a client of a server that gives these answers, and what it was asked."""
    left, asked = list(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        answer = left.pop(0)
        if answer is not None:
            status, body = answer
            head = (
                f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    api = InternalApi(f"http://127.0.0.1:{port}", "livekit's token")
    async with server:
        yield api, asked
        await api.aclose()


async def test_an_answer_that_was_lost_is_asked_for_again() -> None:
    async with control_plane(LOST, BUSY, TAKEN) as (api, asked):
        with capture_logs() as lines:
            assert await insist(api.claim_inbound) == BRIEF
    assert len(asked) == 3
    assert all(each.startswith("POST /internal/inbound ") for each in asked)
    assert all("Bearer livekit's token" in each for each in asked)
    told = [str(line["why"]) for line in lines if line["event"] == "the brief cannot be had yet"]
    assert told[1] == "/internal/inbound answered 503 busy", "and nothing that it cites"


async def test_it_is_given_up_after_a_while() -> None:
    async with control_plane(BUSY, BUSY) as (api, asked):
        with pytest.raises(Unreachable, match=r"no brief within 0\.2 s: .* 503 busy"):
            await insist(api.claim_inbound, limit_s=0.2)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [(b'{"code": "token_used"}', "answered 409 token_used"), (b"<html>", "answered 409")],
)
async def test_a_refusal_is_final(body: bytes, said: str) -> None:
    async with control_plane((409, body)) as (api, asked):
        with pytest.raises(Refused, match=f"{said}$"):
            await insist(api.claim_inbound)
    assert len(asked) == 1
