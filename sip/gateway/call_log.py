"""Whose the statistics are that baresip logs when a call is over."""

from __future__ import annotations

import logging

from sip.gateway.calls import Calls


def name_calls(calls: Calls) -> None:
    """Have baresip's lines about a call tell its room, and mark the number as personal data."""
    logging.getLogger("baresip.call").addFilter(_Named(calls))


class _Named(logging.Filter):
    """Knows calls by baresip's handle, which is of use to nobody outside this process."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls

    def filter(self, record: logging.LogRecord) -> bool:
        facts = record.__dict__
        handle = facts.pop("call", None)
        for leg in self._calls.active:
            if leg.phone is not None and leg.phone.handle == handle:
                facts |= {"room": leg.member.room, "call": leg.call_id}
        if "peer" in facts:
            facts["pii_peer"] = facts.pop("peer")
        return True
