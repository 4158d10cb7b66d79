"""What the rest of Offhook asks of SIP, as protocols with frozen requests."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class PortBusy(OSError):
    """The UDP address to listen on cannot be had; `host` and `port` say which."""

    def __init__(self, host: str, port: int, cause: OSError):
        super().__init__(cause.errno, f"UDP {host}:{port} cannot be bound: {cause.strerror}")
        self.host = host
        self.port = port


class DialRequest(Struct, frozen=True, kw_only=True):
    """One INVITE.

    Attributes:
        sip_trunk_id: the SIP service's own id of the outbound trunk.
        ringing_timeout_s: whole seconds from the INVITE to our CANCEL.
        max_call_duration_s: whole seconds from the answer to our BYE.
        dial_before: seconds since the epoch after which no INVITE may leave; null is no limit.
        held: nobody in the room hears the phone, nor it them, until that is released.
    """

    sip_trunk_id: str
    to_number: str
    from_number: str
    room_name: str
    participant_identity: str
    ringing_timeout_s: int
    max_call_duration_s: int
    dial_before: float | None = None
    held: bool = False


class TooLate(Struct, frozen=True):
    """`dial_before` had passed when the SIP service was about to dial: nobody was called."""


class Answered(Struct, frozen=True):
    """The call was answered; the SIP service's id of it (`SCL_…`)."""

    sip_call_id: str


class DialFailureKind(StrEnum):
    """A dial that failed, by where it failed; the words are those of the domain."""

    RING_TIMEOUT = "ring_timeout"
    AUTHENTICATION = "authentication"
    TRUNK_MISSING = "trunk_missing"
    BAD_REQUEST = "bad_request"
    UNREACHABLE = "unreachable"
    SERVICE_UNAVAILABLE = "service_unavailable"
    OUTCOME_UNKNOWN = "outcome_unknown"
    MEDIA = "media"


class DialFailure(Struct, frozen=True, kw_only=True):
    """The call was not answered.

    Attributes:
        sip_status: the far end's final status (RFC 3261 section 21), when it sent one.
        sip_reason: its reason phrase, or the SIP service's explanation.
    """

    kind: DialFailureKind
    sip_status: int | None = None
    sip_reason: str = ""

    @property
    def unknown(self) -> bool:
        """Return whether the call may be live all the same: look before doing anything."""
        return self.kind is DialFailureKind.OUTCOME_UNKNOWN


class OutboundTrunk(Struct, frozen=True, kw_only=True):
    """A trunk to call through."""

    name: str
    address: str
    transport: str
    numbers: tuple[str, ...]
    username: str = ""
    password: str = ""


class InboundTrunk(Struct, frozen=True, kw_only=True):
    """A trunk to be called through; empty `numbers` take any."""

    name: str
    numbers: tuple[str, ...] = ()
    allowed_addresses: tuple[str, ...] = ()
    username: str = ""
    password: str = ""


class AgentRule(Struct, frozen=True, kw_only=True):
    """Every call of the trunk gets a room of its own and an agent with `metadata`.

    Whoever may list the service's rules reads the metadata: no secret belongs there.
    """

    name: str
    sip_trunk_id: str
    room_prefix: str
    agent_name: str
    metadata: str


class Caller(Struct, frozen=True, kw_only=True):
    """A phone in a room, as the SIP service describes it.

    Attributes:
        sip_trunk_id: the SIP service's own id of the trunk that the call came or went through.
        sip_call_id: the call's Call-ID (RFC 3261 section 20.8).
    """

    identity: str
    sip_trunk_id: str
    called_number: str = ""
    calling_number: str = ""
    sip_call_id: str = ""


class CallRoom(Struct, frozen=True):
    """A room that is there, and the phones in it; none when no call has entered it yet."""

    created_at: datetime
    callers: tuple[Caller, ...]


class SipTrouble(Exception):
    """LiveKit or its SIP service did not do what it was asked; the text says why."""


class Dialer(Protocol):
    """Places calls."""

    async def dial(self, request: DialRequest) -> Answered | DialFailure | TooLate:
        """Return once the call is answered or has failed."""
        ...


class Presence(Protocol):
    """Whether the SIP service's process is there at all."""

    async def listening(self) -> bool:
        """Return False only when nothing listens at its address: a busy service is there."""
        ...


class CallRooms(Protocol):
    """Knows which calls there are."""

    async def get_room(self, room_name: str) -> CallRoom | None:
        """Return the room with the phones in it, or null when there is no such room.

        Raises:
            SipTrouble: LiveKit does not say.
        """
        ...


class TransferFailureKind(StrEnum):
    """Why somebody on a line was not passed on."""

    REFUSED = "refused"  # by whom they were passed to; there is a status
    UNSUPPORTED = "unsupported"  # their side refused the REFER itself
    SILENT = "silent"  # their side says nothing of it
    UNANSWERED = "unanswered"  # it rang there for as long as it may
    HUNG_UP = "hung_up"  # they are not on the line any more
    SERVICE = "service"  # the SIP service did not do it


class TransferFailure(Struct, frozen=True, kw_only=True):
    """The person was not passed on; unless they hung up, they are still on the line.

    Nobody's phone rang for it unless it is `REFUSED` or `UNANSWERED`, as far as is known.

    Attributes:
        sip_status: the status that says so (RFC 3261 section 21), where one does.
        sip_reason: its reason phrase, or the SIP service's explanation.
    """

    kind: TransferFailureKind
    sip_status: int | None = None
    sip_reason: str = ""


class Transferrer(Protocol):
    """Sends the person on a line to somebody else (RFC 3515)."""

    async def transfer(
        self, *, room_name: str, participant_identity: str, to_uri: str, ringing_s: int
    ) -> TransferFailure | None:
        """Return null once somebody there has answered, or why nobody did.

        The person hears a dial tone meanwhile. Never raises what the network does.
        """
        ...


class Trunks(Protocol):
    """Keeps the SIP service's trunks and rules; every method raises `SipTrouble`."""

    async def known(self) -> frozenset[str]:
        """Return the ids of every trunk and rule that the service has."""
        ...

    async def apply_outbound(self, trunk: OutboundTrunk, sip_trunk_id: str | None) -> str:
        """Return the id of `trunk`, which replaces the one with that id, or is new."""
        ...

    async def apply_inbound(self, trunk: InboundTrunk, sip_trunk_id: str | None) -> str:
        """Return the id of `trunk`, which replaces the one with that id, or is new."""
        ...

    async def apply_rule(self, rule: AgentRule, rule_id: str | None) -> str:
        """Return the id of `rule`, which replaces the one with that id, or is new."""
        ...

    async def remove(self, *, sip_trunk_id: str | None, rule_id: str | None) -> None:
        """Remove a trunk and its rule; what is not there is removed already."""
        ...
