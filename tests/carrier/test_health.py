"""The simulator's HTTP face holds no more of a connection than the gateway's does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sip.carrier.carrier import Carrier
from sip.carrier.health import Health
from sip.carrier.settings import CarrierSettings
from sip.carrier.witness import Witness
from sip.listener import MAX_CONNECTIONS
from tests.raw_http import ask

pytestmark = pytest.mark.unit

ASKED = b"GET /numbers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    health = Health(Carrier(CarrierSettings(), Witness()), "127.0.0.1", 0)
    yield await health.start()
    await health.stop()


async def test_numbers_are_told_and_long_headers_refused(port: int) -> None:
    said = await ask(port, ASKED, b"\r\n")
    assert said.startswith(b"HTTP/1.1 200")
    assert b'"+12025550102"' in said
    flood = await ask(port, ASKED, b"X: 1\r\n" * 100, b"\r\n")
    assert flood[:12] in (b"HTTP/1.1 400", b"HTTP/1.0 400", b"")


async def test_connections_are_counted(port: int) -> None:
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
    assert (await ask(port, ASKED, b"\r\n"))[:12] in (b"HTTP/1.1 503", b"")
    for _, writer in held:
        writer.close()
