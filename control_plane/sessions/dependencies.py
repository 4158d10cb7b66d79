"""What handlers are given of this slice: the counters of calls."""

from __future__ import annotations

from litestar.di import NamedDependency

from control_plane.sessions.counters import CallCounters

GivenCounters = NamedDependency[CallCounters]
