"""A campaign: many orders with one assistant, and the states it passes through."""

from __future__ import annotations

from enum import StrEnum

from control_plane.domain.errors import IllegalTransition


class CampaignStatus(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"  # rows are gathered; nothing is called
    RUNNING = "running"  # its rows are orders, or are becoming orders
    PAUSED = "paused"  # nothing new is dialled until it is resumed; live calls go on
    CANCELLED = "cancelled"  # its waiting orders were withdrawn
    COMPLETED = "completed"  # every order is final


_S = CampaignStatus

TRANSITIONS: dict[CampaignStatus, frozenset[CampaignStatus]] = {
    _S.DRAFT: frozenset({_S.RUNNING, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.PAUSED, _S.CANCELLED, _S.COMPLETED}),
    _S.PAUSED: frozenset({_S.RUNNING, _S.CANCELLED}),
    _S.CANCELLED: frozenset(),
    _S.COMPLETED: frozenset(),
}


def move(current: CampaignStatus, to: CampaignStatus) -> CampaignStatus:
    """Return `to` when it may follow `current`; staying is always allowed.

    Raises:
        IllegalTransition: it may not.
    """
    if to is not current and to not in TRANSITIONS[current]:
        raise IllegalTransition(f"a campaign that is {current} cannot become {to}", field="status")
    return to


def fails_too_often(results: str, *, limit: float | None, sample: int) -> bool:
    """Return whether a campaign must pause itself.

    Args:
        results: one letter per finished order, newest last: `x` failed, `.` did not.
        limit: the largest failure rate allowed (0 to 1); None never stops.
        sample: how many of the newest orders are judged; fewer decide nothing.
    """
    if limit is None or len(results) < sample:
        return False
    return results[-sample:].count("x") / sample > limit
