"""Ports for tests that start real servers: free, and handed to nobody else meanwhile."""

from __future__ import annotations

import atexit
import random
import socket
from collections import deque

_STEP = 20
_KEPT = 100  # blocks claimed by a process; by then the server of the oldest is up, or over
_claims: deque[socket.socket] = deque()


def block(count: int) -> int:
    """Return the first of `count` ports in a row that nobody has, for TCP and UDP.

    Below the ephemeral ports, so that the kernel gives none of them to another socket before
    the server under test binds it. Claimed by a name that only one socket of the machine can
    have: tests run in several threads and processes.
    """
    while True:
        first = random.randrange(10_000, 19_000 - count, _STEP)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0offhook-tests-{first}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        if len(_claims) > _KEPT:
            _claims.popleft().close()
        if all(_free(first + n, kind) for n in range(count) for kind in _KINDS):
            return first


@atexit.register
def _let_go() -> None:
    for claim in _claims:
        claim.close()


_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def _free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
