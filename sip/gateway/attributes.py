"""SIP headers as participant attributes."""

from __future__ import annotations

from collections.abc import Mapping

from livekit.protocol import sip as proto

from process.short_way.offers import ATTRIBUTE
from sip.front import NONCE_HEADER
from sip.message import Message, canonical


def header_attributes(message: Message, mapping: Mapping[str, str], include: int) -> dict[str, str]:
    """Mapped headers under their attribute, and `sip.h.<name>` for those to include."""
    found: dict[str, str] = {}
    for name, value in message.headers:
        long_name = canonical(name)
        if long_name == NONCE_HEADER.lower():
            continue
        wanted = include == proto.SIP_ALL_HEADERS or (
            include == proto.SIP_X_HEADERS and long_name.startswith("x-")
        )
        if wanted:
            found[f"sip.h.{long_name}"] = value
    for name, attribute in mapping.items():
        value_of = message.header(name)
        if value_of is not None and attribute != ATTRIBUTE:  # whose sound passes where is ours
            found[attribute] = value_of
    return found
