"""Figures for Prometheus: what is there now, from the rows, and what this process counted."""

from __future__ import annotations

from litestar import Controller, Response, get
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, select

from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.session import Session
from control_plane.domain.call_order import OrderStatus
from control_plane.http.dependencies import GivenDatabase
from control_plane.sessions.calls import LIVE
from control_plane.sessions.dependencies import GivenCounters

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class MetricsController(Controller):
    """On the internal listener only."""

    path = "/metrics"
    tags = ("internal",)

    @get(operation_id="metrics", summary="Prometheus metrics")
    async def metrics(self, database: GivenDatabase, counters: GivenCounters) -> Response[bytes]:
        """Return orders by status, live attempts and this process's counters, as text."""
        registry = CollectorRegistry()
        orders = Gauge(
            "offhook_call_orders", "Call orders by status", ["status"], registry=registry
        )
        live = Gauge("offhook_live_attempts", "Attempts that are not over", registry=registry)
        async with database.reading() as db:
            counts = await db.execute(
                select(CallOrder.status, func.count()).group_by(CallOrder.status)
            )
            for status in OrderStatus:
                orders.labels(status).set(0)
            for status, count in counts:
                orders.labels(status).set(count)
            live.set(
                (
                    await db.execute(select(func.count()).select_from(Session).where(*LIVE))
                ).scalar_one()
            )
            await counters.count_ended(db)
        content = generate_latest(registry) + generate_latest(counters.registry)
        return Response(content, media_type=TEXT)
