"""What a process holds beyond its start: given back when idle, and judged against limits."""

from __future__ import annotations

import asyncio
import ctypes
import enum
import gc
import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

_LOOK_S, _QUIET_LOOKS = 1.0, 3
"""A process is at rest once it had no call at so many looks in a row."""
_MB = 1_000_000
_PAGE = os.sysconf("SC_PAGE_SIZE")
_libc = ctypes.CDLL(None)
_M_ARENA_MAX, _ARENAS = -8, 2  # malloc.h


class Worn(enum.StrEnum):
    """What a process holds too much of."""

    MEMORY = "memory"
    THREADS = "threads"


class Held(Struct, frozen=True):
    """What this process holds: resident memory in MB, threads of the system."""

    memory_mb: float
    threads: int


class Limits(Struct, frozen=True):
    """How much more than at its start a process may hold; 0: any amount."""

    memory_mb: int
    threads: int


def measure() -> Held:
    """Return what this process holds now."""
    resident = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(resident * _PAGE / _MB, len(os.listdir("/proc/self/task")))


def worn(now: Held, start: Held, limits: Limits) -> Worn | None:
    """Return what there is too much of, or null."""
    if limits.memory_mb and now.memory_mb - start.memory_mb > limits.memory_mb:
        return Worn.MEMORY
    if limits.threads and now.threads - start.threads > limits.threads:
        return Worn.THREADS
    return None


def share_memory() -> None:
    """Have all threads take memory from two pools; call it first, for a process that has calls.

    The C library gives each new thread a pool of its own, up to eight for each core, and each keeps
    what lies between the pieces that are still used. Measured after 6, 36, 66, 96 and 126 short
    calls, of which the worker used 147 to 148 MB all along: with 16 pools 554, 576, 594, 620 and
    628 MB resident, with 2 pools 553, 574, 569 and 546 MB (the last not measured).
    """
    if not _libc.mallopt(_M_ARENA_MAX, _ARENAS):
        raise OSError("the C library does not limit its pools of memory")


async def come_to_rest(is_busy: Callable[[], bool], taken: Callable[[], int], *, since: int) -> int:
    """Return how many calls were taken, once they are over and are more than `since`.

    Args:
        is_busy: whether a call is going on.
        taken: how many calls were taken so far.
    """
    quiet = 0
    while quiet < _QUIET_LOOKS or taken() == since:
        await asyncio.sleep(_LOOK_S)
        quiet = 0 if is_busy() else quiet + 1
    return taken()


def release_memory() -> None:
    """Give back what ended calls left; for idle moments, as it may take some 50 ms.

    What a call made refers to itself in circles, with native memory behind it, and waits for a
    full garbage collection, which is made rare (`tune_gc`). The C library keeps what is freed.
    """
    gc.collect()
    _libc.malloc_trim(0)
