"""`python -m tests.simulator`: schedules of the order book, each drawn from its seed alone."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from tests.simulator import mutants
from tests.simulator.run import Simulator
from tests.simulator.workers import verdicts

_SHOWN = 20
_PROGRESS_S = 10.0


def main() -> int:
    """Run schedules; 1 when a promise was broken in one of them, 2 for a wrong command line."""
    options = _options()
    if options.mutant is not None and options.mutant not in mutants.MUTANTS:
        print(f"there is no mutant {options.mutant!r}; use one of {', '.join(mutants.MUTANTS)}")
        return 2
    if options.replay is not None:
        return _replay(options)
    # Told to stop, the pool must end its processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    violations = schedules = 0
    began = told = time.monotonic()
    for seed, broken in verdicts(
        range(options.seed, options.seed + options.runs), options.workers, options.mutant
    ):
        schedules += 1
        violations += len(broken)
        for what in broken[:_SHOWN]:
            print(
                f"seed {seed}: {what}; replay: {_command(options.mutant)} --replay {seed} --trace"
            )
        if time.monotonic() - told > _PROGRESS_S:
            told = time.monotonic()
            speed = schedules / (told - began)
            print(
                f"{schedules} of {options.runs}, {speed:.0f}/s, {violations} violations", flush=True
            )
        if violations and options.stop:
            break
    print(f"schedules: {schedules}")
    print(f"violations: {violations}")
    return 1 if violations else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000, help="how many schedules")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--mutant", help=f"plant a bug: {', '.join(mutants.MUTANTS)}")
    parser.add_argument("--stop", action="store_true", help="stop at the first violation")
    parser.add_argument("--replay", type=int, nargs="+", help="run these seeds' schedules only")
    parser.add_argument("--trace", action="store_true", help="with --replay: show what happened")
    return parser.parse_args()


def _command(mutant: str | None) -> str:
    return "python -m tests.simulator" + (f" --mutant {mutant}" if mutant else "")


def _replay(options: argparse.Namespace) -> int:
    violations = 0
    with mutants.planted(options.mutant):
        simulator = Simulator()
        for seed in options.replay:
            verdict = simulator.run(seed)
            violations += len(verdict.violations)
            if options.trace:
                print("\n".join(verdict.trace))
            for what in verdict.violations:
                print(f"seed {verdict.seed}: {what}")
    print(f"violations: {violations}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
