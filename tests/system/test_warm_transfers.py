"""A human who is asked before they are given a caller: who hears whom until then, and after it.

The caller and the human say tones all along, so a subscription that is open for a moment is heard.
"""

from __future__ import annotations

import asyncio
import os
import signal
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech.offline.voice import Speaker
from tests.contract.sip.peer import Packet, Talk
from tests.listener.phrase_bank import ACCEPT, PhraseBank
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers
from tests.system.far_end import render
from tests.system.platform import Platform
from tests.system.test_bridged_calls import BYE_WITHIN_S, Line, bridging, passed_on
from tests.system.test_call_tools import COLD, COLLEAGUE, Desk, silent, speaks
from tests.system.test_lost_parts import ready
from tests.system.tones import (
    PACKET,
    QUIET,
    Voice,
    answer_as,
    linear,
    loudness,
    tone,
    ulaw,
    until_hears,
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

PERSON, HUMAN = 3_000, 2_600
"""Hz: neither the music nor the voice has much there."""
SUMMARY = "Ada Lovelace wants to move her appointment to Friday."
WARM = COLD | {
    "human_transfer_mode": "warm",
    "warm_transfer_summary_instructions": "Name the person and their wish.",
}
UNDERSTOOD_WITHIN_S = 30.0
"""The embedded recogniser on a busy machine; who was not understood is asked again."""
YES, NO = 1, 2
"""Keys, by their codes."""


@pytest.fixture
def desk(platform: Platform, providers: ProviderServers, speaker: Speaker, folder: Path) -> Desk:
    providers.controls.reset()
    asks = ToolCall(name="transfer_call", arguments={"reason": "wants a colleague"})
    providers.controls.rules(
        Rule(when="reason: wants", say=SUMMARY),
        Rule(when="keys: 0", tool=asks),
        Rule(when="keys", say="I help you myself, then."),
    )
    return Desk(platform, speaker, folder)


class Asking:
    """A human who was called, and the person who waits."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.person, self.human = line.person, line.human
        self.talk: Talk
        self._rang = len(line.person.rtp.packets)

    async def answer(self) -> None:
        """The human answers, and both speak from then on."""
        rtp_to = (self.human.host, _port(self.line))
        self.line.voices[0].payload = tone(PERSON)
        # What they say before they answer is sound on their line, too.
        self.line.voices.append(Voice(self.human, rtp_to, tone(HUMAN)))
        self.talk = answer_as(self.human, self.person, self.line.rings)
        await self.person.request("ACK", 10)

    async def is_told(self, limit_s: float = 20) -> None:
        """Return once the human hears somebody speak."""
        await self.human.rtp.until(lambda packets: _voice_in(packets[-50:]), limit_s)

    def press(self, code: int) -> None:
        """The human presses a key."""
        self.human.press(self.talk.rtp_to, code, 30_000)

    def say(self, desk: Desk, folder: Path, text: str) -> None:
        """The human says this, between two tones."""
        with wave.open(render(desk.speaker, folder, text, trimmed=True), "rb") as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32_768
        quiet = np.zeros(PACKET * 25)
        whole = np.concatenate((quiet, samples, quiet, quiet, np.zeros(-len(samples) % PACKET)))
        voice = self.line.voices[-1]
        voice.said.extend(ulaw(whole[at : at + PACKET]) for at in range(0, len(whole), PACKET))

    def are_apart(self) -> None:
        """Check that neither has heard the other, not for a moment."""
        assert loudest(self.person.rtp.packets[self._rang :], HUMAN) < HEARD
        assert loudest(self.human.rtp.packets, PERSON) < HEARD

    async def is_back(self) -> None:
        """Check that the human is hung up and the agent speaks to the person, and hears them."""
        heard = len(self.person.rtp.packets)
        if self.person.count("BYE") == 0:
            await self.person.request("BYE", UNDERSTOOD_WITHIN_S)
        self.line.voices[0].payload = QUIET
        await self.person.rtp.until(lambda packets: speaks(packets[heard:]), 30)
        await self.person.rtp.until(silent, 30)
        self.are_apart()
        spoken = len(self.person.rtp.packets)
        for n, code in enumerate((5, 11)):
            self.person.press(self.line.talk.rtp_to, code, 31_000 + 100 * n)
        await self.person.rtp.until(lambda packets: speaks(packets[spoken:]), 20)

    async def is_lost(self, end_reason: str) -> None:
        """Check that the call ends by this, and that neither has heard the other until then."""
        call = await self.line.call()
        self.are_apart()
        attempt = call["last_call_attempt"]
        assert (attempt["end_reason"], attempt["transfer"]) == (end_reason, None)

    async def failed(self) -> dict[str, Any]:
        """Hang up as the person; return why they were not passed on, as it is on record."""
        self.line.talk.send("BYE")
        call = await self.line.call()
        (failed,) = self.line.desk.events(call, "transfer_failed")
        assert self.line.desk.events(call, "call.transferred") == []
        attempt = call["last_call_attempt"]
        assert (attempt["ended_by"], attempt["transfer"]) == ("user", None)
        return failed


HEARD = 0.04
"""Of 0.4: a tenth of a second that has more holds 10 ms of the tone."""


def loudest(packets: list[Packet], hertz: int) -> float:
    """Return how loud a tone is in the tenth of a second that has most of it."""
    return max((loudness(packets[at : at + 5], hertz) for at in range(len(packets) - 4)), default=0)


def _voice_in(packets: list[Packet]) -> bool:
    return sum(each.loud for each in packets) > 25


def _port(line: Line) -> int:
    return int(line.rings.body.split(b"m=audio ")[1].split(b" ")[0])


@asynccontextmanager
async def asking(
    desk: Desk, *targets: dict[str, Any], at_once: bool = False
) -> AsyncIterator[Asking]:
    """Have a human answer who is asked to take a call; nobody has heard the other."""
    async with bridging(desk, None, targets, settings=WARM) as line:
        if not at_once:
            await line.person.rtp.until(lambda packets: _voice_in(packets[-50:]), 10)  # the music
        asked = Asking(line)
        await asked.answer()
        await asked.is_told()
        asked.are_apart()
        yield asked
        assert line.person.count("REFER") == 0


@pytest.mark.shows("human_transfer_mode", "warm_transfer_summary_instructions")
def test_who_takes_the_call_by_a_key_has_it(desk: Desk, providers: ProviderServers) -> None:
    async def run() -> None:
        providers.journal.clear()
        async with asking(desk) as asked:
            person, human = asked.person, asked.human
            await human.rtp.until(silent, 30)  # told and asked
            asked.are_apart()
            heard = linear(b"".join(p.payload for p in human.rtp.packets))
            bank = PhraseBank([SUMMARY])
            assert bank.best_in(heard, 8_000, SUMMARY) > ACCEPT
            (task,) = [each for each in _told(providers) if "human colleague" in each]
            assert "Name the person and their wish." in task
            asked.press(YES)
            await until_hears(person, HUMAN, 5)
            await until_hears(human, PERSON, 5)
            await asked.line.transferred()
            at = len(human.rtp.packets)
            await human.rtp.until(lambda packets: len(packets) > at + 150, 10)
            assert loudest(human.rtp.packets[at:], HUMAN) < HEARD, "an echo"
            assert person.count("BYE") == 0
            asked.talk.send("BYE")  # the human hangs up
            await person.request("BYE", BYE_WITHIN_S)
            attempt = passed_on(desk, await asked.line.call(), because="warm")
            assert 2 < attempt["transfer"]["talk_secs"] < 30

    asyncio.run(run())


def _told(providers: ProviderServers) -> list[str]:
    entries = providers.journal.entries("openai.chat", "request")
    return [each.asked["messages"][0]["content"] for each in entries]


def test_who_declines_is_hung_up_and_the_agent_goes_on(desk: Desk) -> None:
    async def run() -> None:
        async with asking(desk) as asked:
            asked.press(NO)
            await asked.is_back()
            assert (await asked.failed())["why"] == "declined"

    asyncio.run(run())


@pytest.mark.long
def test_who_answers_at_once_hears_nothing_of_the_caller_either(desk: Desk) -> None:
    async def run() -> None:
        async with asking(desk, at_once=True) as asked:
            asked.press(YES)
            await until_hears(asked.person, HUMAN, 5)
            await until_hears(asked.human, PERSON, 5)
            asked.line.talk.send("BYE")
            await asked.line.call()

    asyncio.run(run())


@pytest.mark.long
def test_who_takes_the_call_by_a_word_has_it(desk: Desk, folder: Path) -> None:
    async def run() -> None:
        async with asking(desk) as asked:
            await asked.human.rtp.until(silent, 30)  # told and asked
            asked.say(desk, folder, "Yes, put them through.")
            asked.are_apart()
            await until_hears(asked.person, HUMAN, UNDERSTOOD_WITHIN_S)
            await until_hears(asked.human, PERSON, 5)
            await asked.line.transferred()
            asked.line.talk.send("BYE")  # the person hangs up
            await asked.person.request("BYE", BYE_WITHIN_S)
            passed_on(desk, await asked.line.call(), because="warm")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("No, I can not take it now.", "declined"),
        ("Please leave a message after the tone.", "voicemail"),
    ],
)
@pytest.mark.long
def test_what_is_said_ends_it_too(desk: Desk, folder: Path, words: str, why: str) -> None:
    async def run() -> None:
        async with asking(desk) as asked:
            await asked.human.rtp.until(silent, 30)
            asked.say(desk, folder, words)
            await asked.is_back()
            assert (await asked.failed())["why"] == why

    asyncio.run(run())


@pytest.mark.long
def test_a_human_who_leaves_before_that_leaves_the_caller_with_the_agent(desk: Desk) -> None:
    async def run() -> None:
        async with asking(desk) as asked:
            asked.talk.send("BYE")
            asked.line.voices[0].payload = QUIET
            heard = len(asked.person.rtp.packets)
            await asked.person.rtp.until(lambda packets: speaks(packets[heard:]), 20)
            await asked.person.rtp.until(silent, 20)
            asked.are_apart()
            assert (await asked.failed())["why"] == "left"

    asyncio.run(run())


@pytest.mark.long
def test_a_caller_who_leaves_before_that_ends_it_for_the_human(desk: Desk) -> None:
    async def run() -> None:
        async with asking(desk) as asked:
            asked.line.talk.send("BYE")
            await asked.person.request("BYE", BYE_WITHIN_S)
            asked.are_apart()
            call = await asked.line.call()
            (failed,) = desk.events(call, "transfer_failed")
            assert failed["why"] == "caller_left"
            attempt = call["last_call_attempt"]
            assert (attempt["ended_by"], attempt["end_reason"]) == ("user", None)
            assert attempt["transfer"] is None

    asyncio.run(run())


@pytest.mark.long
def test_who_is_busy_leaves_the_caller_with_the_agent(desk: Desk) -> None:
    async def run() -> None:
        async with bridging(desk, None, settings=WARM) as line:
            heard = len(line.person.rtp.packets)
            line.person.reply(line.rings, 486, "Busy Here")
            await line.person.rtp.until(lambda packets: speaks(packets[heard:]), 20)
            await line.person.rtp.until(silent, 20)
            assert (await Asking(line).failed())["why"] == "busy"

    asyncio.run(run())


def test_the_next_human_is_asked_when_one_does_not_answer(desk: Desk) -> None:
    second = "+12025550143"
    settings = WARM | {"transfer_phone_number": None}
    targets = [{"phone_number": COLLEAGUE, "ring_secs": 5}, {"phone_number": second}]

    async def run() -> None:
        async with bridging(desk, None, targets, settings=settings) as line:
            await line.person.request("CANCEL", 10)
            line.rings = await line.person.request("INVITE", 30)
            assert second in line.rings.uri
            asked = Asking(line)
            await asked.answer()
            await asked.is_told()
            asked.are_apart()
            asked.press(YES)
            await until_hears(asked.person, HUMAN, 5)
            await line.transferred()
            asked.talk.send("BYE")
            await line.person.request("BYE", BYE_WITHIN_S)
            call = await line.call()
            (failed,) = desk.events(call, "transfer_failed")
            assert (failed["to_phone_number"], failed["why"]) == (COLLEAGUE, "no_answer")
            assert call["last_call_attempt"]["transfer"]["to_phone_number"] == second

    asyncio.run(run())


@pytest.mark.long
def test_a_scheduler_killed_while_it_rings_has_the_human_asked_all_the_same(
    desk: Desk, platform: Platform
) -> None:
    async def run() -> None:
        async with bridging(desk, None, settings=WARM) as line:
            asked = Asking(line)
            os.kill(platform.supervisor.pid("scheduler"), signal.SIGKILL)
            await asked.answer()
            await asked.is_told(40)
            asked.are_apart()
            asked.press(YES)
            await until_hears(asked.person, HUMAN, 5)
            await line.transferred()
            assert line.person.count("INVITE") == 2, "the person's and the human's"
            asked.talk.send("BYE")
            await line.person.request("BYE", BYE_WITHIN_S)
            passed_on(desk, await line.call(), because="warm")

    asyncio.run(run())


def test_an_agent_killed_while_it_asks_lets_neither_hear_the_other(
    desk: Desk, platform: Platform
) -> None:
    async def run() -> None:
        async with asking(desk) as asked:
            os.kill(platform.supervisor.pid("agent"), signal.SIGKILL)
            for _ in range(2):
                await asked.person.request("BYE", 40)
            await asked.is_lost("agent_lost")
        await asyncio.to_thread(ready, platform)

    asyncio.run(run())


@pytest.mark.long
def test_a_gateway_killed_while_it_asks_lets_neither_hear_the_other(
    desk: Desk, platform: Platform
) -> None:
    async def run() -> None:
        async with asking(desk) as asked:
            os.kill(platform.supervisor.pid("gateway"), signal.SIGKILL)
            await asked.is_lost("sip_service_lost")
            assert asked.person.count("INVITE") == 2, "nobody is called again"
        await asyncio.to_thread(ready, platform)

    asyncio.run(run())
