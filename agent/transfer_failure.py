"""Why somebody was not passed on: the event's word for it, and words for the model."""

from __future__ import annotations

from msgspec import Struct

from control_plane.domain.human_leg import HumanResult, HumanView
from sip.ports import TransferFailure, TransferFailureKind

_K, _R = TransferFailureKind, HumanResult
_UNREACHABLE, _BUSY = "the number there cannot be reached", "the line there is busy"
_NOBODY, _DECLINED = "nobody is there", "it was declined"
_TECHNICAL = "it failed for a technical reason"
_BY_STATUS = {
    **dict.fromkeys((486, 600), _BUSY),
    **dict.fromkeys((404, 410, 484, 604), _UNREACHABLE),
    **dict.fromkeys((408, 480, 487), _NOBODY),
}
_BY_RESULT = {
    _R.BUSY: _BUSY,
    _R.NO_ANSWER: "nobody took it",
    _R.UNREACHABLE: _UNREACHABLE,
    _R.DECLINED: _DECLINED,
    _R.FORBIDDEN: "that number may not be called",
    _R.NO_LINE: "no telephone line is free for it now",
    _R.NOT_TAKEN: "somebody answered and did not take the call",
    _R.LEFT: "somebody answered and hung up",
    _R.VOICEMAIL: "only a voicemail answered",
}


class Failure(Struct, frozen=True, kw_only=True):
    """Why the person was not passed on: the event's word, and words for the model."""

    why: str
    words: str
    sip_status: int | None = None
    detail: str = ""


def of_refer(failure: TransferFailure) -> Failure:
    """Return what a REFER's failure means."""
    words = {_K.UNANSWERED: "nobody took it", _K.SERVICE: _TECHNICAL}.get(failure.kind)
    if words is None:
        words = _BY_STATUS.get(failure.sip_status or 0, _DECLINED)
    return Failure(
        why=failure.kind.value,
        words=words,
        sip_status=failure.sip_status,
        detail=failure.sip_reason,
    )


def of_human(human: HumanView) -> Failure:
    """Return what it means that a human was not reached."""
    result = human.result or HumanResult.FAILED
    return Failure(
        why=result.value,
        words=_BY_RESULT.get(result, _TECHNICAL),
        sip_status=human.sip_status,
        detail=human.detail,
    )
