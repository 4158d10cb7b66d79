"""Look-ups of names, on threads of their own; a domain that answers slowly takes only a few."""

from __future__ import annotations

import concurrent.futures
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

AT_ONCE = 4
"""So many look-ups of one domain run at the same time."""

_THREADS = 64
_MOST_WAITING = 256
_SHORT = 3

Found = concurrent.futures.Future[list[Any]]
LookUp = Callable[[str, int], list[Any]]


def by_system(host: str, port: int) -> list[Any]:
    """Return what the system knows of `host`."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Lookups:
    """Runs `look_up`, which may hang, for any number of event loops.

    Who asks for a name that is being looked up waits for the same answer. Whoever owns a domain
    decides how long its look-ups take: each has its own line, and `AT_ONCE` of the threads.
    """

    def __init__(self, look_up: LookUp = by_system) -> None:
        self._look_up = look_up
        self._lock = threading.Lock()
        self._threads = concurrent.futures.ThreadPoolExecutor(_THREADS, "lookup")
        self._asked: dict[tuple[str, int], Found] = {}
        self._running: dict[str, int] = {}
        self._lines: dict[str, deque[tuple[str, int]]] = {}

    def look_up(self, host: str, port: int) -> Found:
        """Return the answer to come; not to be cancelled, for others may wait for it, too.

        The answer is an OSError where the name is not known, or its domain's line is full.
        """
        domain = domain_of(host)
        with self._lock:
            asked = self._asked.get((host, port))
            if asked is not None:
                return asked
            found: Found = concurrent.futures.Future()
            line = self._lines.setdefault(domain, deque())
            if len(line) >= _MOST_WAITING:
                found.set_exception(OSError(f"too many look-ups of {domain} are waiting"))
                return found
            self._asked[host, port] = found
            line.append((host, port))
            self._start(domain)
        return found

    def _start(self, domain: str) -> None:
        """Begin what may begin; the lock is held."""
        line = self._lines[domain]
        while line and self._running.get(domain, 0) < AT_ONCE:
            self._running[domain] = self._running.get(domain, 0) + 1
            self._threads.submit(self._run, domain, line.popleft())

    def _run(self, domain: str, name: tuple[str, int]) -> None:
        answer: list[Any] = []
        failure: BaseException | None = None
        try:
            answer = self._look_up(*name)
        except BaseException as exc:  # noqa: BLE001 - it belongs to who waits for the answer
            failure = exc
        with self._lock:
            found = self._asked.pop(name)
            self._running[domain] -= 1
            self._start(domain)
            if not self._running[domain]:
                del self._running[domain], self._lines[domain]
        if failure is not None:
            found.set_exception(failure)
        else:
            found.set_result(answer)


def domain_of(host: str) -> str:
    """Return the part of a name that somebody owns: `example.com`, `example.co.uk`.

    An estimate, without a list of the registries: two labels, three where both of the last ones
    are short.
    """
    labels = host.lower().rstrip(".").split(".")
    short = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= _SHORT
    return ".".join(labels[-3 if short else -2 :])
