"""The composition root of the API: two applications on the same rows."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler
from livekit import api
from msgspec import Struct

from control_plane import first_start
from control_plane.assistants.controller import AssistantController
from control_plane.audit.controller import AuditController
from control_plane.audit.trail import AuditTrail
from control_plane.browser.controller import SessionController
from control_plane.browser.door import Door
from control_plane.campaigns.controller import CampaignController
from control_plane.compliance.controller import ConsentController, DoNotCallController
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.migrate import migrate
from control_plane.documents import describe_native, dialects, native
from control_plane.domain.prices import Prices
from control_plane.health.controller import HealthController
from control_plane.health.probes import Probes
from control_plane.http.auth import authenticated, provide_principal
from control_plane.http.buckets import Buckets
from control_plane.http.openapi import ENCODERS
from control_plane.http.problems import Problem, as_problem, handlers
from control_plane.http.requests import StrictRequest, known_query
from control_plane.http.streams import OpenStreams
from control_plane.internal.arrivals import Arrivals
from control_plane.internal.controller import InternalController
from control_plane.internal.humans import HumanController
from control_plane.internal.jobs import JobController
from control_plane.internal.workers import WorkerController
from control_plane.jobs.controller import AssistantTestController
from control_plane.keys.controller import KeyController
from control_plane.keys.join_tokens import JoinTokens
from control_plane.keys.ring import KeyRing
from control_plane.keys.tokens import TokenSigner
from control_plane.livekit_hooks import LiveKitHookController
from control_plane.metrics import MetricsController
from control_plane.numbers.controller import NumberController
from control_plane.orders.controller import OrderController
from control_plane.orders.intake import Intake
from control_plane.orders.views import CallViews
from control_plane.orders.watch import CallWatch
from control_plane.organizations.controller import OrganizationController
from control_plane.organizations.registry import RegistryController
from control_plane.presets.controller import PresetController
from control_plane.price_file import read_prices
from control_plane.providers.controller import ProviderController
from control_plane.recordings.controller import RecordingController
from control_plane.recordings.links import RecordingLinks
from control_plane.recordings.retention import OnSettled
from control_plane.recordings.spool import RecordingFiles
from control_plane.recordings.store import RecordingStore
from control_plane.sessions.counters import CallCounters
from control_plane.settings import Settings
from control_plane.trunks.controller import TrunkController
from control_plane.voices.controller import VoiceController
from control_plane.webhooks import held
from control_plane.webhooks.controller import WebhookController
from control_plane.webhooks.deliveries import DeliveryController
from control_plane.webhooks.feed import Feed
from control_plane.widget.controller import PageController
from control_plane.widget.files import PageFiles, WidgetController
from control_plane.widget.keys import PublicKeyController
from control_plane.widget.try_page import TryController, TryPage
from process.addresses import Allowed
from process.worker_key import is_worker_key
from sip.api import SipApi
from sip.call_rooms import LiveKitCallRooms

BODY_LIMIT = 256 * 1024
INTERNAL_BODY_LIMIT = 1024 * 1024


class Resources(Struct, frozen=True, kw_only=True):
    """What both applications work with."""

    database: Database
    vault: Vault
    signer: TokenSigner
    recordings: RecordingFiles
    on_settled: OnSettled
    links: RecordingLinks
    views: CallViews
    intake: Intake
    ring: KeyRing
    probes: Probes
    livekit_hooks: api.WebhookReceiver
    prices: Prices
    counters: CallCounters
    allowed: Allowed
    is_worker: Callable[[str], bool]
    streams: OpenStreams
    feed: Feed
    watch: CallWatch
    arrivals: Arrivals
    buckets: Buckets
    door: Door
    page_files: PageFiles
    try_page: TryPage


@contextlib.asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Yield the resources, with the schema up to date and the first rows there.

    Raises:
        SchemaTooNew: the database belongs to a newer release.
        SettingsError: OFFHOOK_ALLOW_PRIVATE or OFFHOOK_RECORDINGS_URL has the wrong form.
    """
    storage, livekit = settings.storage, settings.livekit
    prices = read_prices(settings.api.prices)
    database = Database(storage.url, wake_folder=storage.wake_folder)
    client = api.LiveKitAPI(livekit.http_url, livekit.api_key, livekit.api_secret, failover=False)
    try:
        vault = Vault.open(storage.folder / "secret.key")
        await migrate(database, vault=vault)
        await first_start.prepare(database, vault, storage.folder, settings.api)
        store = RecordingStore.open(settings.recordings, storage.folder / "recordings")
        signer = TokenSigner.open(storage.folder / "internal.key")
        lifetime = settings.recordings.links_live
        links = RecordingLinks.open(signer, settings.api.url, lifetime=lifetime)
        views = CallViews(links)
        intake = Intake(database, vault, views)
        async with database.listening(), SipApi(livekit) as sip, intake.open():
            tokens = JoinTokens(livekit.api_key, livekit.api_secret)
            ring = KeyRing(database, per_minute=settings.api.requests_per_minute)
            yield Resources(
                database=database,
                vault=vault,
                signer=signer,
                recordings=RecordingFiles(storage.folder, store),
                on_settled=functools.partial(held.release, views),
                links=links,
                views=views,
                intake=intake,
                ring=ring,
                probes=Probes(database, client, sip.trunks, settings.api.worker_health_url),
                livekit_hooks=api.WebhookReceiver(
                    api.TokenVerifier(livekit.api_key, livekit.api_secret)
                ),
                prices=prices,
                counters=CallCounters(prices),
                allowed=Allowed.parse(settings.outbound.allow_private),
                is_worker=functools.partial(is_worker_key, livekit_secret=livekit.api_secret),
                streams=OpenStreams(ring),
                feed=Feed(database),
                watch=CallWatch(database),
                arrivals=Arrivals(tokens, LiveKitCallRooms(client.room)),
                door=Door(tokens, settings.api.livekit_public_url or livekit.url),
                buckets=Buckets(),
                page_files=PageFiles(),
                try_page=TryPage(settings.api.try_page, settings.api.url),
            )
    finally:
        await client.aclose()
        await database.close()


def state_of(resources: Resources) -> dict[str, Any]:
    """Return what an application keeps in its state, where its handlers find all they work with."""
    return {name: getattr(resources, name) for name in Resources.__struct_fields__}


def create_public_app(resources: Resources) -> Litestar:
    """Return the application for clients."""
    guarded: list[ControllerRouterHandler] = [
        OrderController,
        SessionController,
        AssistantController,
        AssistantTestController,
        TrunkController,
        NumberController,
        ProviderController,
        VoiceController,
        KeyController,
        PublicKeyController,
        OrganizationController,
        RegistryController,
        AuditController,
        CampaignController,
        DoNotCallController,
        ConsentController,
        WebhookController,
        DeliveryController,
        PresetController,
    ]
    return _application(
        resources,
        [
            _guarded("/", guarded),
            _guarded("/api", [AliasedOrderController]),
            *dialects(_parts()),
            PageController,
            WidgetController,
            TryController,
            RecordingController,
            HealthController,
            LiveKitHookController,
        ],
        body_limit=BODY_LIMIT,
        openapi=native(),
    )


def create_internal_app(resources: Resources) -> Litestar:
    """Return the application for our own agents; bind it to loopback."""
    return _application(
        resources,
        [InternalController, HumanController, JobController, MetricsController, WorkerController],
        body_limit=INTERNAL_BODY_LIMIT,
        openapi=None,
    )


class AliasedOrderController(OrderController):
    """The same orders below `/api`, as the Revox contract has them; left out of the schema."""

    include_in_schema = False


def _guarded(path: str, handlers: list[ControllerRouterHandler]) -> Router:
    return Router(
        path=path,
        route_handlers=handlers,
        guards=[authenticated, known_query],
        middleware=[AuditTrail()],
        dependencies={"principal": Provide(provide_principal)},
    )


def _application(
    resources: Resources,
    served: list[ControllerRouterHandler],
    *,
    body_limit: int,
    openapi: OpenAPIConfig | None,
) -> Litestar:
    return Litestar(
        served,
        dependencies=_parts(),
        exception_handlers=handlers(as_problem, Problem),
        request_class=StrictRequest,
        request_max_body_size=body_limit,
        openapi_config=openapi,
        type_encoders=ENCODERS,
        on_startup=[describe_native] if openapi is not None else [],
        state=State(state_of(resources), deep_copy=False),
        logging_config=None,
    )


def _parts() -> dict[str, Provide]:
    """Return how handlers get each of the resources."""
    return {name: Provide(_part(name)) for name in Resources.__struct_fields__}


def _part(name: str) -> Any:
    async def provide(state: State) -> Any:
        return state[name]

    return provide
