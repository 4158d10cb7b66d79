"""What the machines behind spoken numbers do: voicemail, menu, screening, echo and the like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sip.carrier.bank import bank
from sip.carrier.line import Line
from sip.carrier.persona import PERSONAS, converse
from sip.carrier.scenarios import Kind, Scenario
from sip.carrier.senses import beep

_RECORDS_S = 30.0
_LONGEST_S = 120.0

VOICEMAIL = "You have reached the voicemail of Dana Miller. Please leave a message after the tone."
RECORDING = "Hello, Sam speaking. It is so nice to hear from you, I was just thinking of you."
MENU = "Welcome to Example Bank. For sales, press one. For support, press two."
SCREENING = (
    "Hi. If you record your name and reason for calling, I will see if this person is available."
)
SENTENCE = (
    "I am very sorry, but I really have to tell you that at this moment I cannot talk because"
)
ANNOUNCEMENT = "The person you have called is not available at the moment. Please try again later."
_KEYS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


async def talks(line: Line, scenario: Scenario) -> None:
    """A person."""
    await converse(line, PERSONAS[scenario.persona])


async def hangs_up(line: Line, scenario: Scenario) -> None:
    """Someone who is cut off in the middle of a sentence."""
    sound = await line.sound_of(SENTENCE)
    await line.play(sound[: int(scenario.after_s * line.rate)], SENTENCE)
    await line.hang_up()


async def echoes(line: Line, scenario: Scenario) -> None:
    """Everything comes back."""
    line.echo()
    await line.pause(scenario.after_s or _LONGEST_S)
    await line.hang_up()


async def voicemail(line: Line, scenario: Scenario) -> None:
    """A greeting, a beep, and a recording of up to 30 s; silence ends it sooner."""
    del scenario
    await line.pause(0.5)
    await line.say(VOICEMAIL)
    await line.pause(0.7)
    await line.play(beep(), "[beep]")
    line.note("recording")
    while await line.hear(_RECORDS_S / 3, end_within_s=_RECORDS_S) is not None:
        continue
    await line.hang_up()


async def recording(line: Line, scenario: Scenario) -> None:
    """A greeting that could be a person's, and a recording of up to 40 s."""
    await line.pause(0.5)
    await line.say(RECORDING)
    line.note("recording")
    await line.pause(scenario.after_s or _RECORDS_S + 10.0)
    await line.hang_up()


async def menu(line: Line, scenario: Scenario) -> None:
    """A menu, twice; a key is confirmed in words and the menu goes on."""
    del scenario
    await line.pause(0.5)
    for _ in range(2):
        await line.say(MENU)
        while (key := await line.key(5.0)) is not None:
            await line.say(f"You pressed {_name(key)}. Thank you.")
    await line.say("We did not receive an answer. Goodbye.")
    await line.hang_up()


async def screening(line: Line, scenario: Scenario) -> None:
    """A telephone that asks who is calling before it lets its owner answer."""
    await line.pause(0.3)
    await line.say(SCREENING)
    await line.last_words()  # what was said into that was no answer to it
    if await line.hear(10.0) is None:
        await line.hang_up()
        return
    await line.say("Thank you. Please stay on the line.")
    await line.pause(2.0)
    await line.say("Hello, this is Dana.")
    await talks(line, scenario)


async def keys(line: Line, scenario: Scenario) -> None:
    """Someone who says nothing and presses keys."""
    await line.pause(1.0)
    await line.press("1234#")
    await line.pause(scenario.after_s or 6.0)
    await line.hang_up()


SCRIPTS: dict[Kind, Callable[[Line, Scenario], Awaitable[None]]] = {
    Kind.TALKS: talks,
    Kind.HANGS_UP: hangs_up,
    Kind.ECHO: echoes,
    Kind.VOICEMAIL: voicemail,
    Kind.RECORDING: recording,
    Kind.IVR: menu,
    Kind.SCREENING: screening,
    Kind.BANK: bank,
    Kind.KEYS: keys,
}


def _name(key: str) -> str:
    if key.isdigit():
        return _KEYS[int(key)]
    return {"*": "star", "#": "pound"}.get(key, key)
