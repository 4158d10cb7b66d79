"""The control plane's part of a call's trace: the call as a whole, its dial and its talk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from control_plane.domain import events
from control_plane.sessions.calls import Call
from process import traces


def report(call: Call, news: Iterable[events.CallEvent], now: datetime) -> None:
    """Tell how a call went, if this is the news that it is over; costs nothing without tracing."""
    if not any(isinstance(event, events.CallEnded) for event in news):
        return
    ended = call.session.ended_at or now
    facts = {
        "order_id": call.order_id,
        "status": call.session.status.value,
        "ended_by": call.session.ended_by,
        "end_reason": call.session.end_reason,
        "result": call.session.result,
        "dial_error": call.leg.dial_error,
    }
    traces.report_root(call.id, call.session.created_at, ended, facts)
    dialed, answered = call.leg.dialing_at, call.session.answered_at
    with traces.below_root(call.id):
        if dialed is not None:
            traces.report_span(
                "dial", dialed, answered or ended, {"answered": answered is not None}
            )
        if answered is not None:
            traces.report_span("conversation", answered, ended, {"ended_by": call.session.ended_by})
