"""What is true of a call without anybody saying so: its date and time, its numbers."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time

from control_plane.domain.brief import CallBrief


def built_in(brief: CallBrief, now: datetime) -> dict[str, str]:
    """Return the variables that need no value from the order (`domain.variables.BUILT_INS`).

    Dates and times are in the assistant's language, as they are said: `lunes, 21 de diciembre de
    2026`, `14:05`.

    Args:
        now: an aware instant.
    """
    here = local(brief, now)
    locale = brief.assistant.language.value.replace("-", "_")
    inbound = brief.direction == "inbound"
    theirs, ours = brief.to_phone_number, brief.from_phone_number
    if inbound:
        theirs, ours = ours, theirs
    return {
        "current_date": format_date(here, format="full", locale=locale),
        "current_time": format_time(here, format="short", locale=locale).replace("\u202f", " "),
        "time_zone": brief.time_zone,
        "call_direction": brief.direction.value,
        "user_phone_number": theirs,
        "agent_phone_number": ours,
    }


def local(brief: CallBrief, now: datetime) -> datetime:
    """Return `now` on the person's wall clock."""
    return now.astimezone(ZoneInfo(brief.time_zone))
