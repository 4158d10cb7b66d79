"""A call that the model ends: when the person has finished, and on everything that they said.

All conversations are held side by side, in real time; they allow one core to whatever else the
machine does. The embedded engines serve them, with an agent that wants to hang up at "That is all".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import Enum, auto

import numpy as np
import pytest
import pytest_asyncio
from livekit.agents.utils import http_context
from msgspec import Struct

from agent.audio.input import HEARD_RATE
from agent.ending import Verdict
from agent.session import Engines
from control_plane.domain.assistant import FirstSentenceMode
from control_plane.domain.events import EndedBy, EndReason, Role
from speech.offline.voice import Speaker
from tests.agent.telephone import alike, ringing, spoken
from tests.factories import call_brief

pytestmark = [
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(60),
]

CALL_LIMIT_S = 50.0
GREETING = "Hello, this is the clinic."
CLOSING = "Thank you for calling. Goodbye."
PRICE = "A cleaning costs eighty dollars."


class Event(Enum):
    """What a person waits for, however long it takes on this machine."""

    CLOSING_BEGAN = auto()
    PRICE_TOLD = auto()


class Row(Struct, frozen=True):
    """What a person says after the greeting.

    Sentences, each after so many seconds of silence, or (an `Event`) once that has happened.
    """

    says: tuple[tuple[float | Event, str], ...]
    hears: tuple[str, ...] = (CLOSING,)


ROWS = {
    **{
        f"goodbye after {pause} s": Row(((0.0, "That is all."), (pause, "Goodbye.")))
        for pause in (0.35, 0.5, 0.7, 1.0)
    },
    "three sentences": Row(((0.0, "Great, thank you."), (0.4, "That is all."), (0.4, "Goodbye."))),
    "thanks, and more": Row(((0.0, "Great, thank you."), (0.7, "That is all, goodbye."))),
    "one more thing": Row(
        (
            (0.0, "That is all."),
            (Event.CLOSING_BEGAN, "Wait. How much does a cleaning cost?"),
            (Event.PRICE_TOLD, "Goodbye."),
        ),
        (PRICE, CLOSING),
    ),
}


class Held(Struct):
    """How a call went; times in seconds since the answer."""

    verdict: Verdict
    person: str
    agent: str
    last_word_at: float
    agents_last_sound_at: float
    over_at: float


async def hold(row: Row, engines: Engines, speaker: Speaker) -> Held:
    """Hold one call to its end."""
    brief = call_brief(
        prompt=f"You are the receptionist of a clinic. {PRICE}",
        first_sentence=GREETING,
        first_sentence_mode=FirstSentenceMode.STATIC,
        end_of_call_sentence=CLOSING,
    )
    async with asyncio.timeout(CALL_LIMIT_S), ringing(brief, engines) as call:
        call.answer()
        telephone = call.telephone
        await telephone.listen(0.6)
        for after, sentence in row.says:
            if after is Event.CLOSING_BEGAN:
                await telephone.hear()
            elif after is Event.PRICE_TOLD:
                await call.books.until(lambda books: PRICE in " ".join(books.by[Role.ASSISTANT]))
            pause_s = after if isinstance(after, float) else 0.0
            quiet = np.zeros(round(pause_s * HEARD_RATE), np.int16)
            await telephone.say(np.concatenate([quiet, spoken(speaker, sentence)]))
        last_word_at = telephone.now
        verdict = await call.over()
        over_at, spoke_until = telephone.now, telephone.spoke_until
        said = {role: " ".join(call.books.by[role]) for role in (Role.USER, Role.ASSISTANT)}
        by_person, by_agent = said[Role.USER], said[Role.ASSISTANT]
        return Held(verdict, by_person, by_agent, last_word_at, spoke_until, over_at)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(engines: Engines) -> AsyncIterator[dict[str, asyncio.Task[Held]]]:
    """Every row's call."""
    speaker = Speaker.load()
    async with http_context.open():
        held = {
            name: asyncio.create_task(hold(row, engines, speaker)) for name, row in ROWS.items()
        }
        await asyncio.gather(*held.values(), return_exceptions=True)
        yield held


@pytest.mark.parametrize("name", ROWS)
async def test_it_ends_when_the_person_has_finished(
    calls: dict[str, asyncio.Task[Held]], name: str
) -> None:
    row, held = ROWS[name], calls[name].result()
    assert held.verdict == Verdict(EndedBy.AGENT, EndReason.TOOL_END_CALL)
    assert held.over_at > held.last_word_at
    for sentence in (sentence for _, sentence in row.says):
        assert alike(sentence, held.person) >= 85, held.person
    for sentence in (GREETING, *row.hears):
        assert alike(sentence, held.agent) >= 85, held.agent
    # Not cut short: the goodbye was said to its end.
    assert held.agent.endswith("Goodbye."), held.agent
    # Nor for a telephone that plays a little late: the voice's silence after it was played, too.
    assert held.over_at - held.agents_last_sound_at >= 0.2
