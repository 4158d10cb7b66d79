"""When Python looks for garbage, which stops everything else: not while loading, and briefly."""

from __future__ import annotations

import gc

_YOUNG, _MIDDLE, _OLD = 5_000, 20, 50


def begin_gc() -> None:
    """Look for garbage now and from now on; call it once everything is loaded.

    What loading left behind is a third of an agent worker's objects, with 60 MB. What stays, nobody
    need look through again: that takes 0.2 s, in which no call moves, and 0.5 to 1.5 s when a
    process ends.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def tune_gc() -> None:
    """Begin, and keep it short, for a process that carries sound."""
    begin_gc()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
