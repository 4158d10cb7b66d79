"""What a running Offhook's database says, read beside it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import Database
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow, Heartbeat, OutboxRow
from control_plane.db.models.session import Leg, Session
from control_plane.db.models.webhook import Delivery, DeliveryTry
from control_plane.domain.call_order import OrderStatus
from tests import call_rows
from tests.call_rows import CallRow

FINAL = frozenset({OrderStatus.COMPLETED, OrderStatus.CANCELLED, OrderStatus.ERRORED})
ENDINGS = ("call.completed", "call.no_answer", "call.cancelled", "call.failed")
T = TypeVar("T")


class Ledger(Struct):
    """The orders asked for, with their attempts and how often each one's end was told."""

    orders: dict[str, CallOrder]
    attempts: dict[str, list[CallRow]]
    endings: Counter[str]

    @property
    def every_attempt(self) -> list[CallRow]:
        """The attempts of all the orders."""
        return [attempt for each in self.attempts.values() for attempt in each]


class Books:
    """Reads the rows of one database, over one connection that sees only what is committed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._runner = asyncio.Runner()
        self._database = Database(url, wake_folder=Path("/nowhere"), pool_size=1)

    def close(self) -> None:
        """Close the connection."""
        self._runner.run(self._database.close())
        self._runner.close()

    def read(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Return what `work` reads in one transaction."""

        async def run() -> T:
            async with self._database.reading() as session:
                return await work(session)

        return self._runner.run(run())

    def events(self) -> int:
        """Return how many happenings are stored."""

        async def count(session: AsyncSession) -> int:
            return (await session.execute(select(func.count(CallEventRow.id)))).scalar_one()

        return self.read(count)

    def statuses(self, ids: Collection[str]) -> Counter[OrderStatus]:
        """Return how many of these orders are in each status."""

        async def count(session: AsyncSession) -> Counter[OrderStatus]:
            rows = await session.scalars(select(CallOrder.status).where(CallOrder.id.in_(ids)))
            return Counter(rows)

        return self.read(count)

    def names(self, run: str) -> list[tuple[str, str]]:
        """Return id and name of the orders whose metadata say that they are of `run`."""

        async def load(session: AsyncSession) -> list[tuple[str, str]]:
            rows = await session.execute(select(CallOrder.id, CallOrder.call_metadata))
            return [(key, facts["name"]) for key, facts in rows if facts.get("run") == run]

        return self.read(load)

    def ledger(self, ids: Collection[str]) -> Ledger:
        """Return these orders and what became of them."""

        async def load(session: AsyncSession) -> Ledger:
            rows = await session.scalars(select(CallOrder).where(CallOrder.id.in_(ids)))
            orders = {order.id: order for order in rows}
            attempts: dict[str, list[CallRow]] = {order_id: [] for order_id in orders}
            for attempt in await call_rows.find(session, Attempt.order_id.in_(ids)):
                attempts[attempt.order_id].append(attempt)
            endings = Counter(
                await session.scalars(
                    select(CallEventRow.call_id).where(
                        CallEventRow.type.in_(ENDINGS), CallEventRow.call_id.in_(ids)
                    )
                )
            )
            return Ledger(orders, attempts, endings)

        return self.read(load)

    def dialled_from(self, caller: str) -> dict[str, datetime]:
        """Return the orders that were dialled from a number, and when that was last marked."""

        async def load(session: AsyncSession) -> dict[str, datetime]:
            rows = await session.execute(
                select(Attempt.order_id, Leg.dialing_at)
                .join(Leg, Leg.session_id == Attempt.session_id)
                .where(Leg.from_phone_number == caller)
            )
            return {order_id: at for order_id, at in rows if at is not None}

        return self.read(load)

    def unfinished(self) -> list[str]:
        """Return the sessions that are open or whose room was not deleted."""

        async def load(session: AsyncSession) -> list[str]:
            return list(
                await session.scalars(select(Session.id).where(Session.room_deleted_at.is_(None)))
            )

        return self.read(load)

    def schedulers(self) -> set[int]:
        """Return the process ids of every scheduler that has ever given a sign of life."""

        async def load(session: AsyncSession) -> set[int]:
            rows = await session.scalars(select(Heartbeat).where(Heartbeat.kind == "scheduler"))
            return {int(row.name.rpartition(":")[2]) for row in rows}

        return self.read(load)

    def deliveries(self) -> tuple[Sequence[Delivery], Sequence[DeliveryTry], int]:
        """Return every delivery, every try, and how many events were not relayed yet."""

        async def load(
            session: AsyncSession,
        ) -> tuple[Sequence[Delivery], Sequence[DeliveryTry], int]:
            deliveries = (await session.scalars(select(Delivery))).all()
            tries = (await session.scalars(select(DeliveryTry))).all()
            waiting = (
                await session.execute(
                    select(func.count(OutboxRow.id)).where(OutboxRow.done_at.is_(None))
                )
            ).scalar_one()
            return deliveries, tries, waiting

        return self.read(load)
