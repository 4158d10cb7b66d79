"""The rows of a measure that several arms have in one run: ours beside each peer, and discards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from agent.turn_taking import PROFILES
from bench import wire
from bench.arms import GREETING_DELAY_MS, OURS, STOCK
from bench.calls import row
from bench.rows import percentile
from control_plane.domain.assistant import TurnTaking

SILENCE_S = PROFILES[TurnTaking.BALANCED].finished_s
SETTINGS = (
    f"ours: {SILENCE_S:g} s of silence and what was said; "
    "peers: their own defaults for silence and turn model"
)
SHARES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"), (1.0, "max"))
Rows = list[dict[str, Any]]


class Found(Struct):
    """What one arm gave in one cell: measurements, and turns without one by reason."""

    values: list[float] = field(default_factory=list)
    discards: Counter[str] = field(default_factory=Counter)

    def add(self, measure: Callable[..., float], *of: Any) -> None:
        """Take a measurement, or the reason why there is none."""
        try:
            self.values.append(measure(*of))
        except wire.Discarded as why:
            self.discards[str(why)] += 1


Cell = dict[str, Found]


def compared(id_: str, what: str, cell: Cell, goals: dict[str, float]) -> Rows:
    """Return the rows of a measure: median, tail and discards, beside each peer."""
    ours = cell[OURS].values
    rows: Rows = []
    for peer in (name for name in cell if name != OURS):
        theirs = cell[peer].values
        for share, name in SHARES if ours and theirs else ():
            value, beside = percentile(ours, share), percentile(theirs, share)
            text = what if share == 0.5 else what.partition(" (")[0]
            made = row(id_, f"{text}, {name}", value, "ms", len(ours))
            made |= {
                "peer": peer,
                "peer_value": round(beside, 1),
                "ratio": round(value / beside, 3),
            }
            if share == 0.5 and peer in goals:
                made |= {"goal": f"≤ {goals[peer]:g}×", "met": value / beside <= goals[peer]}
            rows.append(made)
    return rows + discarded(id_, what.partition(" (")[0], cell)


def discarded(id_: str, what: str, cell: Cell) -> Rows:
    """Return a row an arm of the turns that are in no figure, and why."""
    rows = []
    for arm, found in cell.items():
        why = ", ".join(f"{reason}: {times}" for reason, times in found.discards.most_common())
        text = f"{what}: discarded, {arm}{f' ({why})' if why else ''}"
        tried = len(found.values) + found.discards.total()
        rows.append(row(id_, text, found.discards.total(), "turns", tried))
    return rows


def limited(id_: str, what: str, found: Found, most: float) -> Rows:
    """Return the row of a p95 that has a limit of its own; none where nothing was measured."""
    if not found.values:
        return []
    late = percentile(found.values, 0.95)
    made = row(id_, what, late, "ms", len(found.values), goal=f"≤ {most:g} ms")
    return [made | {"met": late <= most}]


def beyond_silence(replies: Found) -> Rows:
    """Return what a reply takes beyond the silence that we choose to wait for."""
    beyond = Found([value - SILENCE_S * 1000 for value in replies.values])
    return limited("B1", f"beyond the {SILENCE_S:g} s of silence chosen, p95", beyond, 200)


def shares(id_: str, what: str, cell: Cell) -> Rows:
    """Return how many percent of the cases were so; half of stock's is the goal."""
    percent = {
        arm: 100 * sum(found.values) / len(found.values)
        for arm, found in cell.items()
        if found.values
    }
    rows: Rows = []
    for peer in (name for name in percent if name != OURS and OURS in percent):
        made = row(id_, f"{what} ({SETTINGS})", percent[OURS], "%", len(cell[OURS].values))
        made |= {"peer": peer, "peer_value": round(percent[peer], 1)}
        made["ratio"] = round(percent[OURS] / percent[peer], 3) if percent[peer] else None
        if peer == STOCK:
            made |= {"goal": "≤ 0.5×", "met": percent[OURS] <= percent[peer] / 2}
        rows.append(made)
    return rows + discarded(id_, what, cell)


def greetings(cell: Cell) -> Rows:
    """Return how soon after the answer the agent speaks; ours beyond the delay it is told."""
    ours = Found([value - GREETING_DELAY_MS for value in cell[OURS].values], cell[OURS].discards)
    what = "answer → first agent sound beyond first_sentence_delay_ms"
    rows = compared("B6", f"{what} (peers: no delay)", {**cell, OURS: ours}, {})
    return [*limited("B6", f"{what}, p95", ours, 300), *rows]
