"""Many orders in one request: one transaction, and each row that cannot be met is told why."""

from __future__ import annotations

import asyncio
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants.inline import Inline
from control_plane.db.base import read_clock
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.errors import Refused
from control_plane.domain.order_request import OrderRequest
from control_plane.http.requests import decode_numbers, explain
from control_plane.orders import idempotency
from control_plane.orders.idempotency import RequestKey
from control_plane.orders.intake import StoredAnswer
from control_plane.orders.placing import NewOrder, OrderBuilder, sealed_assistant
from control_plane.orders.requests import order_request
from control_plane.orders.schemas import PlaceCall

MOST_ROWS = 10_000
_ROW = msgspec.json.Decoder(PlaceCall)
_Asked = tuple[OrderRequest, Inline | None]
_BREATH = 100
"""Rows between which other requests get their turn."""
_SEALING_BREATH = 20
"""The same, where a row may have secrets to be sealed."""


class PlaceCalls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Orders to place together; with `all_or_nothing`, one bad row keeps every other from it."""

    calls: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MOST_ROWS)]
    all_or_nothing: bool = False


class BatchRow(Struct, frozen=True, kw_only=True):
    """A row that became an order; `index` counts from 0 in the request."""

    index: int
    id: str
    status: OrderStatus


class BatchError(Struct, frozen=True, kw_only=True):
    """A row that did not, and why."""

    index: int
    code: str
    detail: str
    field: str | None


class BatchAnswer(Struct, frozen=True, kw_only=True):
    """What became of every row."""

    placed: int
    refused: int
    calls: list[BatchRow]
    errors: list[BatchError]


class _Built(NamedTuple):
    orders: dict[int, NewOrder]
    errors: list[BatchError]


async def place_all(
    database: Database,
    vault: Vault,
    *,
    organization_id: str,
    api_key_id: str,
    request: PlaceCalls,
    key: RequestKey | None,
) -> StoredAnswer:
    """Return what became of every row, once the orders are stored.

    Raises:
        KeyReused: the Idempotency-Key came with another body before.
    """
    errors, asked = await _read_rows(vault, request, organization_id, api_key_id)
    try:
        return await _place(database, asked, errors, request, key)
    except _NothingPlaced as exc:
        return StoredAnswer(exc.answer)


async def _read_rows(
    vault: Vault, request: PlaceCalls, organization_id: str, api_key_id: str
) -> tuple[list[BatchError], dict[int, _Asked]]:
    errors: list[BatchError] = []
    asked: dict[int, _Asked] = {}
    for index, raw in enumerate(request.calls):
        if index % _SEALING_BREATH == 0:
            await asyncio.sleep(0)
        try:
            row = decode_numbers(raw, _ROW)
            one = order_request(row, organization_id=organization_id, api_key_id=api_key_id)
            asked[index] = one, sealed_assistant(vault, one)
        except msgspec.ValidationError as exc:
            errors.append(_error(index, explain(str(exc), PlaceCall)))
        except Refused as exc:
            errors.append(_error(index, exc))
    return errors, asked


async def _place(
    database: Database,
    asked: dict[int, _Asked],
    errors: list[BatchError],
    request: PlaceCalls,
    key: RequestKey | None,
) -> StoredAnswer:
    async with database.reading() as db:  # nobody waits for it, as for a transaction that writes
        builder = await _prepared(db, asked)
        built = await _build(builder, asked)
    async with database.transaction() as db:
        if key is not None:
            known = await idempotency.known_answers(db, [key])
            if known:
                before = known[key.organization_id, key.key]
                return StoredAnswer(idempotency.replay(before, key), replayed=True)
        writer = await _prepared(db, asked)
        if not await writer.takes(list(built.orders.values()), builder):
            built = await _build(writer, asked)
        errors = [*errors, *built.errors]
        if errors and request.all_or_nothing:
            raise _NothingPlaced(_answer({}, errors))
        answer = _answer(built.orders, errors)
        await writer.store(list(built.orders.values()))
        if key is not None:
            db.add(idempotency.answer_row(key, answer, status=200, now=writer.now))
    return StoredAnswer(answer)


async def _prepared(db: AsyncSession, asked: dict[int, _Asked]) -> OrderBuilder:
    builder = OrderBuilder(db, await read_clock(db))
    await builder.prepare([one for one, _ in asked.values()])
    return builder


async def _build(builder: OrderBuilder, asked: dict[int, _Asked]) -> _Built:
    orders, errors = {}, []
    for index, (one, own) in asked.items():
        if index % _BREATH == 0:
            await asyncio.sleep(0)
        try:
            orders[index] = await builder.build(one, own)
        except Refused as exc:
            errors.append(_error(index, exc))
    return _Built(orders, errors)


class _NothingPlaced(Exception):
    """A row was refused, and the request wants all or nothing."""

    def __init__(self, answer: bytes):
        super().__init__("a row was refused")
        self.answer = answer


def _answer(placed: dict[int, NewOrder], errors: list[BatchError]) -> bytes:
    return msgspec.json.encode(
        BatchAnswer(
            placed=len(placed),
            refused=len(errors),
            calls=[
                BatchRow(index=index, id=each.values["id"], status=each.values["status"])
                for index, each in placed.items()
            ],
            errors=sorted(errors, key=lambda error: error.index),
        )
    )


def _error(index: int, exc: Refused) -> BatchError:
    return BatchError(index=index, code=exc.code, detail=exc.detail, field=exc.field)
