"""The API process and the clients that use it: orders, cancels, pauses, do-not-call entries."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.fernet import Fernet

from control_plane.compliance import entries
from control_plane.db import heartbeats
from control_plane.db.crypto import Vault
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.errors import Conflict, Refused
from control_plane.orders import service
from control_plane.orders.idempotency import request_key
from control_plane.orders.intake import Intake
from control_plane.orders.requests import order_request
from control_plane.orders.schemas import PlaceCall
from tests import factories
from tests.simulator.plan import Event
from tests.simulator.storage import Injected
from tests.simulator.world import CURRENT, Killed, Process, World

_ANSWER_S = 20.0
_VAULT = Vault([Fernet.generate_key()])


@dataclass
class Said:
    """What the API acknowledged: the order it was about, what, and when."""

    order_id: str
    what: str
    at: float


class Api(Process):
    """A process of the API."""

    def __init__(self, world: World, name: str):
        super().__init__(world, name)
        self.intake = Intake(self.database, _VAULT, factories.views())

    async def run(self) -> None:
        """Serve until killed."""
        async with self.intake.open():
            await asyncio.Event().wait()

    def beat(self) -> None:
        """Give the sign of life that the reconciler looks for."""
        if self.frozen_until <= self.world.loop.time():
            now = round(self.world.now().timestamp() * 1e6)
            self.world.store.connection.execute(
                "INSERT INTO heartbeat VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET at = excluded.at",
                (self.name, heartbeats.API, now),
            )


class Clients:
    """Those who order calls; they repeat a request until it is answered."""

    def __init__(self, world: World, owners: list[tuple[str, str]]):
        self.api: Api | None = None
        self.orders: dict[int, set[str]] = {}
        self.said: list[Said] = []
        self.barred: list[tuple[str, str, float]] = []
        self._world = world
        self._owners = owners

    async def do(self, event: Event) -> None:
        """Carry out one event of the plan."""
        if event.kind == "place":
            await self._place(event)
            return
        for _ in range(40):
            placed = self.orders.get(event.facts["order"])
            if placed:
                await self._ask(event, min(placed))
                return
            await asyncio.sleep(0.5)

    async def _place(self, event: Event) -> None:
        owner, key_id = self._owners[event.facts["owner"]]
        body = msgspec.json.encode(event.facts["body"])
        given = msgspec.json.decode(body, type=PlaceCall)
        request = order_request(given, organization_id=owner, api_key_id=key_id)
        key = request_key(event.facts["key"], organization_id=owner, operation="call", body=body)
        for _ in range(10):
            try:
                answer = await self._reached(lambda api: api.intake.place(request, key))
            except (Injected, Killed, TimeoutError, Conflict):
                await asyncio.sleep(1.0)
                continue
            except Refused as exc:
                self._world.note("client", f"refused: {exc.detail}")
                return
            found = msgspec.json.decode(answer.body)["call"]
            self.orders.setdefault(event.facts["order"], set()).add(found["id"])
            self._world.note("client", f"placed {found['id']} {found['status']}")
            return

    async def _ask(self, event: Event, order_id: str) -> None:
        owner = self._world.store.row(
            "SELECT organization_id, to_phone_number FROM call_order WHERE id = ?", order_id
        )
        for _ in range(10):
            try:
                await self._reached(lambda api: self._tell(api, event.kind, *owner, order_id))
            except (Injected, Killed, TimeoutError):
                await asyncio.sleep(1.0)
                continue
            except Refused as exc:
                self._world.note("client", f"{event.kind} refused: {exc.detail}")
            return

    async def _tell(self, api: Api, kind: str, owner: str, number: str, order_id: str) -> None:
        database, at = api.database, self._world.loop.time
        if kind == "never_call":
            async with database.transaction() as session:
                await entries.never_call(
                    session, owner, number, reason=None, source="api", now=self._world.now()
                )
            self.barred.append((owner, number, at()))
        elif kind == "cancel":
            order = await service.cancel(database, owner, order_id)
            if order.status is OrderStatus.CANCELLED:
                self.said.append(Said(order_id, "cancelled", at()))
        elif kind == "pause":
            await service.pause(database, owner, order_id)
            self.said.append(Said(order_id, "paused", at()))
        else:
            self.said.append(Said(order_id, "resumed", at()))
            await service.resume(database, owner, order_id)
            self.said.append(Said(order_id, "resumed", at()))
        self._world.note("client", f"{kind} {order_id}")

    async def _reached(self, request: Any) -> Any:
        """Return what the API of now answers."""
        api = self.api
        if api is None or not api.alive:
            raise Killed
        CURRENT.set(api)
        async with asyncio.timeout(_ANSWER_S):
            work = api.create_task(request(api))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                if work.cancelled():
                    raise Killed from None
                raise
            finally:
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    if work.done():
                        work.exception()
