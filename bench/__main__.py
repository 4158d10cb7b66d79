"""`python -m bench [NAME …]`: measure, print a table, write the results and their page."""

from __future__ import annotations

import asyncio
import importlib
import sys

import msgspec
from rich.console import Console
from rich.table import Table

from bench.rows import LATEST, PAGE, ROOT, Row, store

BENCHES = (
    "calls",
    "gateway",
    "orders",
    "dispatch",
    "webhooks",
    "turns",
    "tools",
    "transfers",
    "capacity",
    "migration",
    "amd",
)


def main() -> None:
    """Run the benches named, or all."""
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.exit(f"no bench named {unknown[0]!r}; there are: {', '.join(BENCHES)}")
    rows: list[Row] = []
    for name in names:
        print(f"measuring {name} …", flush=True)
        measured = asyncio.run(importlib.import_module(f"bench.{name}").run())
        found = [msgspec.convert({**row, "bench": name}, Row) for row in measured]
        store(found)  # at once: the next one may fail
        rows += found
    Console().print(_table(rows))
    print(f"{LATEST.relative_to(ROOT)} and {PAGE.relative_to(ROOT)} are written")


def _table(rows: list[Row]) -> Table:
    table = Table("id", "measure", "value", "n", "goal", "met")
    for row in rows:
        met = "" if row.met is None else ("yes" if row.met else "no")
        table.add_row(row.id, row.measure, f"{row.value:g} {row.unit}", str(row.n), row.goal, met)
    return table


if __name__ == "__main__":
    main()
