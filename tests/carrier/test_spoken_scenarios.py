"""The numbers that talk, all called at once, over real RTP; then each conversation is examined.

Machine time: the recognisers of twelve calls take a core and more; they have two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from sip.carrier.persona import PERSONAS
from sip.carrier.scenarios import SCENARIOS, SPOKEN, Kind
from sip.carrier.scripts import MENU, RECORDING, SCREENING, VOICEMAIL
from sip.carrier.senses import Senses
from tests.carrier.agent import RATE, Agent
from tests.carrier.conftest import Running
from tests.carrier.uac import Uac
from tests.listener.phrase_bank import ACCEPT, PhraseBank, texts

pytestmark = [
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(60),
]

NUMBER = {scenario.name: scenario.number for scenario in SCENARIOS}
GREETING = "Hello, this is Ava from Bright Smile Dental. How can I help you?"
REPLIES = (
    "We are open from nine to five on weekdays.",
    "A cleaning costs eighty dollars.",
    "Thank you for calling. Goodbye.",
)


@dataclass
class Call:
    """One finished call: the caller's end and the witness's lines."""

    phone: Uac
    lines: list[dict[str, Any]]

    @property
    def pcm(self) -> npt.NDArray[np.int16]:
        return self.phone.sound.pcm

    def told(self, event: str, key: str = "pii_text") -> list[str]:
        return [line[key] for line in self.lines if line["event"] == event]


Script = Callable[[Agent], Awaitable[None]]


async def converse(agent: Agent) -> None:
    await agent.say(GREETING)
    for count, reply in enumerate(REPLIES, start=1):
        await agent.hear(count)
        await agent.say(reply)
    await agent.until_bye()


async def greet_only(agent: Agent) -> None:
    await agent.say(GREETING)
    await agent.hear(1)
    agent.phone.hang_up()


async def say_nothing(agent: Agent) -> None:
    await agent.until_bye(40.0)


async def press_two(agent: Agent) -> None:
    await agent.hear(1)
    agent.phone.sound.press(agent.phone.remote_rtp, 2, 50_000)
    await agent.hear(2)
    agent.phone.hang_up()


def leave_a_message(*, after: int) -> Script:
    async def leave(agent: Agent) -> None:
        await agent.hear(after)
        await agent.say("This is Ava. Please call me back tomorrow morning.")
        await asyncio.sleep(1.5)
        agent.phone.hang_up()

    return leave


async def give_a_name(agent: Agent) -> None:
    await agent.hear(1)
    await agent.say("This is Ava from Bright Smile Dental, about your appointment.")
    await agent.hear(3)
    agent.phone.hang_up()


async def listen_to_keys(agent: Agent) -> None:
    await asyncio.sleep(3.0)
    agent.phone.hang_up()


async def hear_an_echo(agent: Agent) -> None:
    await agent.say("How much does a cleaning cost?")
    await agent.hear(1)
    await asyncio.sleep(1.0)  # the rest may follow a pause
    agent.phone.hang_up()


ECHO_TRIES = 3
CALLS: dict[str, tuple[str, Script]] = {
    "talks": ("talks", converse),
    "talks again": ("talks", converse),
    "nobody": ("terse", say_nothing),
    "faq": ("talks-faq", greet_only),
    "late": ("answers-late", greet_only),
    "hangs-up": ("hangs-up", say_nothing),
    "ivr": ("ivr", press_two),
    "voicemail": ("voicemail", leave_a_message(after=2)),
    "recording": ("recording", leave_a_message(after=1)),
    "screening": ("screening", give_a_name),
    "keys": ("keys", listen_to_keys),
    "echo": ("echo", hear_an_echo),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(running: Running, senses: Senses, bank: PhraseBank) -> dict[str, Call]:
    async def place(scenario: str, script: Script) -> Call:
        async with Uac(running.address, NUMBER[scenario]) as phone:
            phone.invite()
            await phone.answered(8.0)
            await script(Agent(phone, senses))
            await asyncio.sleep(0.3)
            return Call(phone, running.lines(phone.call_id))

    together = {name: call for name, call in CALLS.items() if name != "echo"}
    done = await asyncio.gather(*(place(*call) for call in together.values()))
    # What comes back goes twice through a process that the others keep busy: it comes chopped.
    # So it does, now and then, when another process has the processor: an echo that is chopped by
    # itself is so each time.
    for _ in range(ECHO_TRIES):
        echo = await place(*CALLS["echo"])
        if bank.hear_all(echo.pcm.astype(np.float64), RATE):
            break
    return {**dict(zip(together, done, strict=True)), "echo": echo}


@pytest.fixture(scope="module")
def bank() -> PhraseBank:
    said = [line for persona in PERSONAS.values() for line in persona.lines]
    return PhraseBank([*said, "Please stay on the line.", "You pressed two."])


async def test_every_spoken_kind_is_called() -> None:
    called = {name for name, _ in CALLS.values()}
    kinds = {scenario.kind for scenario in SCENARIOS if scenario.name in called}
    assert kinds == SPOKEN - {Kind.BANK}  # test_bank.py has it


@pytest.mark.parametrize("name", ["talks", "talks again"])
async def test_dana_asks_listens_and_hangs_up(
    calls: dict[str, Call], bank: PhraseBank, name: str
) -> None:
    call = calls[name]
    lines = list(PERSONAS["dana"].lines)
    assert call.told("said") == lines
    for line in lines[:2]:
        assert bank.best_in(call.pcm, RATE, line) >= ACCEPT
    assert "goodbye" in call.told("heard")[-1].lower()
    assert "nine" in call.told("heard")[1] or "9" in call.told("heard")[1]
    assert call.phone.byes == 1


async def test_dana_never_talks_over_the_agent(calls: dict[str, Call]) -> None:
    spans = [
        (line["start"], line["end"], line["event"])
        for line in calls["talks"].lines
        if line["event"] in ("said", "heard")
    ]
    spans.sort()
    assert all(before[1] <= after[0] + 0.15 for before, after in pairwise(spans))


async def test_nobody_there_is_asked_once_more_and_given_up(calls: dict[str, Call]) -> None:
    call = calls["nobody"]
    assert call.told("said") == [PERSONAS["kim"].nobody_speaks]
    assert [line["event"] for line in call.lines].count("gave_up") == 1
    assert call.phone.byes == 1


async def test_the_second_persona_speaks(calls: dict[str, Call]) -> None:
    assert calls["faq"].told("said")[:1] == [PERSONAS["omar"].lines[0]]


async def test_answers_late(calls: dict[str, Call]) -> None:
    call = calls["late"]
    at = {line["event"]: line["t"] for line in call.lines}
    assert at["established"] - at["invite"] >= 3.0
    assert 180 in call.phone.all


async def test_hangs_up_in_mid_sentence(calls: dict[str, Call]) -> None:
    call = calls["hangs-up"]
    assert call.phone.byes == 1
    assert np.abs(call.pcm[-4_000:]).max() > 500
    assert 1.5 * RATE < call.pcm.size < 4 * RATE


async def test_the_menu_confirms_the_key(calls: dict[str, Call]) -> None:
    call = calls["ivr"]
    assert call.told("key", "pii_key") == ["2"]
    assert call.told("said")[:2] == [MENU, "You pressed two. Thank you."]


async def test_voicemail_greets_beeps_and_records(calls: dict[str, Call]) -> None:
    call = calls["voicemail"]
    assert call.told("said") == [VOICEMAIL, "[beep]"]
    assert "call me back" in call.told("heard")[0].lower()
    spectrum = np.abs(np.fft.rfft(call.pcm.astype(np.float64)))
    hertz = np.fft.rfftfreq(call.pcm.size, 1 / RATE)
    assert abs(hertz[spectrum.argmax()] - 1_000) < 10


async def test_a_recording_greets_and_says_no_more(calls: dict[str, Call]) -> None:
    call = calls["recording"]
    assert call.told("said") == [RECORDING]
    assert "recording" in [line["event"] for line in call.lines]


async def test_screening_asks_and_then_connects(calls: dict[str, Call]) -> None:
    call = calls["screening"]
    assert call.told("said")[:3] == [
        SCREENING,
        "Thank you. Please stay on the line.",
        "Hello, this is Dana.",
    ]
    assert "appointment" in call.told("heard")[0]


async def test_keys_arrive_as_rfc_4733(calls: dict[str, Call]) -> None:
    assert [event for event, _ in calls["keys"].phone.sound.events] == [1, 2, 3, 4, 11]


async def test_echo_returns_the_words(calls: dict[str, Call], bank: PhraseBank) -> None:
    heard = texts(bank.hear_all(calls["echo"].pcm.astype(np.float64), RATE))
    assert heard == ["How much does a cleaning cost?"]
