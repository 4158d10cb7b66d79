"""Which of the two G.711 codecs a call offers or takes, and in which order."""

from __future__ import annotations

from livekit.protocol import sip as proto

from sip.gateway.errors import invalid, unserved

Codecs = tuple[str, ...]

DEFAULT: Codecs = ("pcmu", "pcma")
ORDERS: tuple[Codecs, ...] = (DEFAULT, ("pcma", "pcmu"), ("pcmu",), ("pcma",))
AGENTS = {order: f"offhook-{'-'.join(order)}" for order in ORDERS}  # who takes inbound calls
_ALWAYS = "telephone-event"


def chosen(*configs: proto.SIPMediaConfig) -> Codecs:
    """The codecs of the last config that lists any, in its order.

    Listed ones come first; without `only_listed_codecs` the others follow. An offer keeps this
    order; an answer takes the caller's order of those that are here (RFC 3264 6.1).
    """
    codecs = DEFAULT
    for config in configs:
        listed = _listed(config)
        if config.only_listed_codecs:
            if not listed:
                raise invalid("no codecs specified")
            codecs = listed
        elif listed:
            codecs = (*listed, *(name for name in DEFAULT if name not in listed))
    return codecs


def _listed(config: proto.SIPMediaConfig) -> Codecs:
    found: list[str] = []
    for codec in config.codecs:
        name = codec.name.lower()
        if not name:
            raise invalid("no codec name specified")
        if name not in (*DEFAULT, _ALWAYS) or codec.rate not in (0, 8000):
            raise unserved(f"media.codecs {codec.name}", "is not served: PCMU and PCMA only")
        if name != _ALWAYS and name not in found:
            found.append(name)
    return tuple(found)
