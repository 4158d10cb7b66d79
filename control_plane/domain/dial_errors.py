"""What a failed dial means: the one table from SIP answers to words and policy."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from control_plane.domain.waiting import Cause


class DialError(StrEnum):
    """Why a number was not reached, in the contract's words."""

    NUMBER_NON_ATTRIBUTED = "number_non_attributed"
    TOO_MANY_CALLS = "too_many_calls"
    BUSY = "busy"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    NO_ANSWER = "no_answer"
    NO_INTERNATIONAL_PERMISSION = "no_international_permission"
    PRECONDITION_FAILED = "precondition_failed"
    NON_CLASSIFIED_ERROR = "non_classified_error"


class Policy(StrEnum):
    """What the order does next."""

    RETRY = "retry"  # by the order's own rules; completed when they are exhausted
    END = "end"  # the number cannot be reached: this order is over, errored
    DECLINED = "declined"  # the callee said no: this order is over, completed
    DECLINED_FOR_GOOD = "declined_for_good"  # and the number goes to do-not-call
    BACK_OFF = "back_off"  # the trunk's or our own trouble: try again soon, burn no attempt
    STOP_DESTINATION = "stop_destination"  # the trunk may not call there; burn no attempt
    STOP_TRUNK = "stop_trunk"  # the configuration is wrong; burn no attempt


_COUNTED = frozenset({Policy.RETRY, Policy.END, Policy.DECLINED, Policy.DECLINED_FOR_GOOD})


class DialFailureKind(StrEnum):
    """A dial that failed without a SIP status of the far end."""

    RING_TIMEOUT = "ring_timeout"  # our CANCEL, or nobody answered the INVITE
    AUTHENTICATION = "authentication"  # our credentials were refused, or none were given
    TRUNK_MISSING = "trunk_missing"  # the SIP service does not know the trunk
    BAD_REQUEST = "bad_request"  # the SIP service refused the request itself
    UNREACHABLE = "unreachable"  # the trunk's host could not be reached
    SERVICE_UNAVAILABLE = "service_unavailable"  # the SIP service did not take the request
    OUTCOME_UNKNOWN = "outcome_unknown"  # it took it, and the answer was lost
    MEDIA = "media"  # answered, but no audio could be agreed


class Meaning(Struct, frozen=True):
    """A word for the caller of the API, a policy for the scheduler, and what a person is told.

    `detail` is there where the word alone says too little.
    """

    dial_error: DialError
    policy: Policy
    detail: str = ""

    @property
    def counted(self) -> bool:
        """Return whether the attempt counts among the order's attempts."""
        return self.policy in _COUNTED


_E, _P = DialError, Policy
_REST = Meaning(_E.NON_CLASSIFIED_ERROR, _P.RETRY)
_BY_STATUS: dict[int, Meaning] = {
    **dict.fromkeys((404, 410, 484, 604), Meaning(_E.NUMBER_NON_ATTRIBUTED, _P.END)),
    **dict.fromkeys((486, 600), Meaning(_E.BUSY, _P.RETRY)),
    480: Meaning(_E.TEMPORARILY_UNAVAILABLE, _P.RETRY),
    **dict.fromkeys((408, 487), Meaning(_E.NO_ANSWER, _P.RETRY)),
    **dict.fromkeys((429, 503), Meaning(_E.TOO_MANY_CALLS, _P.BACK_OFF)),
    **dict.fromkeys((500, 502, 504), Meaning(_E.NON_CLASSIFIED_ERROR, _P.BACK_OFF)),
    403: Meaning(_E.NO_INTERNATIONAL_PERMISSION, _P.STOP_DESTINATION),
    **dict.fromkeys((401, 407), Meaning(_E.PRECONDITION_FAILED, _P.STOP_TRUNK)),
    603: Meaning(_E.NON_CLASSIFIED_ERROR, _P.DECLINED, "the callee declined the call"),
    607: Meaning(  # RFC 8197
        _E.NON_CLASSIFIED_ERROR,
        _P.DECLINED_FOR_GOOD,
        "the callee marked the call as unwanted: do not call this number again",
    ),
    608: Meaning(  # RFC 8688
        _E.NON_CLASSIFIED_ERROR,
        _P.DECLINED_FOR_GOOD,
        "a service on the way to the callee rejects calls from this number as unwanted",
    ),
}
_BY_KIND: dict[DialFailureKind, Meaning] = {
    DialFailureKind.RING_TIMEOUT: Meaning(_E.NO_ANSWER, _P.RETRY),
    DialFailureKind.AUTHENTICATION: Meaning(_E.PRECONDITION_FAILED, _P.STOP_TRUNK),
    # The service forgot its trunks when it restarted; the sweep puts them back.
    DialFailureKind.TRUNK_MISSING: Meaning(_E.PRECONDITION_FAILED, _P.BACK_OFF),
    DialFailureKind.BAD_REQUEST: Meaning(_E.PRECONDITION_FAILED, _P.STOP_TRUNK),
    DialFailureKind.UNREACHABLE: Meaning(_E.NON_CLASSIFIED_ERROR, _P.BACK_OFF),
    DialFailureKind.SERVICE_UNAVAILABLE: Meaning(_E.NON_CLASSIFIED_ERROR, _P.BACK_OFF),
    DialFailureKind.OUTCOME_UNKNOWN: _REST,
    DialFailureKind.MEDIA: _REST,
}


_CAUSES = {
    DialFailureKind.SERVICE_UNAVAILABLE: Cause.SIP_SERVICE_UNAVAILABLE,
    DialFailureKind.TRUNK_MISSING: Cause.TRUNK_NOT_APPLIED,
    DialFailureKind.UNREACHABLE: Cause.TRUNK_UNREACHABLE,
}


def cause_of(sip_status: int | None, kind: DialFailureKind) -> Cause:
    """Return what an order waits for after a failure that is not its own."""
    if sip_status is not None:
        return Cause.TRUNK_BACKING_OFF
    return _CAUSES.get(kind, Cause.TRUNK_BACKING_OFF)


def of_status(sip_status: int) -> Meaning:
    """Return what a final SIP status (RFC 3261 section 21) of the far end means."""
    return _BY_STATUS.get(sip_status, _REST)


def of_kind(kind: DialFailureKind) -> Meaning:
    """Return what a failure without a SIP status means."""
    return _BY_KIND[kind]


def meaning(sip_status: int | None, kind: DialFailureKind) -> Meaning:
    """Return what a failure means; a status, where there is one, says more than the kind."""
    return of_kind(kind) if sip_status is None else of_status(sip_status)
