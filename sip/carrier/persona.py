"""Who is on the phone, as data, and how anyone talks: listen first, wait, give up."""

from __future__ import annotations

import re

import msgspec

from sip.carrier.line import Heard, Line

WITHIN_S = 8.0
"""How long a person waits for the other side to begin before saying it again, and then gives up."""

_FAREWELL = re.compile(r"\b(?:good ?bye|bye|have a (?:nice|good|great) day)\b", re.IGNORECASE)


class Persona(msgspec.Struct, frozen=True):
    """A person with things to say, each when the other side has finished speaking."""

    name: str
    lines: tuple[str, ...]
    nobody_speaks: str = "Hello? Is anybody there?"


PERSONAS = {
    persona.name: persona
    for persona in (
        Persona(
            "dana",
            (
                "What are your opening hours?",
                "How much does a cleaning cost?",
                "Great, thank you. That is all. Goodbye.",
            ),
        ),
        Persona(
            "omar",
            (
                "Do you accept insurance?",
                "How do I cancel my appointment?",
                "My customer number is four two seven nine one.",
                "Yes, that is right.",
                "No, thank you. Goodbye.",
            ),
        ),
        Persona("kim", ("Yes.", "Thank you. Goodbye.")),
    )
}


async def converse(line: Line, persona: Persona, *, within_s: float = WITHIN_S) -> bool:
    """Talk as `persona` would, and hang up; return whether everything was said and answered.

    Raises:
        HungUp: the other side ended the call.
    """
    greeted = await _listen(line, within_s)
    if greeted is None and await _say(line, persona.nobody_speaks, within_s) is None:
        await _give_up(line)
        return False
    heard: Heard | None = None
    for text in persona.lines:
        heard = await _say(line, text, within_s)
        if heard is None:
            heard = await _say(line, text, within_s)
        if heard is None:
            await _give_up(line)
            return False
    if heard is not None and not _FAREWELL.search(heard.text):
        # What was answered was not goodbye: the other side may have that still to say.
        await _listen(line, within_s / 2)
    await line.hang_up()
    return True


async def _say(line: Line, text: str, within_s: float) -> Heard | None:
    while line.busy:  # never over the other side's words
        await line.hear(0.0)
    await line.say(text)
    return await _listen(line, within_s)


async def _listen(line: Line, within_s: float) -> Heard | None:
    """The other side's whole turn: what it says, until it has been quiet."""
    heard = await line.hear(within_s)
    while heard is not None and line.busy:
        more = await line.hear(0.0)
        if more is not None:
            heard = Heard(f"{heard.text} {more.text}".strip(), heard.start, more.end)
    return heard


async def _give_up(line: Line) -> None:
    line.note("gave_up")
    await line.hang_up()
