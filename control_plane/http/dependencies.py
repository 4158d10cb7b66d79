"""What handlers are given by name; slices with resources of their own have a `given` beside it."""

from __future__ import annotations

from litestar.di import NamedDependency

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.domain.prices import Prices
from control_plane.http.auth import Principal
from control_plane.http.streams import OpenStreams

GivenDatabase = NamedDependency[Database]
GivenVault = NamedDependency[Vault]
GivenPrincipal = NamedDependency[Principal]
GivenPrices = NamedDependency[Prices]
GivenStreams = NamedDependency[OpenStreams]
