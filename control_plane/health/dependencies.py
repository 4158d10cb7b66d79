"""What handlers are given of this slice: what is asked for readiness."""

from __future__ import annotations

from litestar.di import NamedDependency

from control_plane.health.probes import Probes

GivenProbes = NamedDependency[Probes]
