"""One measurement, as `bench/results/latest.json` and `docs/benchmarks.md` hold it."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

ROOT = Path(__file__).resolve().parent.parent
LATEST = ROOT / "bench" / "results" / "latest.json"
PAGE = ROOT / "docs" / "benchmarks.md"


class Row(Struct, frozen=True, kw_only=True):
    """A figure, how many it is made of, its peer in the same run and its goal.

    Attributes:
        id: the promise it measures (B1 … of the design), or our own.
        bench: the module that measured it.
        peer: what was measured beside it in the same run; null where nothing comparable exists.
        ratio: value / peer_value.
        met: whether the goal holds; null where there is none.
    """

    id: str
    bench: str
    measure: str
    value: float
    unit: str
    n: int
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    goal: str | None = None
    met: bool | None = None


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` (0..1) of `values` lie; the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def store(rows: list[Row]) -> list[Row]:
    """Put `rows` in place of their benches' earlier ones; returns all that are known."""
    known: list[Row] = []
    if LATEST.exists():
        known = msgspec.json.decode(LATEST.read_bytes(), type=list[Row])
    fresh = {row.bench for row in rows}
    every = sorted([*(r for r in known if r.bench not in fresh), *rows], key=lambda r: r.id)
    LATEST.parent.mkdir(parents=True, exist_ok=True)
    LATEST.write_bytes(msgspec.json.format(msgspec.json.encode(every), indent=1) + b"\n")
    PAGE.write_text(page(every))
    return every


def page(rows: list[Row]) -> str:
    """Return docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench` (one part: `make bench ONLY=name`) from `bench/results/latest.json`;",
        "do not edit. Absolute figures move with the machine: these are of two shared cores,",
        "everything on loopback. A goal that is missed stays in the table.",
        "",
        "| id | measure | value | n | peer | ratio | goal | met | command |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in rows]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    peer = f"{row.peer}: {row.peer_value:g} {row.unit}" if row.peer_value is not None else ""
    ratio = f"{row.ratio:.2f}×" if row.ratio is not None else ""
    met = {True: "yes", False: "**no**", None: ""}[row.met]
    return (
        f"| {row.id} | {row.measure} | {row.value:g} {row.unit} | {row.n} | {peer} | {ratio} "
        f"| {row.goal or ''} | {met} | `make bench ONLY={row.bench}` |"
    )
