"""What handlers are given of this slice: the key ring and the signer of tokens."""

from __future__ import annotations

from litestar.di import NamedDependency

from control_plane.keys.ring import KeyRing
from control_plane.keys.tokens import TokenSigner

GivenRing = NamedDependency[KeyRing]
GivenSigner = NamedDependency[TokenSigner]
