"""When Python looks for garbage, which stops everything else: not while loading, and briefly."""

from __future__ import annotations

import gc

_YOUNG, _MIDDLE, _OLD = 5_000, 20, 50


def begin_gc() -> None:
    """Look for garbage from now on (`process.importing`); call it once everything is loaded.

    What is loaded by now stays, so nobody need look through it again: through a loaded agent worker
    that takes 0.2 s, in which no call moves, and when a process ends 0.5 to 1.5 s.
    """
    gc.freeze()
    gc.enable()


def tune_gc() -> None:
    """Begin, and keep it short, for a process that carries sound."""
    begin_gc()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
