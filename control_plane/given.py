"""What handlers are given by name: the application's resources and who is asking."""

from __future__ import annotations

from litestar.di import NamedDependency
from livekit import api

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.domain.prices import Prices
from control_plane.health import Probes
from control_plane.internal.arrivals import Arrivals
from control_plane.keys.ring import KeyRing, Principal
from control_plane.orders.counters import CallCounters
from control_plane.orders.intake import Intake
from control_plane.orders.views import CallViews
from control_plane.orders.watch import CallWatch
from control_plane.recordings.spool import RecordingFiles
from control_plane.streams import OpenStreams
from control_plane.tokens import TokenSigner
from control_plane.webhooks.feed import Feed

GivenDatabase = NamedDependency[Database]
GivenVault = NamedDependency[Vault]
GivenSigner = NamedDependency[TokenSigner]
GivenRecordings = NamedDependency[RecordingFiles]
GivenViews = NamedDependency[CallViews]
GivenRing = NamedDependency[KeyRing]
GivenIntake = NamedDependency[Intake]
GivenProbes = NamedDependency[Probes]
GivenPrincipal = NamedDependency[Principal]
GivenHooks = NamedDependency[api.WebhookReceiver]
GivenPrices = NamedDependency[Prices]
GivenStreams = NamedDependency[OpenStreams]
GivenFeed = NamedDependency[Feed]
GivenWatch = NamedDependency[CallWatch]
GivenCounters = NamedDependency[CallCounters]
GivenArrivals = NamedDependency[Arrivals]
