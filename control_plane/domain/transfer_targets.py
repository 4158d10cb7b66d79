"""Whom calls are passed on to: in which order, at which hours, and how long it rings there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from control_plane.domain import calling_times
from control_plane.domain.calling_times import (
    WORKING_DAYS,
    CallingWindow,
    CallRetryConfig,
    Weekday,
    check_zone,
    open_at,
)
from control_plane.domain.errors import BadInput
from control_plane.domain.phone import e164

RINGING_S = 30
LONGEST_RINGING_S = 60


class TransferHours(Struct, frozen=True, forbid_unknown_fields=True):
    """When somebody takes calls, by the clocks of `timezone` (IANA); they may cross midnight."""

    timezone: Annotated[str, Meta(max_length=100)]
    days: Annotated[tuple[Weekday, ...], Meta(max_length=7)] = WORKING_DAYS
    start: Annotated[str, Meta(max_length=10)] = "09:00"
    end: Annotated[str, Meta(max_length=10)] = "17:00"

    @property
    def _config(self) -> CallRetryConfig:
        window = CallingWindow(
            calling_window_start_time=self.start, calling_window_end_time=self.end
        )
        return CallRetryConfig(allowed_days=self.days, calling_windows=(window,))

    def include(self, now: datetime) -> bool:
        """Return whether `now` is within them."""
        return open_at(self._config, (self.timezone,), now) is not None

    def check(self, *, field: str) -> None:
        """Find out whether they can be kept to.

        Raises:
            BadInput: a time cannot be read, they are none, or the zone is unknown.
        """
        check_zone(self.timezone, field=f"{field}.timezone")
        try:
            calling_times.check(self._config)
        except BadInput as exc:
            why = str(exc).partition(" ")[2]
            raise BadInput(f"{field}: a time of these hours {why}", field=field) from exc


class TransferTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody whom calls are passed on to; without `hours` at any time."""

    phone_number: Annotated[str, Meta(max_length=100)]
    name: Annotated[str, Meta(max_length=100)] = ""
    hours: TransferHours | None = None
    ring_secs: Annotated[int, Meta(ge=5, le=LONGEST_RINGING_S)] = RINGING_S


def check_targets(targets: Sequence[TransferTarget], *, field: str = "transfer_targets") -> None:
    """Find out whether calls can be passed on to `targets`.

    Raises:
        BadInput: a number is none, or stands there twice, or hours cannot be kept to.
    """
    seen: set[str] = set()
    for n, target in enumerate(targets):
        place = f"{field}[{n}]"
        number = e164(target.phone_number, field=f"{place}.phone_number")
        if number in seen:
            raise BadInput(
                f"{place}.phone_number is one of an earlier target: name each number once",
                field=f"{place}.phone_number",
            )
        seen.add(number)
        if target.hours is not None:
            target.hours.check(field=f"{place}.hours")


def in_order(number: str | None, targets: Sequence[TransferTarget]) -> list[TransferTarget]:
    """Return whom calls are passed on to, the assistant's one `number` first, in E.164."""
    first = [TransferTarget(number)] if number is not None else []
    found = {each.phone_number: each for each in first}
    for target in targets:
        number = e164(target.phone_number, field="transfer_targets")
        if number not in found:
            found[number] = TransferTarget(number, target.name, target.hours, target.ring_secs)
    return list(found.values())
