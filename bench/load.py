"""`python -m bench.load`: POSTs over kept connections, in a process of its own.

A closed loop: each connection sends its next request when it has its answer. Prints one JSON
object: requests, seconds, latencies in ms, its own CPU seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import uvloop

from bench.rows import percentile


async def main(port: int, key: str, path: str, connections: int, seconds: float) -> None:
    """Send for `seconds`."""
    until = time.monotonic() + seconds
    taken: list[float] = []
    refused = 0

    async def send(number: int) -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while time.monotonic() < until:
            count += 1
            number_called = f"+1202555{(number * 997 + count) % 10_000:04d}"
            body = json.dumps(
                {"phone_number": number_called, "metadata": {"n": str(count)}}
            ).encode()
            began = time.perf_counter()
            writer.write(_request(path, key, body))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_length(head))
            taken.append((time.perf_counter() - began) * 1e3)
            refused += not head.startswith(b"HTTP/1.1 200")
        writer.close()

    began = time.monotonic()
    await asyncio.gather(*(send(number) for number in range(connections)))
    print(
        json.dumps(
            {
                "requests": len(taken),
                "refused": refused,
                "seconds": time.monotonic() - began,
                "p50": percentile(taken, 0.5),
                "p99": percentile(taken, 0.99),
                "cpu": time.process_time(),
            }
        )
    )


def _request(path: str, key: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise ValueError("an answer without a length")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("key")
    parser.add_argument("--path", default="/call")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args(sys.argv[1:])
    uvloop.run(main(given.port, given.key, given.path, given.connections, given.seconds))
