"""`python -m scheduler`: acts on rows; any number may run side by side."""

from __future__ import annotations

import process.importing  # noqa: F401

# isort: split

import asyncio
import logging
import os
import signal
import sys

import uvloop
from livekit import api
from msgspec import Struct

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.migrate import SchemaTooNew, migrate
from control_plane.keys.tokens import TokenSigner
from control_plane.orders.views import CallViews
from control_plane.recordings.links import RecordingLinks
from control_plane.recordings.settings import RecordingSettings
from control_plane.recordings.spool import RecordingFiles
from control_plane.recordings.store import RecordingStore
from control_plane.settings import ApiSettings, StorageSettings
from control_plane.webhooks.post import LIMITS
from process import crash_points, logs
from process.addresses import Allowed, HttpSettings
from process.gc_tuning import begin_gc
from process.safe_http import Outbound
from process.settings import SettingsError, load
from scheduler.rooms import LiveKitRooms
from scheduler.service import World, run
from scheduler.settings import SchedulerSettings
from sip.api import SipApi
from sip.settings import LiveKitSettings


class Given(Struct, frozen=True):
    """The settings, by concern."""

    storage: StorageSettings
    livekit: LiveKitSettings
    scheduler: SchedulerSettings
    recordings: RecordingSettings
    api: ApiSettings
    allowed: Allowed


def main() -> int:
    """Run until told to stop; 2 when it cannot start."""
    begin_gc()
    try:
        given = Given(
            storage=load(StorageSettings, os.environ),
            livekit=load(LiveKitSettings, os.environ),
            scheduler=load(SchedulerSettings, os.environ),
            recordings=load(RecordingSettings, os.environ),
            api=load(ApiSettings, os.environ),
            allowed=Allowed.parse(load(HttpSettings, os.environ).allow_private),
        )
    except SettingsError as exc:
        print(exc, file=sys.stderr)
        return 2
    settings = given.scheduler
    crash_points.arm_from(os.environ.get(crash_points.VARIABLE))
    logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it tells of every run
    logs.configure("scheduler", level=settings.log_level, show_pii=settings.log_pii)
    try:
        uvloop.run(_run(given))
    except (SchemaTooNew, SettingsError) as exc:
        print(exc, file=sys.stderr)
        return 2
    return 0


async def _run(given: Given) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    storage, livekit = given.storage, given.livekit
    store = RecordingStore.open(given.recordings, storage.folder / "recordings")
    signer = TokenSigner.open(storage.folder / "internal.key")
    lifetime = given.recordings.links_live
    database = Database(storage.url, wake_folder=storage.wake_folder)
    client = api.LiveKitAPI(livekit.http_url, livekit.api_key, livekit.api_secret, failover=False)
    outbound = Outbound(given.allowed, LIMITS)
    try:
        vault = Vault.open(storage.folder / "secret.key")
        await migrate(database, vault=vault)
        async with database.listening(), SipApi(livekit) as sip:
            world = World(
                database=database,
                vault=vault,
                signer=signer,
                recordings=RecordingFiles(storage.folder, store),
                rooms=LiveKitRooms(client),
                dialer=sip.dialer,
                trunks=sip.trunks,
                views=CallViews(RecordingLinks.open(signer, given.api.url, lifetime=lifetime)),
                outbound=outbound,
                sip_presence=sip if sip.separate else None,
            )
            await run(world, given.scheduler, stopped)
    finally:
        await outbound.aclose()
        await client.aclose()
        await database.close()


if __name__ == "__main__":
    sys.exit(main())
