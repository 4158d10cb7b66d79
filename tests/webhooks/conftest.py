"""Receivers on loopback, and the desk that delivers to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks.webhooks import Webhook

from control_plane.db.base import read_clock
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.webhook import Delivery, DeliveryTry, WebhookEndpoint
from control_plane.db.sealed import seal
from control_plane.domain.ids import new_id
from control_plane.sessions.history import announce
from control_plane.webhooks import outbox
from control_plane.webhooks.signing import new_secret
from process.addresses import Allowed
from process.safe_http import Limits, Outbound
from scheduler.deliver import Deliverer
from tests import factories

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Message:
    """One request that a receiver got."""

    id: str
    headers: dict[str, str]
    body: bytes
    target: str = "/"


@dataclass
class Receiver:
    """A server; each request is answered by the next of `replies`, and by 200 after the last."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Keep the request and answer it."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        message = Message(headers.get("webhook-id", ""), headers, body, request.path_qs)
        self.messages.append(message)
        self.arrived.set()
        if self.replies:
            return await self.replies.pop(0)(request)
        return web.Response(text="taken")

    def then(self, *statuses: int, **options: Any) -> None:
        """Answer the next requests with these statuses."""
        for status in statuses:
            self.replies.append(_answer(status, options))

    @property
    def ids(self) -> list[str]:
        """The ids of the messages, in the order of arrival."""
        return [message.id for message in self.messages]


def _answer(status: int, options: dict[str, Any]) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, **options)

    return reply


@pytest.fixture
async def make_receiver() -> AsyncIterator[Callable[[], Awaitable[Receiver]]]:
    """Starts receivers."""
    runners: list[web.AppRunner] = []

    async def make() -> Receiver:
        receiver = Receiver()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", receiver.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.01)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}/hook"
        return receiver

    yield make
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def receiver(make_receiver: Callable[[], Awaitable[Receiver]]) -> Receiver:
    """One receiver that takes everything."""
    return await make_receiver()


@dataclass
class Desk:
    """Relay and deliverer on a clock of their own."""

    database: Database
    vault: Vault
    owner: str
    outbound: Outbound
    now: datetime
    room: asyncio.Event = field(default_factory=asyncio.Event)
    deliverers: list[Deliverer] = field(default_factory=list)

    async def clock(self, _session: AsyncSession) -> datetime:
        """The time that deliveries are due by."""
        return self.now

    def deliverer(self) -> Deliverer:
        """Return another deliverer of the same rows."""
        made = Deliverer(
            self.database,
            self.vault,
            factories.views(),
            self.outbound,
            on_room=self.room.set,
            clock=self.clock,
            chance=lambda: 0.0,
        )
        self.deliverers.append(made)
        return made

    async def go(self) -> int:
        """Relay everything, deliver what is due, and return how many tries that were."""
        await self.relay()
        self.now = max(self.now, datetime.now(UTC))
        done = 0
        while begun := await self.deliverers[0].deliver_due():
            done += begun
            await self.deliverers[0].settled()
        return done

    async def relay(self) -> None:
        """Have deliveries made of all events, and none begun."""
        async with self.database.transaction() as db:
            await outbox.relay(
                db, self.vault, factories.views(), now=await read_clock(db), limit=1_000
            )

    async def pass_time(self, **parts: float) -> int:
        """Let time pass and deliver what became due."""
        self.now += timedelta(**parts)
        return await self.go()

    async def endpoint(self, url: str, *types: str, owner: str | None = None) -> tuple[str, str]:
        """Return id and secret of a new endpoint."""
        now, secret = datetime.now(UTC), new_secret()
        async with self.database.transaction() as session:
            sealed = await seal(session, self.vault, owner or self.owner, secret, now=now)
            row = WebhookEndpoint(
                id=new_id(),
                organization_id=owner or self.owner,
                url=self.vault.seal_url(url),
                event_types=list(types),
                secret_id=sealed.id,
                created_at=now,
                updated_at=now,
            )
            session.add(row)
        return row.id, secret

    async def order(self, **fields: Any) -> str:
        """Return the id of a new order."""
        return (await factories.order(self.database, self.vault, self.owner, **fields)).id

    async def announce(self, order_id: str, *kinds: str, **facts: Any) -> None:
        """Let something happen to an order that others are told of."""
        for kind in kinds:
            async with self.database.transaction() as session:
                order = await session.get_one(CallOrder, order_id)
                announce(session, order, None, kind, at=datetime.now(UTC), **facts)

    async def deliveries(self) -> list[Delivery]:
        """Return every delivery, oldest first."""
        async with self.database.reading() as session:
            return list(await session.scalars(select(Delivery).order_by(Delivery.id)))

    async def tries(self) -> list[DeliveryTry]:
        """Return every try, oldest first."""
        async with self.database.reading() as session:
            rows = select(DeliveryTry).order_by(DeliveryTry.delivery_id, DeliveryTry.number)
            return list(await session.scalars(rows))


@pytest.fixture
def try_limit_s() -> float:
    """How long a try may last; a test whose receiver hangs asks for less."""
    return 15.0


@pytest.fixture
async def desk(database: Database, vault: Vault, try_limit_s: float) -> AsyncIterator[Desk]:
    """A desk that may reach loopback."""
    limits = Limits(total_s=try_limit_s, body_bytes=64 * 1024)
    outbound = Outbound(Allowed.parse("127.0.0.0/8"), limits)
    made = Desk(
        database=database,
        vault=vault,
        owner=await factories.organization(database),
        outbound=outbound,
        now=datetime.now(UTC),
    )
    made.deliverer()
    yield made
    for deliverer in made.deliverers:
        await deliverer.finish(0.0)
    await outbound.aclose()


def verified(message: Message, secret: str) -> Any:
    """Return the decoded body of a message whose signature holds."""
    return Webhook(secret).verify(message.body, message.headers)
