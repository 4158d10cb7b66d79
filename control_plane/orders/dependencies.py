"""What handlers are given of this slice: orders' intake, views and followers."""

from __future__ import annotations

from litestar.di import NamedDependency

from control_plane.orders.intake import Intake
from control_plane.orders.views import CallViews
from control_plane.orders.watch import CallWatch

GivenIntake = NamedDependency[Intake]
GivenViews = NamedDependency[CallViews]
GivenWatch = NamedDependency[CallWatch]
