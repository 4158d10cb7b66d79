"""Campaigns and the rows that become their orders."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Json, Word, id_column
from control_plane.db.models.call_order import CallOrder
from control_plane.domain.campaign import CampaignStatus

_AT_WORK = text("launched_at IS NOT NULL AND ended_at IS NULL")
_DONE = text("campaign_id IS NOT NULL AND deadline_at IS NULL")


class Campaign(Base):
    """Many calls with one assistant; each row becomes an order once the campaign is launched.

    `ended_at` is when the last of its orders was final; a cancelled campaign has none until then.
    """

    __tablename__ = "campaign"
    __table_args__ = (
        Index("campaign_listing", "organization_id", "id"),
        Index("campaign_at_work", "id", sqlite_where=_AT_WORK, postgresql_where=_AT_WORK),
    )

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    name: Mapped[str] = mapped_column(String(200))
    status: Mapped[CampaignStatus] = mapped_column(Word(CampaignStatus))
    status_reason: Mapped[str | None] = mapped_column(Text)
    assistant_id: Mapped[str] = mapped_column(String(36))
    assistant_version_id: Mapped[str | None] = mapped_column(String(36))  # fixed by the launch
    api_key_id: Mapped[str | None] = mapped_column(String(36))
    retry_config: Mapped[dict[str, Any] | None] = mapped_column(Json)
    from_phone_numbers: Mapped[list[str]]  # the caller-ID pool; empty: the default number
    prompt_variables: Mapped[dict[str, Any]]
    campaign_metadata: Mapped[dict[str, Any]]
    max_concurrent_calls: Mapped[int | None]
    max_failure_rate: Mapped[float | None]
    failure_sample: Mapped[int] = mapped_column(default=20)
    row_count: Mapped[int] = mapped_column(default=0)
    fed_line: Mapped[int] = mapped_column(default=0)  # rows up to it are orders
    sampled_from: Mapped[datetime | None]  # only orders final since then are judged
    event_count: Mapped[int] = mapped_column(default=0)
    scheduled_at: Mapped[datetime | None]
    launched_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CampaignRow(Base):
    """One person to call; `line` counts over the whole campaign."""

    __tablename__ = "campaign_row"
    __table_args__ = (
        Index("campaign_row_line", "campaign_id", "line", unique=True),
        Index("campaign_row_number", "campaign_id", "phone_number", unique=True),
        Index(
            "campaign_row_refused",
            "campaign_id",
            sqlite_where=text("error IS NOT NULL"),
            postgresql_where=text("error IS NOT NULL"),
        ),
    )

    id: Mapped[str] = id_column()
    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaign.id"))
    line: Mapped[int]
    phone_number: Mapped[str] = mapped_column(String(100))
    prompt_variables: Mapped[dict[str, Any]]
    row_metadata: Mapped[dict[str, Any]]
    order_id: Mapped[str | None] = mapped_column(String(36))
    error: Mapped[str | None] = mapped_column(Text)  # why the launch could not make it an order
    created_at: Mapped[datetime]


# The newest final orders of a campaign are judged, however many there are.
Index(
    "call_order_campaign_done",
    CallOrder.campaign_id,
    CallOrder.updated_at,
    sqlite_where=_DONE,
    postgresql_where=_DONE,
)
