"""Which codecs a call offers or takes, and in which order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from livekit.protocol import sip as proto

from sip.gateway.errors import invalid, unserved

Codecs = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec, mono.

    Attributes:
        encoding: as SDP has it, in small letters; the number is the clock's (Hz) of RTP.
        rate: samples a second.
    """

    encoding: str
    rate: int

    @property
    def clock(self) -> int:
        """What its RTP time stamps count a second (Hz)."""
        return int(self.encoding.partition("/")[2])


SERVED = {
    "g722": Codec("g722/8000", 16_000),  # the clock is an error that RFC 3551 keeps (4.5.2)
    "pcmu": Codec("pcmu/8000", 8_000),
    "pcma": Codec("pcma/8000", 8_000),
    "opus": Codec("opus/48000", 16_000),  # of what it can, the half that voices have
}
BY_ENCODING = {codec.encoding: codec for codec in SERVED.values()}
USUAL: Codecs = ("pcmu", "pcma")
"""What is offered unless a setting says otherwise: every telephone and carrier has them."""
AGENTS = {
    frozenset(each): (f"offhook-{'-'.join(each)}", each)
    for count in range(1, len(SERVED) + 1)
    for each in itertools.combinations(SERVED, count)
}
"""Who takes inbound calls, by the codecs that may be answered with; and those in one order."""
_ALWAYS = "telephone-event"


def account(codecs: Codecs) -> str:
    """The parameter of a baresip account that offers these in this order."""
    return "audio_codecs=" + ",".join(f"{name}/{SERVED[name].rate}/1" for name in codecs)


def taken(offered: Codecs) -> Codecs:
    """What an offer is answered with: what we would offer, else anything that is served."""
    return _first(offered, SERVED)


def widest(codecs: Codecs) -> int:
    """The rate (Hz) that carries what any of these does."""
    return max(SERVED[name].rate for name in codecs)


def chosen(*configs: proto.SIPMediaConfig, default: Codecs = USUAL) -> Codecs:
    """The codecs of the last config that lists any, in its order.

    Listed ones come first; without `only_listed_codecs` the default ones follow.
    """
    codecs = default
    for config in configs:
        listed = _listed(config)
        if config.only_listed_codecs:
            if not listed:
                raise invalid("no codecs specified")
            codecs = listed
        elif listed:
            codecs = _first(listed, default)
    return codecs


def _first(listed: Codecs, others: Iterable[str]) -> Codecs:
    """Those that are listed, then the others."""
    return tuple(dict.fromkeys((*listed, *others)))


def _listed(config: proto.SIPMediaConfig) -> Codecs:
    found: list[str] = []
    for codec in config.codecs:
        name = codec.name.lower()
        if not name:
            raise invalid("no codec name specified")
        clock = SERVED[name].clock if name in SERVED else 8_000
        if name not in (*SERVED, _ALWAYS) or codec.rate not in (0, clock):
            raise unserved(
                f"media.codecs {codec.name}/{codec.rate}",
                f"is not served: {', '.join(each.encoding for each in SERVED.values())} only",
            )
        if name != _ALWAYS and name not in found:
            found.append(name)
    return tuple(found)
