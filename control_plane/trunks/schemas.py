"""What clients say and see of trunks and numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from control_plane.db.models.trunk import CALLS_PER_SECOND, MAX_CONCURRENT_CALLS
from control_plane.domain import refer_uri

Name = Annotated[str, Meta(min_length=1, max_length=200)]
# What may stand in it is checked with the rest of the trunk, to say what to write instead.
Address = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=300,
        description="`host` or `host:port`: no `sip:` before it, no `;transport=` after it",
        examples=["sip.carrier.example:5060"],
    ),
]
Word = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Numbers = Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=1_000)]
Addresses = Annotated[
    list[Annotated[str, Meta(max_length=100, pattern=r"^[0-9A-Fa-f.:/]+$")]], Meta(max_length=200)
]


CallsPerSecond = Annotated[
    float, Meta(gt=0, le=1_000, description="INVITEs the carrier takes in a second")
]
MaxCalls = Annotated[int, Meta(ge=1, le=100_000, description="Calls at once, ringing ones too")]
Price = Annotated[
    float, Meta(ge=0, le=1_000, description="What a minute costs, for the spend caps of keys")
]


TakesRefer = Annotated[
    bool,
    Meta(description="Whether it passes calls on (REFER); else the human is called into the call"),
]


ReferTo = Annotated[
    str,
    Meta(
        max_length=300,
        description="The URI that a REFER asks to call: `{number}` is the human's in E.164, "
        "`{digits}` without the plus",
        examples=["tel:{number}", "sip:{number}@pbx.example;user=phone"],
    ),
]


class TrunkCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new trunk. Outbound ones need an address and numbers; inbound ones a way to be known by:
    numbers, allowed addresses (CIDR) or a digest user. With the purpose `simulator` it takes the
    numbers that are reserved for fiction, and each start of `offhook up` sets its address."""

    direction: Literal["inbound", "outbound"] = "outbound"
    purpose: Literal["simulator"] | None = None
    name: Name
    address: Address | None = None
    transport: Literal["udp", "tcp"] = "udp"
    username: Word | None = None
    password: Word | None = None
    numbers: Numbers = []
    allowed_addresses: Addresses = []
    is_default: bool = False
    register: Literal[False] = False
    calls_per_second: CallsPerSecond = CALLS_PER_SECOND
    max_concurrent_calls: MaxCalls = MAX_CONCURRENT_CALLS
    price_per_minute: Price = 0.0
    takes_refer: TakesRefer = True
    refer_to: ReferTo = refer_uri.DEFAULT


class TrunkPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to a trunk; what is absent stays."""

    name: Name | UnsetType = UNSET
    address: Address | UnsetType = UNSET
    transport: Literal["udp", "tcp"] | UnsetType = UNSET
    username: Word | UnsetType | None = UNSET
    password: Word | UnsetType | None = UNSET
    numbers: Numbers | UnsetType = UNSET
    allowed_addresses: Addresses | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET
    calls_per_second: CallsPerSecond | UnsetType = UNSET
    max_concurrent_calls: MaxCalls | UnsetType = UNSET
    price_per_minute: Price | UnsetType = UNSET
    takes_refer: TakesRefer | UnsetType = UNSET
    refer_to: ReferTo | UnsetType = UNSET


class DestinationStopView(Struct, frozen=True, kw_only=True):
    """A country that the trunk refused to call; its orders wait for POST /trunk/{id}/resume."""

    prefix: str
    reason: str
    since: datetime


class TrunkView(Struct, frozen=True, kw_only=True):
    """A trunk, its password masked; `applied` tells whether the SIP service has it as it is.

    `stopped_reason` says what the trunk refused; changing it or POST /trunk/{id}/resume goes on.
    `blocked_until` ends by itself, by `blocked_rule`. `purpose` marks trunks that a start sets up
    again; one whose address, login or addresses are changed loses it, and is left alone.
    """

    id: str
    direction: str
    purpose: str | None
    name: str
    address: str | None
    transport: str
    username: str | None
    password: str | None
    numbers: list[str]
    allowed_addresses: list[str]
    is_default: bool
    register: bool
    calls_per_second: float
    max_concurrent_calls: int
    price_per_minute: float
    takes_refer: bool
    refer_to: str
    live_calls: int
    blocked_until: datetime | None
    blocked_rule: str | None
    stopped_at: datetime | None
    stopped_reason: str | None
    stopped_destinations: list[DestinationStopView]
    applied: bool
    apply_error: str | None
    sip_trunk_id: str | None
    created_at: datetime
    updated_at: datetime


class TrunkList(Struct, frozen=True):
    """Every trunk, newest first."""

    trunks: list[TrunkView]


class NumberCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number of the organization: called from through a trunk, answered by an assistant."""

    phone_number: Annotated[str, Meta(max_length=100)]
    trunk_id: Annotated[str, Meta(max_length=36)] | None = None
    assistant_id: Annotated[str, Meta(max_length=36)] | None = None
    is_default: bool = False


class NumberPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to a number; what is absent stays."""

    trunk_id: Annotated[str, Meta(max_length=36)] | UnsetType | None = UNSET
    assistant_id: Annotated[str, Meta(max_length=36)] | UnsetType | None = UNSET
    is_default: bool | UnsetType = UNSET


class NumberView(Struct, frozen=True, kw_only=True):
    """A number."""

    id: str
    phone_number: str
    trunk_id: str | None
    assistant_id: str | None
    is_default: bool
    created_at: datetime
    updated_at: datetime


class NumberList(Struct, frozen=True):
    """Every number."""

    numbers: list[NumberView]
