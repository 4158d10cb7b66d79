"""The control plane's part of a call's trace: the call as a whole, its dial and its talk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from control_plane.db.models.attempt import Attempt
from control_plane.domain import events
from process import traces


def tell(attempt: Attempt, news: Iterable[events.CallEvent], now: datetime) -> None:
    """Tell how a call went, if this is the news that it is over; costs nothing without tracing."""
    if not any(isinstance(event, events.CallEnded) for event in news):
        return
    ended = attempt.ended_at or now
    facts = {
        "order_id": attempt.order_id,
        "status": attempt.status.value,
        "ended_by": attempt.ended_by,
        "end_reason": attempt.end_reason,
        "result": attempt.result,
        "dial_error": attempt.dial_error,
    }
    traces.tell_root(attempt.id, attempt.created_at, ended, facts)
    dialed, answered = attempt.dialing_at, attempt.answered_at
    with traces.below_root(attempt.id):
        if dialed is not None:
            traces.tell_span("dial", dialed, answered or ended, {"answered": answered is not None})
        if answered is not None:
            traces.tell_span("conversation", answered, ended, {"ended_by": attempt.ended_by})
