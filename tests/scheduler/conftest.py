"""A scheduler over a real database, with everything outside in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.keys.tokens import TokenSigner
from control_plane.recordings.spool import RecordingFiles
from process.addresses import Allowed
from process.safe_http import Limits, Outbound
from scheduler.dispatch import Dispatcher
from scheduler.prepare import Preparer
from scheduler.service import World
from scheduler.trunks import TrunkKeeper
from tests import factories
from tests.scheduler.fakes import FakeRooms, FakeSip, ready_agent


@dataclass
class Desk:
    """The scheduler's parts and what they act on; `journal` is the order of what was done."""

    database: Database
    vault: Vault
    owner: str
    journal: list[str]
    rooms: FakeRooms
    sip: FakeSip
    keeper: TrunkKeeper
    dispatcher: Dispatcher
    recordings: RecordingFiles


@pytest.fixture
async def desk(
    database: Database, vault: Vault, signer: TokenSigner, tmp_path: Path
) -> AsyncIterator[Desk]:
    """A scheduler whose agents are ready at once and whose dials are answered."""
    journal: list[str] = []
    rooms, sip = FakeRooms(journal), FakeSip(journal)
    rooms.agent = ready_agent(database, journal)
    keeper = TrunkKeeper(database, sip, vault)
    async with asyncio.TaskGroup() as tasks:
        yield Desk(
            database=database,
            vault=vault,
            owner=await factories.organization(database),
            journal=journal,
            rooms=rooms,
            sip=sip,
            keeper=keeper,
            dispatcher=Dispatcher(
                database,
                rooms=rooms,
                dialer=sip,
                preparer=Preparer(database, rooms, signer, ready_timeout_s=2.0),
                trunks=keeper,
                tasks=tasks,
                ringing_timeout_s=30,
                max_dispatching=10,
            ),
            recordings=RecordingFiles(tmp_path),
        )


@pytest.fixture
def world(desk: Desk, signer: TokenSigner) -> World:
    """Return what the whole scheduler works with."""
    return World(
        database=desk.database,
        vault=desk.vault,
        signer=signer,
        recordings=desk.recordings,
        rooms=desk.rooms,
        dialer=desk.sip,
        trunks=desk.sip,
        views=factories.views(),
        outbound=Outbound(Allowed(), Limits()),
    )
