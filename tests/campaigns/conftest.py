"""The API over each database, with a trunk that takes many calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign
from scheduler.campaigns import Feeder
from tests.offices import Office, office

NUMBERS = [f"+1202555{n:04}" for n in range(100, 200)]
ALWAYS = {
    "allowed_days": [
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ],
    "calling_windows": [{"calling_window_start_time": "0:00", "calling_window_end_time": "24:00"}],
}  # fmt: skip


class Desk:
    """Campaigns of one organization, and the scheduler's part in them."""

    def __init__(self, made: Office):
        self.office = made
        self.database = made.database
        self.ask = made.ask
        self.feeder = Feeder(made.database)

    async def assistant(self, prompt: str = "Be kind.", **fields: Any) -> str:
        """Return the id of a new assistant."""
        body = {"name": "A", "prompt": prompt, **fields}
        found: str = (await self.ask("POST", "/assistant", body, status=201))["assistant"]["id"]
        return found

    async def campaign(self, rows: list[str] | None = None, **fields: Any) -> str:
        """Return the id of a new draft with rows to these numbers."""
        body = {"name": "C", "call_retry_config": ALWAYS, **fields}
        body.setdefault("assistant_id", await self.assistant())
        made = await self.ask("POST", "/campaign", body, status=201)
        found: str = made["campaign"]["id"]
        if rows:
            given = {"rows": [{"phone_number": number} for number in rows]}
            told = await self.ask("POST", f"/campaign/{found}/rows", given)
            assert told["accepted"] == len(rows), told
        return found

    async def launched(self, rows: list[str], **fields: Any) -> str:
        """Return the id of a campaign whose rows are orders."""
        found = await self.campaign(rows, **fields)
        await self.ask("POST", f"/campaign/{found}/launch")
        await self.feeder.check()
        return found

    async def get(self, campaign_id: str) -> dict[str, Any]:
        """Return a campaign as the API shows it."""
        found: dict[str, Any] = (await self.ask("GET", f"/campaign/{campaign_id}"))["campaign"]
        return found

    async def row(self, campaign_id: str) -> Campaign:
        """Return a campaign's row."""
        async with self.database.reading() as session:
            return await session.get_one(Campaign, campaign_id)

    async def orders(self, campaign_id: str) -> list[CallOrder]:
        """Return a campaign's orders."""
        async with self.database.reading() as session:
            query = select(CallOrder).where(CallOrder.campaign_id == campaign_id)
            return list(await session.scalars(query.order_by(CallOrder.id)))


@pytest.fixture
async def desk(tmp_path: Path, database_url: str) -> AsyncIterator[Desk]:
    """A desk after a first start."""
    async with office(tmp_path, database_url) as made:
        await made.open_trunk()
        yield Desk(made)
