"""Ports for tests that start real servers: free, and handed to nobody else meanwhile."""

from __future__ import annotations

import random
import socket

_STEP = 20


def block(count: int) -> int:
    """Return the first of `count` ports in a row that nobody has, for TCP and UDP.

    Below the ephemeral ports, so that the kernel gives none of them to another socket before
    the server under test binds it.
    """
    while True:
        first = random.randrange(10_000, 19_000 - count, _STEP)
        if all(_free(first + n, kind) for n in range(count) for kind in _KINDS):
            return first


_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def _free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
