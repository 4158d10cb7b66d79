"""The peer of `POST /call`: FastAPI and SQLAlchemy as their manuals show them, on our tables.

It looks up the key, reads the assistant, stores order and first event in one durable transaction
per request, and answers with the order; it knows no calling windows, no rules and no repeats.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import Database
from control_plane.db.models.assistant import Assistant
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow
from control_plane.db.models.organization import ApiKey
from control_plane.db.models.registry import METADATA
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.ids import new_id
from control_plane.domain.phone import e164

assert METADATA.tables, "every table is there, for the foreign keys"
app = FastAPI()
database = Database(
    os.environ["OFFHOOK_DATABASE_URL"], wake_folder=Path(os.environ["OFFHOOK_DATA"]) / "wake"
)


class Order(BaseModel):
    """A wish to reach a number."""

    phone_number: str
    metadata: dict[str, str] = {}
    prompt_variables: dict[str, str] = {}


async def in_transaction() -> AsyncIterator[AsyncSession]:
    """Yield a session of one transaction."""
    async with database.transaction() as session:
        yield session


@app.post("/call")
async def place(
    order: Order,
    session: Annotated[AsyncSession, Depends(in_transaction)],
    authorization: Annotated[str, Header()],
) -> dict[str, Any]:
    """Store an order."""
    key = authorization.removeprefix("Bearer ")
    row = await session.scalar(
        select(ApiKey).where(ApiKey.sha256 == hashlib.sha256(key.encode()).hexdigest())
    )
    if row is None:
        raise HTTPException(401)
    speaker = await session.scalar(
        select(Assistant).where(
            Assistant.organization_id == row.organization_id, Assistant.is_default
        )
    )
    if speaker is None:
        raise HTTPException(404)
    now = datetime.now(UTC)
    stored = CallOrder(
        id=new_id(),
        organization_id=row.organization_id,
        direction=Direction.OUTBOUND,
        status=OrderStatus.SCHEDULED,
        to_phone_number=e164(order.phone_number),
        assistant_id=speaker.id,
        assistant_version=speaker.version,
        assistant_version_id=speaker.version_id,
        retry_config={},
        zones=["America/New_York"],
        prompt_variables=order.prompt_variables,
        call_metadata=order.metadata,
        created_at=now,
        updated_at=now,
    )
    session.add(stored)
    await session.flush()
    session.add(
        CallEventRow(
            id=new_id(),
            order_id=stored.id,
            sequence=1,
            type="order_placed",
            at=now,
            stored_at=now,
            data={"status": stored.status},
        )
    )
    await session.flush()
    return {
        "call": {
            "id": stored.id,
            "status": stored.status,
            "to_phone_number": stored.to_phone_number,
            "assistant": speaker.spec,
            "metadata": stored.call_metadata,
            "created_at": stored.created_at,
        }
    }


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["OFFHOOK_API_PORT"]), log_level="warning", loop="uvloop")
