"""What a process holds, against its limits; what it gives back when idle."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from process import wear
from process.wear import Held, Limits, Worn

pytestmark = pytest.mark.unit

START = Held(500.0, 20)


@pytest.mark.parametrize(
    ("now", "limits", "why"),
    [
        (Held(600.0, 30), Limits(100, 10), None),
        (Held(600.5, 20), Limits(100, 10), Worn.MEMORY),
        (Held(500.0, 31), Limits(100, 10), Worn.THREADS),
        (Held(400.0, 10), Limits(100, 10), None),
        (Held(9_000.0, 900), Limits(0, 0), None),
    ],
)
def test_growth_since_the_start_is_judged(now: Held, limits: Limits, why: Worn | None) -> None:
    assert wear.worn(now, START, limits) is why


def test_what_is_held_is_seen() -> None:
    before = wear.measure()
    block = bytearray(b"x") * 50_000_000
    assert 45.0 < wear.measure().memory_mb - before.memory_mb < 60.0
    del block
    assert before.threads >= 1


ARENAS = """
import ctypes, sys, threading
from process import wear
if "share" in sys.argv:
    wear.share_memory()
gate = threading.Barrier(13)
def hold():
    held = [bytearray(100) for _ in range(10_000)]
    gate.wait()
    gate.wait()
threads = [threading.Thread(target=hold) for _ in range(12)]
for each in threads: each.start()
gate.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fflush.argtypes = [ctypes.c_void_p]
out = libc.fdopen(1, b"w")
libc.malloc_info(0, out)
libc.fflush(out)
gate.wait()
"""


@pytest.mark.parametrize(("how", "most"), [("share", 2), ("each", 99)])
def test_all_threads_take_memory_from_two_pools(how: str, most: int) -> None:
    told = subprocess.run(
        [sys.executable, "-c", ARENAS, how], capture_output=True, text=True, check=True, timeout=30
    )
    pools = told.stdout.count("<heap ")
    assert pools <= most
    assert pools > 2 or how == "share"  # else this says nothing


class Circle:
    def __init__(self) -> None:
        self.me = self


def test_what_refers_to_itself_is_given_back() -> None:
    gc.disable()
    try:
        gone = weakref.ref(Circle())
        assert gone() is not None
        wear.release_memory()
        assert gone() is None
    finally:
        gc.enable()
