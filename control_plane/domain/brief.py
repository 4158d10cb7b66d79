"""What an agent needs to hold one conversation, and how it gets it.

The LiveKit dispatch carries `DispatchMetadata`, in clear and small. Of a call that we place, the
agent exchanges its token for the `CallBrief`, which carries the secrets; of one that came in, the
token with which LiveKit lets this one agent into the call's room.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Struct

from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.providers import Provider
from control_plane.domain.refer_uri import DEFAULT

BRIEF_VERSION = 1
ANSWER_TIMEOUT_S = 120.0
AGENT_NAME = "offhook"
"""The name that our worker registers under; LiveKit dispatches to it explicitly."""
LOST_ATTRIBUTE = "sip.lost"
"""Set by a restarted embedded gateway on the participants that its death left behind."""


class Direction(StrEnum):
    """Who called whom, or that the person came by a browser."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    BROWSER = "browser"


class DispatchMetadata(Struct, frozen=True, kw_only=True):
    """The dispatch's metadata: opaque ids and a token, no prompt and no number.

    Of a call that came in it says nothing: the rule that dispatches its agent is the same for all
    of them. `attempt_id` is null then, and `token` empty. With `room_stays`, another agent may be
    sent to the same room: who has no conversation there leaves it as it is.
    """

    v: int = BRIEF_VERSION
    token: str = ""
    attempt_id: str | None = None
    epoch: int = 0
    room_stays: bool = False


class ProviderAccess(Struct, frozen=True):
    """A provider's key and, where it is not the provider's own, the endpoint to reach it at."""

    api_key: str
    api_url: str | None = None


class CallBrief(Struct, frozen=True, kw_only=True):
    """One conversation, complete.

    Attributes:
        session_id: the attempt's id; events and the recording are posted under it.
        epoch: the attempt's fence; a write with an older one is refused (409).
        token: bearer for the internal API, for this session only.
        room_name: the LiveKit room of this conversation.
        participant_identity: the person's identity in that room.
        heartbeat_secs: how often, at least, an event must arrive to keep the call's lease.
        answer_timeout_secs: how long the agent waits, once ready, for the call to be answered.
        time_zone: the person's (IANA), as far as the number or the order tells.
        takes_refer: whether the trunk of the person's telephone takes a REFER, and
        refer_to: the template of the URI in it.
        providers: keys for the cloud providers that `assistant` names, and no others.
    """

    v: int = BRIEF_VERSION
    session_id: str
    epoch: int
    token: str
    organization_id: str
    direction: Direction
    room_name: str
    participant_identity: str
    to_phone_number: str
    from_phone_number: str
    assistant: AssistantSpec
    time_zone: str = "UTC"
    prompt_variables: dict[str, str] = msgspec.field(default_factory=dict)
    heartbeat_secs: float = 3.0
    answer_timeout_secs: float = ANSWER_TIMEOUT_S
    takes_refer: bool = True
    refer_to: str = DEFAULT
    providers: dict[Provider, ProviderAccess] = msgspec.field(default_factory=dict)


# Made before there are threads: calls that are the first to decode a type of msgspec's side by side
# read what one of them has only half made, and the process ends (SIGSEGV, msgspec 0.22).
_METADATA, _BRIEF = msgspec.json.Decoder(DispatchMetadata), msgspec.json.Decoder(CallBrief)


def decode_metadata(raw: str) -> DispatchMetadata:
    """Return the dispatch's metadata.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError: it is not ours.
    """
    return _METADATA.decode(raw)


def decode_brief(raw: bytes) -> CallBrief:
    """Return a brief.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError: it is none.
    """
    return _BRIEF.decode(raw)
