"""What handlers are given of this slice: what makes the tokens of sessions."""

from __future__ import annotations

from litestar.di import NamedDependency

from control_plane.browser.door import Door

GivenDoor = NamedDependency[Door]
