"""Ports for tests that start real servers: free, and handed to nobody else meanwhile."""

from __future__ import annotations

import atexit
import random
import socket
from collections import deque

_STEP = 20
_KEPT = 100  # blocks claimed by a process; by then the server of the oldest is up, or over
_claims: deque[socket.socket] = deque()
_FIRSTS = range(19_000, 32_000, 1_000)  # up to the ephemeral ports
_AREAS_KEPT = 3  # as many as a process has servers with media at the same time
_areas: deque[socket.socket] = deque()


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


def area() -> int:
    """Return the first of a thousand ports in a row, for what has media of its own.

    No two tests have the same area at a time, whatever they run; where none is left, none of
    this process's latest. The ports may be in use by others: whoever binds one says so.
    """
    for first in random.sample(_FIRSTS, len(_FIRSTS)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0offhook-tests-area-{first}")
        except OSError:
            claim.close()
            continue
        _areas.append(claim)
        if len(_areas) > _AREAS_KEPT:
            _areas.popleft().close()
        return first
    return random.choice(_FIRSTS)


@atexit.register
def _let_go() -> None:
    for claim in (*_claims, *_areas):
        claim.close()


_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def _free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
