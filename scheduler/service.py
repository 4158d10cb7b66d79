"""The scheduler at work: every job wired to the timetable."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial

from msgspec import Struct

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.keys.tokens import TokenSigner
from control_plane.orders.views import CallViews
from control_plane.recordings.spool import RecordingFiles
from control_plane.webhooks import held
from process.logs import get_logger
from process.safe_http import Outbound
from scheduler.browser import Opener
from scheduler.campaigns import Feeder
from scheduler.cancel import Canceller
from scheduler.deliver import Deliverer
from scheduler.dispatch import Dispatcher
from scheduler.expire import Expirer
from scheduler.heartbeat import beat
from scheduler.humans import HumanDialer
from scheduler.prepare import Preparer
from scheduler.reconciler import Reconciler
from scheduler.recordings import RecordingMover
from scheduler.resume import Resumer
from scheduler.retention import RecordingRetention, Retention
from scheduler.room_cleanup import RoomCleanup
from scheduler.rooms import Rooms
from scheduler.settings import SchedulerSettings
from scheduler.sip_watch import SipWatch
from scheduler.talks import TalkWatch
from scheduler.timetable import Timetable
from scheduler.trunks import TrunkKeeper
from scheduler.unanswered import UnansweredCallers
from sip.ports import Dialer, Presence, Trunks

SWEEP_S = 1.0
SLOW_SWEEP_S = 5.0
"""For what nobody waits for: a lost wake-up costs no more than this."""
RECONCILE_S = 5.0
TRUNKS_S = 30.0
UNANSWERED_S = 2.0
SIP_WATCH_S = 0.25
HEARTBEAT_S = 3.0
TALKS_S = 0.5
"""Who is hung up on hears silence for so long, twice at most."""
EXPIRE_S = 10.0
RETENTION_S = 600.0
GRACE_S = 5.0
DISPATCH_REST_S = 0.03
"""Orders that fall due meanwhile are claimed together, which costs little more than for one."""

log = get_logger(__name__)


class World(Struct, frozen=True, kw_only=True):
    """What the scheduler acts on."""

    database: Database
    vault: Vault
    signer: TokenSigner
    recordings: RecordingFiles
    rooms: Rooms
    dialer: Dialer
    trunks: Trunks
    views: CallViews
    outbound: Outbound
    sip_presence: Presence | None = None
    """Null where livekit-server itself serves SIP: it ends the calls of a lost bridge."""


async def run(world: World, settings: SchedulerSettings, stopped: asyncio.Event) -> None:
    """Act on rows until `stopped`; calls that are live go on without us."""
    database = world.database
    name = f"{socket.gethostname()}:{os.getpid()}"
    async with asyncio.TaskGroup() as tasks:
        keeper = TrunkKeeper(database, world.trunks, world.vault)
        dispatcher = Dispatcher(
            database,
            rooms=world.rooms,
            dialer=world.dialer,
            preparer=Preparer(
                database,
                world.rooms,
                world.signer,
                ready_timeout_s=settings.agent_ready_timeout_s,
            ),
            trunks=keeper,
            tasks=tasks,
            ringing_timeout_s=settings.ringing_timeout_s,
            max_dispatching=settings.max_dispatching,
        )
        timetable = Timetable(database.changes, tasks)

        async def dispatch() -> None:
            await dispatcher.dispatch_due()
            if dispatcher.next_due_in is not None:
                timetable.after(dispatcher.next_due_in, "next due order", database.changes.notify)

        async def check_trunks() -> None:
            await keeper.apply(check_all=True)

        timetable.every(HEARTBEAT_S, "heartbeat", lambda: beat(database, name, dispatcher))
        timetable.every(TRUNKS_S, "check trunks", check_trunks)
        timetable.on_change("dispatch", dispatch, sweep_s=SWEEP_S, rest_s=DISPATCH_REST_S)
        timetable.on_change("apply trunks", keeper.apply, sweep_s=TRUNKS_S, rest_s=0.2)
        _open_sessions(world, settings, timetable)
        dialer = _pass_on(world, timetable, tasks)
        _run_upkeep(world, settings, timetable)
        deliverer = Deliverer(
            database, world.vault, world.views, world.outbound, on_room=database.changes.notify
        )
        notify_receivers(database, timetable, deliverer)
        mover = _put_recordings_away(world, settings, timetable)
        timetable.start()
        log.info("the scheduler runs", name=name)
        await stopped.wait()
        timetable.stop()
        working = (dispatcher, dialer, deliverer, mover)
        await asyncio.gather(*(each.finish(GRACE_S) for each in working))
    log.info("the scheduler has stopped", name=name)


def _run_upkeep(world: World, settings: SchedulerSettings, timetable: Timetable) -> None:
    """Do all that no dispatch waits for: look at calls, end, expire, clean up, delete."""
    database = world.database
    reconciler = Reconciler(database, world.rooms)
    timetable.every(RECONCILE_S, "reconcile", reconciler.reconcile)
    timetable.every(SWEEP_S, "look for silent agents", reconciler.reconcile_silent)
    timetable.every(
        UNANSWERED_S, "look for callers", UnansweredCallers(database, world.rooms).check
    )
    if world.sip_presence is not None:
        watch = SipWatch(world.sip_presence, reconciler)
        timetable.every(SIP_WATCH_S, "watch the SIP service", watch.check)
    expirer = Expirer(database)
    timetable.every(EXPIRE_S, "expire orders", expirer.expire)
    timetable.every(EXPIRE_S, "fill slots", expirer.fill_slots)
    messages = Retention(database, messages_kept=settings.messages_kept)
    timetable.every(RETENTION_S, "delete what is old", messages.delete_expired)
    recordings = RecordingRetention(database, world.recordings)
    timetable.every(RETENTION_S, "delete recordings", recordings.delete_expired)
    canceller = Canceller(database, world.rooms)
    timetable.on_change("cancel", canceller.end_cancelled, sweep_s=SWEEP_S, rest_s=0.1)
    feeder = Feeder(database)
    timetable.on_change("campaigns", feeder.check, sweep_s=SLOW_SWEEP_S, rest_s=0.25)
    resumer = Resumer(database)
    timetable.on_change("resume orders", resumer.release, sweep_s=SLOW_SWEEP_S, rest_s=0.25)
    room_cleanup = RoomCleanup(database, world.rooms)
    timetable.every(SLOW_SWEEP_S, "close stray rooms", room_cleanup.close_strays)
    timetable.on_change("delete rooms", room_cleanup.delete_rooms, sweep_s=SLOW_SWEEP_S, rest_s=0.2)


def _pass_on(world: World, timetable: Timetable, tasks: asyncio.TaskGroup) -> HumanDialer:
    """Call humans into conversations, and watch those that go on without an agent."""
    database = world.database
    dialer = HumanDialer(database, rooms=world.rooms, dialer=world.dialer, tasks=tasks)
    watch = TalkWatch(database, world.rooms, dialer)
    timetable.every(HEARTBEAT_S, "keep dialled humans", dialer.beat)
    timetable.on_change("call humans", dialer.dial_due, sweep_s=SWEEP_S, rest_s=DISPATCH_REST_S)
    timetable.every(TALKS_S, "watch talks", watch.check)
    return dialer


def _open_sessions(world: World, settings: SchedulerSettings, timetable: Timetable) -> None:
    """Open browser sessions at their time, and keep agents in them."""
    opener = Opener(
        world.database,
        world.rooms,
        world.signer,
        ready_timeout_s=settings.agent_ready_timeout_s,
    )

    async def open_due() -> None:
        wait = await opener.open_due()
        if wait is not None:
            timetable.after(wait, "next session", world.database.changes.notify)

    timetable.on_change("open sessions", open_due, sweep_s=SWEEP_S, rest_s=DISPATCH_REST_S)
    timetable.on_change("look after sessions", opener.check, sweep_s=SWEEP_S, rest_s=0.25)


def _put_recordings_away(
    world: World, settings: SchedulerSettings, timetable: Timetable
) -> RecordingMover:
    """Move recordings as calls end, and say when their store takes nothing."""
    mover = RecordingMover(
        world.database,
        world.recordings,
        days=settings.recording_days,
        on_settled=partial(held.release, world.views),
    )
    timetable.on_change("recordings", mover.put_away, sweep_s=SLOW_SWEEP_S, rest_s=0.5)
    timetable.every(RETENTION_S, "check the store of recordings", mover.check_store)
    return mover


def notify_receivers(database: Database, timetable: Timetable, deliverer: Deliverer) -> None:
    """Relay events and deliver them, woken by their commit and by the next try's instant."""

    async def notify() -> None:
        while await deliverer.deliver_due():
            pass
        due, now = await deliverer.next_due()
        if due is not None:
            timetable.after(due - now, "next delivery", database.changes.notify)

    timetable.on_change("webhooks", notify, sweep_s=SWEEP_S, rest_s=0.02)
