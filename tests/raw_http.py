"""Talk to a listener byte by byte, as an HTTP client that keeps to no rules."""

from __future__ import annotations

import asyncio
import contextlib


async def ask(port: int, *pieces: bytes) -> bytes:
    """Send pieces until the far end closes, which it must; what it said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            while read := await reader.read(65536):
                got += read
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return got
