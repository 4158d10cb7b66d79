"""The numbers of the simulated carrier, and what becomes of a call to each."""

from __future__ import annotations

from enum import StrEnum

import msgspec

PREFIX = "+120255501"
USERNAME, PASSWORD = "carrier", "carrier"  # printed by --list
"""What the number that asks for credentials accepts."""


class Kind(StrEnum):
    """How a number behaves."""

    REFUSES = "refuses"  # a final answer, after ringing `ring_s`
    RINGS = "rings"  # for ever
    EARLY_MEDIA = "early_media"  # 183 with an announcement, then a final answer
    SILENCE = "silence"
    DROPS = "drops"  # answers, and hangs up at once
    VANISHES = "vanishes"  # answers, then neither sends nor answers anything
    TALKS = "talks"
    HANGS_UP = "hangs_up"  # in the middle of a sentence
    ECHO = "echo"
    VOICEMAIL = "voicemail"
    RECORDING = "recording"  # a voicemail that does not say so, and does not beep
    IVR = "ivr"
    SCREENING = "screening"
    BANK = "bank"  # menus, a queue, a person
    KEYS = "keys"


SPOKEN = frozenset(
    {
        Kind.TALKS,
        Kind.HANGS_UP,
        Kind.ECHO,
        Kind.VOICEMAIL,
        Kind.RECORDING,
        Kind.IVR,
        Kind.SCREENING,
        Kind.BANK,
        Kind.KEYS,
    }
)
"""The kinds that a phone with STT or a voice serves; a plain user agent serves the others."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a call.

    Attributes:
        number: E.164; North American numbers 555-0100 to 0199 are reserved for fiction.
        name: short and stable; logs and tests use it.
        what: what a person would notice.
        status, reason: the final answer, for the kinds that give one.
        retry_after_s: the value of a `Retry-After` header, where there is one.
        ring_s: how long it rings first.
        after_s: what it does late, it does after this long.
        persona: who talks.
        auth: whether it wants digest credentials first (407).
    """

    number: str
    name: str
    kind: Kind
    what: str
    status: int = 200
    reason: str = "OK"
    retry_after_s: int | None = None
    ring_s: float = 0.0
    after_s: float = 0.0
    persona: str = ""
    auth: bool = False


def _refuses(last: int, name: str, status: int, reason: str, **more: float) -> Scenario:
    retry = more.get("retry_after_s")
    return Scenario(
        number=f"{PREFIX}{last:02d}",
        name=name,
        kind=Kind.REFUSES,
        what=f"answers {status} {reason}" + (f", Retry-After: {retry:.0f}" if retry else ""),
        status=status,
        reason=reason,
        retry_after_s=None if retry is None else int(retry),
        ring_s=more.get("ring_s", 0.0),
    )


def _answers(last: int, name: str, kind: Kind, what: str, **more: object) -> Scenario:
    given = {"number": f"{PREFIX}{last:02d}", "name": name, "kind": kind, "what": what, **more}
    return msgspec.convert(given, Scenario)


SCENARIOS: tuple[Scenario, ...] = (
    _answers(0, "talks", Kind.TALKS, "Dana asks two questions and says goodbye", persona="dana"),
    _answers(1, "talks-faq", Kind.TALKS, "Omar asks three things, gives a number", persona="omar"),
    _refuses(2, "busy", 486, "Busy Here", ring_s=0.2),
    _refuses(3, "declined", 603, "Decline", ring_s=0.2),
    _answers(4, "no-answer", Kind.RINGS, "rings for ever; a CANCEL gets its 487"),
    _refuses(5, "unavailable", 480, "Temporarily Unavailable"),
    _refuses(6, "unknown", 404, "Not Found"),
    _refuses(7, "forbidden", 403, "Forbidden"),
    _refuses(8, "server-error", 500, "Server Internal Error"),
    _refuses(9, "overloaded", 503, "Service Unavailable", retry_after_s=5),
    _answers(10, "drops", Kind.DROPS, "answers and hangs up at once"),
    _answers(11, "hangs-up", Kind.HANGS_UP, "hangs up in the middle of a sentence", after_s=2.5),
    _answers(12, "silence", Kind.SILENCE, "answers and sends silence"),
    _answers(13, "echo", Kind.ECHO, "answers and sends back what it hears"),
    _answers(14, "voicemail", Kind.VOICEMAIL, "a greeting, a beep, then it records", ring_s=1.0),
    _answers(15, "ivr", Kind.IVR, "a menu; it says which key was pressed"),
    _answers(16, "screening", Kind.SCREENING, "wants name and reason; then Dana", persona="dana"),
    _answers(
        17, "early-media", Kind.EARLY_MEDIA, "183 with an announcement, then 480",
        status=480, reason="Temporarily Unavailable", after_s=3.0,
    ),
    _answers(
        18, "auth", Kind.TALKS, f"407; with {USERNAME}/{PASSWORD}, Dana talks",
        persona="dana", auth=True,
    ),
    _answers(19, "answers-late", Kind.TALKS, "rings 3 s, then Dana talks", persona="dana",
             ring_s=3.0),
    _answers(20, "keys", Kind.KEYS, "answers and presses 1 2 3 4 #"),
    _answers(21, "bye-lost", Kind.VANISHES, "answers, then is gone without a BYE", after_s=2.0),
    _answers(22, "terse", Kind.TALKS, "Kim says yes, and hangs up on goodbye", persona="kim"),
    _answers(23, "recording", Kind.RECORDING, "a greeting like a person's; then it records"),
    _answers(
        24, "bank", Kind.BANK, "three menus, a queue with music, then Kim: keys 2, 3, 0",
        persona="kim",
    ),
)  # fmt: skip

_BY_NUMBER = {scenario.number: scenario for scenario in SCENARIOS}


def scenario_of(user: str) -> Scenario | None:
    """Return the scenario of a dialled number, in any of the forms trunks send, or null."""
    digits = "".join(char for char in user if char.isdigit())
    return _BY_NUMBER.get("+" + digits.removeprefix("00")) or _BY_NUMBER.get("+1" + digits)


def listing() -> str:
    """Return the numbers as a table for people."""
    rows = [f"{scenario.number}  {scenario.name:<13} {scenario.what}" for scenario in SCENARIOS]
    return "\n".join(rows)
