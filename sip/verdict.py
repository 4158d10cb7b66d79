"""What may be decided about a SIP request before a user agent sees it, and how long it holds."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sip.message import Request

Address = tuple[str, int]
Headers = tuple[tuple[str, str], ...]
Key = bytes

ANSWERED_S = 32.0  # 64*T1: for how long a client may repeat a request (RFC 3261 17.1.1.2)
FORWARDED_S = 300.0  # the longest ringing is over: timer C is > 180 s (RFC 3261 16.6 step 11)
_MAX_REMEMBERED = 20_000
MAX_PENDING_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request on to this address, with these headers added.

    Its URI and body are replaced by those that are given.
    """

    to: Address
    add_headers: Headers = ()
    uri: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the request here with this status."""

    status: int
    reason: str
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Silent:
    """Do not answer at all."""


Verdict = Forward | Reply | Silent


def challenge(value: str, *, proxy: bool = True) -> Reply:
    """The verdict that asks for digest credentials; `value` comes from digest.Authority."""
    if proxy:
        return Reply(407, "Proxy Authentication Required", (("Proxy-Authenticate", value),))
    return Reply(401, "Unauthorized", (("WWW-Authenticate", value),))


@dataclass(slots=True)
class Pending:
    """A request that is being decided about, and the size of its datagram in bytes."""

    key: Key
    request: Request
    size: int
    task: asyncio.Task[None] | None = field(default=None, repr=False)


@dataclass(slots=True)
class Seen:
    """What was decided about one request; `verdict` None while the decision is under way.

    Of the request itself nothing stays once it is decided: a repeat brings it again.
    """

    at: float
    pending: Pending | None
    verdict: Verdict | None = None


class Memory:
    """Requests seen lately, so that a repeat, a CANCEL or an ACK meets the same verdict.

    Forwarded INVITEs are kept apart and longer, as their CANCEL comes whenever the caller loses
    patience; a flood of refused requests does not push them out. Keys are hashes and verdicts are
    ours, so what strangers send does not change the size of an entry.
    """

    def __init__(self) -> None:
        self._brief: OrderedDict[Key, Seen] = OrderedDict()
        self._ringing: OrderedDict[Key, Seen] = OrderedDict()
        self._pending_bytes = 0

    def get(self, key: Key) -> Seen | None:
        """What was decided about the request of this key."""
        return self._brief.get(key) or self._ringing.get(key)

    def add(self, key: Key, pending: Pending, now: float) -> Seen | None:
        """Remember a new request for the short time; None when too much awaits a decision."""
        if self._pending_bytes + pending.size > MAX_PENDING_BYTES:
            return None
        self._pending_bytes += pending.size
        seen = self._brief[key] = Seen(now, pending)
        return seen

    def settle(self, seen: Seen, verdict: Verdict) -> Pending | None:
        """Note the first verdict and let the request go; None when there was a verdict already."""
        pending = seen.pending
        if pending is not None:
            seen.pending, seen.verdict = None, verdict
            self._pending_bytes -= pending.size
        return pending

    def lengthen(self, key: Key) -> None:
        """Remember a request for as long as it may ring."""
        seen = self._brief.pop(key, None)
        if seen is not None:
            self._ringing[key] = seen

    def expire(self, now: float) -> None:
        """Drop what is too old, and the oldest of what is too much."""
        _drop(self._brief, now - ANSWERED_S)
        _drop(self._ringing, now - FORWARDED_S)

    def clear(self) -> Iterable[Seen]:
        """Forget everything; what was remembered."""
        seen = [*self._brief.values(), *self._ringing.values()]
        self._brief.clear()
        self._ringing.clear()
        return seen


def _drop(table: OrderedDict[Key, Seen], limit: float) -> None:
    """Both tables are nearly in order of arrival: a decision takes seconds at most.

    A plain dict would do this in quadratic time: it walks over the places of what was deleted.
    """
    while table:
        first = next(iter(table.values()))
        if first.at > limit and len(table) < _MAX_REMEMBERED:
            return
        table.popitem(last=False)
