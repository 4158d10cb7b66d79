"""What dialects place orders with, and what they need of the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from control_plane.assistants import inline, secrets
from control_plane.assistants.inline import Inline
from control_plane.assistants.versions import Version
from control_plane.db.crypto import Vault
from control_plane.db.models.assistant import Assistant
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.assistant_rules import check
from control_plane.domain.calling_times import CallingWindow, CallRetryConfig, Weekday
from control_plane.domain.declared import Template, spots
from control_plane.domain.placeholders import names
from control_plane.orders.intake import StoredAnswer


class PlacedCall(Struct, frozen=True):
    """A new order, as far as dialects tell of it."""

    id: str
    organization_id: str
    created_at: datetime


class _Envelope(Struct, frozen=True):
    call: PlacedCall


_DECODER = msgspec.json.Decoder(_Envelope)


def placed_call(answer: StoredAnswer) -> PlacedCall:
    """Return the order that was placed."""
    return _DECODER.decode(answer.body).call


ONCE = CallRetryConfig(
    allowed_days=tuple(Weekday),
    calling_windows=(
        CallingWindow(calling_window_start_time="00:00", calling_window_end_time="24:00"),
    ),
    max_retry_attempts=1,
)
"""At any hour of any day, and no second time."""


class Speaker(Struct, frozen=True):
    """A stored assistant, and the spec that a call has of it; `sealed`: its secrets' references."""

    assistant: Assistant
    version: Version
    spec: AssistantSpec
    sealed: frozenset[str]

    @classmethod
    def of(
        cls,
        assistant: Assistant,
        version: Version,
        changes: Mapping[str, Any],
        *,
        besides: Sequence[Struct] = (),
    ) -> Speaker:
        """Return who speaks once `changes` are made, whose secrets may stand in `besides` too.

        Raises:
            BadInput: they do not go together; names the field.
        """
        spec = msgspec.structs.replace(version.spec, **changes)
        check(spec)
        parts = (version.spec, *besides)
        sealed = frozenset(value for part in parts for _, value in secrets.find(part))
        return cls(assistant, version, spec, sealed)

    def own(self, vault: Vault) -> Inline | None:
        """Return the assistant as this call changes it; None: it does not."""
        if self.spec == self.version.spec:
            return None
        return inline.vary(
            self.assistant.organization_id,
            self.spec,
            of=self.assistant,
            number=self.version.number,
            keep=self.sealed,
            vault=vault,
        )


def variables_of(spec: AssistantSpec) -> Iterator[str]:
    """Yield each variable that a text of the assistant names, built-in ones too."""
    for text in spots(spec, Template):
        yield from names(text.value if isinstance(text.value, str) else "\n".join(text.value))
