"""Schedules side by side, in processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence

from tests.simulator import mutants
from tests.simulator.run import Simulator

_TOGETHER = 10


class _Worker:
    simulator: Simulator


def verdicts(
    seeds: Sequence[int], workers: int, mutant: str | None
) -> Iterator[tuple[int, list[str]]]:
    """Yield each seed with the violations of its schedule, as they are done."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _prepare, (mutant,)) as pool:
        yield from pool.imap_unordered(_run, seeds, chunksize=_TOGETHER)


def _prepare(mutant: str | None) -> None:
    mutants.plant(mutant)
    _Worker.simulator = Simulator()


def _run(seed: int) -> tuple[int, list[str]]:
    return seed, _Worker.simulator.run(seed).violations
