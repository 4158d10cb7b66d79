"""What handlers are given of this slice: the feed of events."""

from __future__ import annotations

from litestar.di import NamedDependency

from control_plane.webhooks.feed import Feed

GivenFeed = NamedDependency[Feed]
