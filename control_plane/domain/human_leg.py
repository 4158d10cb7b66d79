"""The leg of a human whom a person is passed on to: what comes of it, and who still talks."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from msgspec import Struct

from control_plane.domain.dial_errors import DialError, DialFailureKind, meaning

LINE_WITHIN = timedelta(seconds=20)
"""So long a free line of the trunk is waited for: somebody hears it ring meanwhile."""
TALK_LIMIT = timedelta(hours=4)
"""The longest talk after the hand-over; `max_call_duration_secs` is the agent's."""


class HumanState(StrEnum):
    """How far the leg is."""

    ASKED = "asked"  # nothing is on the wire yet
    RINGING = "ringing"  # the INVITE may be on the wire
    ANSWERED = "answered"  # they talk, or have; without a result yet: they are asked
    OVER = "over"  # the human was not reached; the result says why


class HumanResult(StrEnum):
    """What came of asking a human in."""

    ANSWERED = "answered"
    BUSY = "busy"
    DECLINED = "declined"
    NO_ANSWER = "no_answer"
    UNREACHABLE = "unreachable"  # there is no such number
    FORBIDDEN = "forbidden"  # a rule of the organization's keeps the number from being called
    NO_LINE = "no_line"  # the trunk takes no call now
    CALLER_LEFT = "caller_left"  # the conversation was over before the human was there
    FAILED = "failed"  # a fault of ours, or of the trunk's
    # Of who has answered and is asked first; `DECLINED` too.
    NOT_TAKEN = "not_taken"  # they said neither yes nor no
    LEFT = "left"  # they hung up before they had said
    VOICEMAIL = "voicemail"  # it was none of them who answered


class HumanView(Struct, frozen=True, kw_only=True):
    """A human's leg as the agent is told of it; `result` is null until it is known."""

    id: str
    state: HumanState
    result: HumanResult | None = None
    sip_status: int | None = None
    detail: str = ""


class HumanAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent asks for a human; `id` is its own choice, so that asking again is harmless.

    Attributes:
        because: why REFER is not the way: `no_refer`, `browser`, `warm`, or what came of it.
        is_asked_first: who answers is asked whether they take the call; it is theirs once the
            agent says so.
    """

    id: str
    to_phone_number: str
    reason: str
    because: str
    is_asked_first: bool = False


class HumanSaid(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a human said who was asked first: `answered` where they take the call."""

    result: HumanResult


_BY_ERROR = {
    DialError.BUSY: HumanResult.BUSY,
    DialError.NO_ANSWER: HumanResult.NO_ANSWER,
    DialError.TEMPORARILY_UNAVAILABLE: HumanResult.NO_ANSWER,
    DialError.NUMBER_NON_ATTRIBUTED: HumanResult.UNREACHABLE,
    DialError.TOO_MANY_CALLS: HumanResult.NO_LINE,
}
_DECLINED = frozenset({403, 603, 607, 608})


def result_of(sip_status: int | None, kind: DialFailureKind) -> HumanResult:
    """Return what a failed dial of the human's means to the person who waits."""
    if sip_status in _DECLINED:
        return HumanResult.DECLINED
    return _BY_ERROR.get(meaning(sip_status, kind).dial_error, HumanResult.FAILED)


class Talk(Struct, frozen=True, kw_only=True):
    """A conversation between a person and a human, as its room shows it.

    Attributes:
        overdue: it has lasted for `TALK_LIMIT`.
    """

    person_is_there: bool
    human_is_there: bool
    overdue: bool = False


def over(talk: Talk) -> str | None:
    """Return what ended a talk, as its history says it; null while it goes on."""
    if talk.overdue:
        return "the longest talk after a transfer is over"
    if not talk.person_is_there:
        return "the person hung up"
    if not talk.human_is_there:
        return "the human hung up"
    return None
