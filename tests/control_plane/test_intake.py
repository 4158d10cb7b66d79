"""Taking orders in: what is written out behind the lock, and who took a key meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import Any

import pytest
from sqlalchemy import event, func, select

from control_plane.db.base import read_clock
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.models.call_order import CallOrder
from control_plane.domain.order_request import OrderRequest
from control_plane.orders.idempotency import RequestKey, answer_row
from control_plane.orders.intake import Intake, StoredAnswer
from control_plane.orders.placing import NewOrder
from control_plane.orders.schemas import CallView
from control_plane.orders.views import CallViews
from tests import factories

pytestmark = [pytest.mark.db, pytest.mark.engines]


def request(owner: str) -> OrderRequest:
    return OrderRequest(
        organization_id=owner,
        api_key_id=None,
        phone_number=factories.NUMBER,
        assistant=factories.spec(),
    )


class Watched(CallViews):
    """Notes whether SQLite has a writer while an answer is written out."""

    path = ""
    locked: bool | None = None

    def of_new(self, new: NewOrder) -> CallView:
        """Return the view."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=0)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
                self.locked = False
            except sqlite3.OperationalError:
                self.locked = True
        return super().of_new(new)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("with_key", [False, True], ids=["no key", "Idempotency-Key"])
async def test_only_an_answer_that_is_kept_is_written_out_behind_the_lock(
    database: Database, vault: Vault, *, with_key: bool
) -> None:
    views = Watched(factories.views()._links)
    views.path = database.url.removeprefix("sqlite+aiosqlite:///")
    owner = await factories.organization(database)
    key = RequestKey(owner, "one", "call", "") if with_key else None
    intake = Intake(database, vault, views)
    async with intake.open():
        answer = await intake.place(request(owner), key)
    assert factories.NUMBER.encode() in answer.body
    assert views.locked is with_key


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_finds_its_key_taken_meanwhile_gets_the_answer_given(
    database: Database, vault: Vault
) -> None:
    """SQLite has one writer, who sees what the one before wrote."""
    owner = await factories.organization(database)
    key = RequestKey(owner, "one", "call", "")
    stores = asyncio.Event()

    def stored(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("INSERT INTO idempotent_answer"):
            stores.set()

    intake = Intake(database, vault, factories.views())
    async with intake.open():
        async with database.transaction() as other:  # another process's
            other.add(answer_row(key, b"theirs", status=200, now=await read_clock(other)))
            await other.flush()
            event.listen(database.engine.sync_engine, "before_cursor_execute", stored)
            both = asyncio.gather(
                intake.place(request(owner), key), intake.place(request(owner), None)
            )
            await stores.wait()
        ours, beside = await both
    assert ours == StoredAnswer(b"theirs", replayed=True)
    assert factories.NUMBER.encode() in beside.body
    async with database.reading() as db:
        assert await db.scalar(select(func.count()).select_from(CallOrder)) == 1
