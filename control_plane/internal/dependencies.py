"""What handlers are given of this slice: what LiveKit says of calls that come in."""

from __future__ import annotations

from litestar.di import NamedDependency

from control_plane.internal.arrivals import Arrivals

GivenArrivals = NamedDependency[Arrivals]
