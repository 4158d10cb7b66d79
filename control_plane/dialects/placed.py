"""What a dialect needs of the answer to a new order."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from control_plane.orders.intake import Answer


class PlacedCall(Struct, frozen=True):
    """A new order, as far as dialects tell of it."""

    id: str
    organization_id: str
    created_at: datetime


class _Envelope(Struct, frozen=True):
    call: PlacedCall


_DECODER = msgspec.json.Decoder(_Envelope)


def placed_call(answer: Answer) -> PlacedCall:
    """Return the order that was placed."""
    return _DECODER.decode(answer.body).call
