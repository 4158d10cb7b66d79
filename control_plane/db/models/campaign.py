"""Campaigns and the rows that become their orders."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Json, Word, id_column
from control_plane.domain.campaign import CampaignStatus


class Campaign(Base):
    """Many calls with one assistant; each row becomes an order once the campaign is launched."""

    __tablename__ = "campaign"
    __table_args__ = (Index("campaign_listing", "organization_id", "id"),)

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
    fed_line: Mapped[int] = mapped_column(default=0)  # rows up to it are orders
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
