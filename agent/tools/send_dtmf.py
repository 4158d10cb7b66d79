"""Press keys in a telephone menu."""

from __future__ import annotations

import asyncio
import re
from difflib import SequenceMatcher
from typing import Annotated, Any

from livekit.agents import ToolError
from msgspec import Meta, Struct

from agent.far_end import FarEnd
from agent.opening import said_last
from agent.tools.irrevocable import Deed
from agent.tools.tool import Surroundings, Tool, Work
from control_plane.domain.events import KeysSent

PAUSE = "w"
STEP_S = 0.5
"""From the start of one key to the start of the next, and the length of a pause."""
MOST = 64
IN_VAIN = 2
"""So often the same keys may bring the same words back; then others have to be tried."""
ALIKE = 0.85
"""Words as alike as this are the same menu's: a recogniser does not hear it the same way twice."""
_KEYS = re.compile(r"[0-9*#a-dw]*[0-9*#a-d][0-9*#a-dw]*", re.IGNORECASE)
_WORD = re.compile(r"\w+")


class Arguments(Struct, frozen=True):
    """What the model fills in."""

    keys: Annotated[
        str,
        Meta(
            description="The keys in order, without anything between them: 0-9, *, #, A-D; "
            "w is a pause of half a second.",
            max_length=MOST,
        ),
    ]


class Tries:
    """Which keys were sent after which words."""

    def __init__(self) -> None:
        self._sent: list[tuple[str, list[str]]] = []

    def add(self, keys: str, words: str) -> None:
        """These keys were sent after these words of the other side."""
        self._sent.append((keys, _plain(words)))

    def were_in_vain(self, keys: str, words: str) -> bool:
        """Whether these keys brought these words back too often."""
        plain = _plain(words)
        same = [sent for sent, before in self._sent if sent == keys and _alike(before, plain)]
        return bool(plain) and len(same) >= IN_VAIN


async def press(far_end: FarEnd, keys: str) -> None:
    """Send the keys, whoever speaks meanwhile, never two in less than `STEP_S`."""
    for key in keys:
        if key != PAUSE:
            await far_end.press(key)
        await asyncio.sleep(STEP_S)


def _make(call: Surroundings) -> Work:
    tries = Tries()

    async def send_dtmf(given: Arguments, _: Any) -> Deed:
        keys, words = given.keys.lower(), said_last(call.session.history)
        _check(call, keys, given.keys)
        if tries.were_in_vain(keys, words):
            raise ToolError(
                f"send_dtmf did nothing: {given.keys} was sent {IN_VAIN} times after these very "
                "words, and they came again. Try other keys, call skip_turn to hear more, say in "
                "words what you want, or ask for a person; if nothing helps, end the call."
            )

        async def send() -> None:
            tries.add(keys, words)
            call.reporter.report(KeysSent, keys=keys)
            await press(call.far_end, keys)

        return Deed(
            do=send,
            told=f"{given.keys} is sent as soon as the other side pauses. If it says more before "
            "that, nothing is sent: then call send_dtmf again.",
            insists_by=keys,
        )

    return send_dtmf


def _check(call: Surroundings, keys: str, given: str) -> None:
    if not call.far_end.is_telephone:
        raise ToolError("send_dtmf did nothing: the other side is no telephone. Use words.")
    if _KEYS.fullmatch(keys) is None:
        raise ToolError(
            f"send_dtmf did nothing: {given!r} is not made of keys. They are 0-9, *, # and A-D, "
            "without anything between them, and w for a pause of half a second. Call it again."
        )


def _plain(words: str) -> list[str]:
    return _WORD.findall(words.casefold())


def _alike(one: list[str], other: list[str]) -> bool:
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= ALIKE


SEND_DTMF = Tool(
    name="send_dtmf",
    description=(
        "Press keys of the telephone (DTMF) when a recorded menu asks for them, to get where you "
        "want. Say nothing with it, and wait for what comes. Never press keys to a person."
    ),
    arguments=Arguments,
    is_offered=lambda spec: spec.ivr_navigation_enabled,
    can_be_taken_back=False,
    make=_make,
)
