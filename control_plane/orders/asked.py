"""What a request for an order asks for, made ready to be stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from control_plane.assistants.versions import Version
from control_plane.domain.calling_times import CallRetryConfig, check
from control_plane.domain.errors import BadInput, Conflict
from control_plane.domain.order_request import OrderRequest
from control_plane.domain.phone import e164, is_fictitious
from control_plane.trunks.routing import DialPlan


def times_of(request: OrderRequest, version: Version) -> CallRetryConfig:
    """Return when and how often it is tried: as asked, else as the assistant says."""
    if request.call_retry_config is not None:
        check(request.call_retry_config)
        return request.call_retry_config
    return version.spec.call_retry_config or CallRetryConfig()


def caller_number(
    request: OrderRequest, version: Version, dial_plan: DialPlan, *, to: str
) -> str | None:
    """Return the caller number asked for, None for the default at the time of the call.

    An assistant's is for the numbers that carriers reach.
    """
    if not dial_plan.trunks:
        raise Conflict("the organization has no outbound trunk to call with: POST /trunk adds one")
    usual = None if is_fictitious(to) else version.spec.from_phone_number
    wanted = request.from_phone_number or usual
    if wanted is None:
        return None
    number = e164(wanted, field="from_phone_number")
    if not dial_plan.owns(number):
        raise BadInput(
            f"{number} is not a number of this organization: POST /number adds it",
            field="from_phone_number",
        )
    return number


def instant_of(given: datetime | None) -> datetime | None:
    """Return `given` in UTC."""
    try:
        return given.astimezone(UTC) if given is not None else None
    except OverflowError as exc:  # the years 1 and 9999, in a zone that leads out of them
        raise BadInput(
            "scheduled_at is not a time in UTC; use a nearer one", field="scheduled_at"
        ) from exc


def written_of(text: str) -> str:
    """Return the number in E.164 where it is one; the rest is refused when it is built."""
    try:
        return e164(text)
    except BadInput:
        return text[:100]


def notices_of(later: datetime | None, timing: Mapping[str, Any], *, now: datetime) -> list[str]:
    """Return what the owner should know of an order's times, as they were decided."""
    if later is None or later >= now:
        return []
    said = "scheduled_at lies in the past: the order "
    if timing["waiting_rule"] is None:
        return [f"{said}is dialled now"]
    due = timing["due_at"]
    return [f"{said}waits for its {timing['waiting_rule']}, until {due:%Y-%m-%dT%H:%M:%SZ}"]
