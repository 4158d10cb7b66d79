"""A process that carries sound must not pause: what Python does at times of its own choosing."""

from __future__ import annotations

import gc

_YOUNG, _MIDDLE, _OLD = 5_000, 20, 50


def tune_gc() -> None:
    """Keep garbage collection short from now on; call it once everything is loaded.

    What is loaded by now stays, so garbage collection need not look through it again: through a
    loaded agent worker it takes 0.2 s, in which no call moves.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
