"""Taking orders in: the requests that wait at one moment share one transaction and its fsync."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as LockTimeout

from control_plane.assistants.inline import Inline
from control_plane.db.base import read_clock
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.domain.errors import Busy, Conflict, Refused
from control_plane.domain.order_request import OrderRequest
from control_plane.orders import idempotency
from control_plane.orders.batch_queue import BatchQueue
from control_plane.orders.idempotency import RequestKey
from control_plane.orders.placing import NewOrder, OrderBuilder, sealed_assistant
from control_plane.orders.schemas import CallEnvelope
from control_plane.orders.views import CallViews
from process.logs import get_logger

_BATCH = 64
_MOST_WAITING = 2_000
_WRITERS = 4
"""Transactions at once where the database takes several writers (PostgreSQL)."""
_MAX_WAIT_S = 0.008
"""A transaction of SQLite costs about as much, and holds up all that follow."""

log = get_logger(__name__)


class StoredAnswer(Struct, frozen=True):
    """The answer's JSON; `replayed` when an earlier request with the same key got it."""

    body: bytes
    replayed: bool = False


class _Waiting(Struct):
    request: OrderRequest
    own: Inline | None
    key: RequestKey | None
    answer: asyncio.Future[StoredAnswer]


class Intake:
    """Takes orders; use it while `open()` is entered."""

    def __init__(self, database: Database, vault: Vault, views: CallViews):
        self._database = database
        self._vault = vault
        self._views = views
        self._queue: BatchQueue[_Waiting] = BatchQueue(
            most=_BATCH,
            most_waiting=_MOST_WAITING,
            max_wait_s=_MAX_WAIT_S if database.is_sqlite else 0.0,
        )
        self._under_way: set[tuple[str, str]] = set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take orders while the context is open."""
        writers = 1 if self._database.is_sqlite else _WRITERS
        tasks = [asyncio.create_task(self._write(), name="intake") for _ in range(writers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def place(
        self, request: OrderRequest, key: RequestKey | None, *, own: Inline | None = None
    ) -> StoredAnswer:
        """Return the stored order's answer; it survives every restart.

        Args:
            own: the assistant of this order alone, where it was made already.

        Raises:
            Refused: the request cannot be met; nothing was stored.
            Conflict: a request with the same key is under way.
            Busy: too many requests wait already.
        """
        with self.under_way(key):
            own = own or sealed_assistant(self._vault, request)
            answer = asyncio.get_running_loop().create_future()
            waiting = _Waiting(request, own, key, answer)
            try:
                self._queue.put(waiting)
            except asyncio.QueueFull:
                raise Busy(
                    "too many orders arrive at once: send this one again", retry_after_secs=1
                ) from None
            return await waiting.answer

    @contextlib.contextmanager
    def under_way(self, key: RequestKey | None) -> Iterator[None]:
        """Let no second request with the same key run meanwhile.

        Raises:
            Conflict: one is running.
        """
        if key is None:
            yield
            return
        mark = (key.organization_id, key.key)
        if mark in self._under_way:
            raise Conflict(
                f"a request with this {idempotency.HEADER} is under way: wait for its answer",
                field=idempotency.HEADER,
            )
        self._under_way.add(mark)
        try:
            yield
        finally:
            self._under_way.discard(mark)

    async def _write(self) -> None:
        while True:
            batch = await self._queue.next()
            try:
                await self._commit(batch)
            except IntegrityError:
                # Another process took one of the keys: alone, each finds out whether it was its.
                for each in batch:
                    await self._commit_alone(each)
            except (OperationalError, LockTimeout) as exc:
                # Who came meanwhile has waited too; told now, they may come back in time.
                log.warning("the database took no orders", error=exc)
                _fail([*batch, *self._queue.now(_MOST_WAITING)], exc)
            except Exception as exc:  # the one handler: every waiter must hear of it
                log.exception("orders were not stored", count=len(batch))
                _fail(batch, exc)

    async def _commit_alone(self, waiting: _Waiting) -> None:
        try:
            with contextlib.suppress(IntegrityError):
                await self._commit([waiting])
                return
            await self._commit([waiting])
        except Exception as exc:  # as above
            log.exception("an order was not stored")
            _fail([waiting], exc)

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        answers: list[StoredAnswer | NewOrder | Refused] = []
        placed: list[NewOrder] = []
        async with self._database.transaction() as db:
            now = await read_clock(db)
            builder = OrderBuilder(db, now)
            await builder.prepare([each.request for each in batch])
            known = await idempotency.known_answers(db, [each.key for each in batch if each.key])
            for each in batch:
                key = each.key
                try:
                    if key is not None and (before := known.get((key.organization_id, key.key))):
                        answers.append(StoredAnswer(idempotency.replay(before, key), replayed=True))
                        continue
                    order = await builder.build(each.request, each.own)
                except Refused as exc:
                    answers.append(exc)
                    continue
                placed.append(order)
                if key is None:
                    answers.append(order)
                    continue
                body = self._body(order)
                db.add(idempotency.answer_row(key, body, status=200, now=now))
                answers.append(StoredAnswer(body))
            await builder.store(placed)
        for each, answer in zip(batch, answers, strict=True):
            # What nobody keeps is written out only here, where others may write meanwhile.
            _tell(
                each, StoredAnswer(self._body(answer)) if isinstance(answer, NewOrder) else answer
            )

    def _body(self, order: NewOrder) -> bytes:
        return msgspec.json.encode(CallEnvelope(self._views.of_new(order)))


def _fail(batch: Sequence[_Waiting], exc: Exception) -> None:
    for each in batch:
        _tell(each, exc)


def _tell(waiting: _Waiting, answer: StoredAnswer | Exception) -> None:
    if waiting.answer.done():
        return
    if isinstance(answer, Exception):
        waiting.answer.set_exception(answer)
    else:
        waiting.answer.set_result(answer)
