"""What clients say and see of campaigns."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from control_plane.compliance.schemas import LineError
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.campaign import CampaignStatus
from control_plane.orders.schemas import Key, Value

MOST_ROWS = 1_000_000
MOST_AT_ONCE = 10_000
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Id = Annotated[str, Meta(max_length=36)]
Pool = Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=1_000)]
Concurrent = Annotated[int, Meta(ge=1, le=100_000)]
Rate = Annotated[float, Meta(ge=0, le=1)]
Sample = Annotated[int, Meta(ge=1, le=1_000)]
Later = Annotated[datetime, Meta(tz=True)]
Variables = Annotated[dict[Key, Value], Meta(max_length=500)]
Metadata = Annotated[dict[Key, Value], Meta(max_length=100)]


class CampaignCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign; its rows are added before it is launched.

    `from_phone_numbers` is the pool that each call shows a number of; `max_failure_rate` pauses
    the campaign when more than that share of the last `failure_sample` ended orders failed.
    """

    name: Name
    assistant_id: Id
    call_retry_config: CallRetryConfig | None = None
    from_phone_numbers: Pool = []
    max_concurrent_calls: Concurrent | None = None
    max_failure_rate: Rate | None = None
    failure_sample: Sample = 20
    prompt_variables: Variables = {}
    metadata: Metadata = {}
    scheduled_at: Later | None = None


class CampaignPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes; what is absent stays.

    Once it is launched, only its name, `max_concurrent_calls`, `max_failure_rate` and
    `failure_sample` can be changed.
    """

    name: Name | UnsetType = UNSET
    assistant_id: Id | UnsetType = UNSET
    call_retry_config: CallRetryConfig | None | UnsetType = UNSET
    from_phone_numbers: Pool | UnsetType = UNSET
    max_concurrent_calls: Concurrent | None | UnsetType = UNSET
    max_failure_rate: Rate | None | UnsetType = UNSET
    failure_sample: Sample | UnsetType = UNSET
    prompt_variables: Variables | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    scheduled_at: Later | None | UnsetType = UNSET


class CampaignView(Struct, frozen=True, kw_only=True):
    """A campaign and how many rows it has.

    `status_reason` says why it was paused; `ended_at` is when the last of its orders was final.
    """

    id: str
    name: str
    status: CampaignStatus
    status_reason: str | None
    assistant_id: str
    assistant_version_id: str | None
    call_retry_config: CallRetryConfig | None
    from_phone_numbers: list[str]
    max_concurrent_calls: int | None
    max_failure_rate: float | None
    failure_sample: int
    prompt_variables: dict[str, str]
    metadata: dict[str, str]
    scheduled_at: datetime | None
    rows: int
    launched_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    updated_at: datetime


class CampaignEnvelope(Struct, frozen=True):
    """One campaign."""

    campaign: CampaignView


class CampaignPage(Struct, frozen=True):
    """Campaigns, newest first; `next_cursor` is null on the last page."""

    campaigns: list[CampaignView]
    next_cursor: str | None


class RowGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person to call; what the campaign says of variables and metadata is the default."""

    phone_number: Annotated[str, Meta(max_length=100, examples=["+12025550123"])]
    prompt_variables: Variables = {}
    metadata: Metadata = {}


class RowsGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows to add; one that cannot be used keeps no other from it."""

    rows: Annotated[list[RowGiven], Meta(min_length=1, max_length=MOST_AT_ONCE)]


class RowsRead(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, each row still to be read."""

    rows: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MOST_AT_ONCE)]


class RowsAdded(Struct, frozen=True, kw_only=True):
    """What became of an upload; lines count from 1, rows of JSON too; the first errors are listed.

    When the file broke off, `complete` is false: the rows before were accepted. The same upload
    sent again adds only what is new.
    """

    accepted: int
    refused: int
    complete: bool
    errors: list[LineError]


class RowView(Struct, frozen=True, kw_only=True):
    """A row: `waiting` until the launch, then `placed` as the order `call_id`, or `refused`."""

    line: int
    status: str
    phone_number: str
    prompt_variables: dict[str, str]
    metadata: dict[str, str]
    call_id: str | None
    error: str | None


class RowPage(Struct, frozen=True):
    """Rows in their order; `next_cursor` is null on the last page."""

    rows: list[RowView]
    next_cursor: str | None


class Held(Struct, frozen=True, kw_only=True):
    """Rows that a rule holds back, and the next instant at which one of them may be dialled."""

    rule: str
    count: int
    next_at: datetime | None


class Barred(Struct, frozen=True, kw_only=True):
    """Rows that would be refused, by rule or error, with the first of them."""

    rule: str
    count: int
    line: int
    detail: str


class DryRun(Struct, frozen=True, kw_only=True):
    """What a launch now would do with the rows that are not placed yet."""

    rows: int
    now: int
    later: list[Held]
    never: list[Barred]


class Report(Struct, frozen=True, kw_only=True):
    """How far a campaign got.

    `dial_errors` and `results` count attempts, `answered` and `human` too; `minutes` is talk time.
    """

    status: CampaignStatus
    rows: int
    waiting: int
    refused: int
    orders: dict[OrderStatus, int]
    attempts: int
    dial_errors: dict[str, int]
    results: dict[str, int]
    answered: int
    human: int
    minutes: float
    first_attempt_at: datetime | None
    last_attempt_at: datetime | None
