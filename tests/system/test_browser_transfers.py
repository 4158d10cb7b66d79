"""People who came by a browser and are passed on to a human: who hears whom, what is on record."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sip.message import Request
from speech.offline.voice import Speaker
from tests.contract.sip.peer import Phone, Talk
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers
from tests.system.platform import Platform, wait_for
from tests.system.test_browser import ASK_HOURS, Visitor, over, session, start, visitor, voiced
from tests.system.test_call_tools import COLD, COLLEAGUE
from tests.system.test_conversation import number_at
from tests.system.test_warm_transfers import HEARD, HUMAN, PERSON, YES, loudest
from tests.system.tones import Voice, hears, tone, until_hears
from tests.system.visitor import HEARD_RATE, SPOKEN_RATE

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

WARM = {"human_transfer_mode": "warm"}


class Passed:
    """A person in a browser who asked for a colleague, and the colleague's phone, which rings."""

    def __init__(
        self, platform: Platform, started: dict[str, Any], client: Visitor, phone: Phone
    ) -> None:
        self.platform = platform
        self.id = started["session"]["id"]
        self.client = client
        self.phone = phone
        self.voice: Voice
        self.talk: Talk

    def answer(self, invite: Request) -> None:
        """The human answers, and says a tone from then on."""
        self.talk = self.phone.answer(invite)
        self.voice = Voice(self.phone, self.talk.rtp_to, tone(HUMAN))

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return what of this kind happened to the session."""
        told = self.platform.api.get(f"/session/{self.id}/events")["events"]
        return [each["data"] for each in told if each["type"] == kind]

    async def until_the_person_hears(self) -> None:
        """Wait until the human is heard in the browser."""
        await asyncio.to_thread(wait_for, self.heard_of_the_human, lambda much: much > 0.1, 10.0)

    def heard_of_the_human(self) -> float:
        """Return how loud the human was, in the tenth of a second in which they were loudest."""
        return max(loudest_in(each, HEARD_RATE, HUMAN) for each in self.client.tracks())

    async def over(self) -> dict[str, Any]:
        """The human hangs up; return the session, which is over then."""
        self.talk.send("BYE")
        gone = await asyncio.to_thread(self.client.wait, "disconnected")
        assert gone["reason"] == "ROOM_DELETED"
        return await asyncio.to_thread(over, self.platform, self.id)


def loudest_in(samples: np.ndarray[Any, Any], rate: int, hertz: int) -> float:
    """Return how loud a tone is in the tenth of a second that has most of it."""
    piece = rate // 10
    whole = samples[: len(samples) // piece * piece].reshape(-1, piece) / 32_768
    turn = np.exp(-2j * np.pi * hertz * np.arange(piece) / rate)
    return float(2 * np.abs((whole * turn).mean(axis=1)).max(initial=0.0))


def tone_file(folder: Path, seconds: float) -> str:
    """Return a file in which the person's tone is heard for so long."""
    path = folder / f"tone-{seconds:g}.wav"
    at = np.arange(round(seconds * SPOKEN_RATE)) / SPOKEN_RATE
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SPOKEN_RATE)
        samples = 0.4 * 32_767 * np.sin(2 * np.pi * PERSON * at)
        file.writeframes(samples.astype(np.int16).tobytes())
    return str(path)


@asynccontextmanager
async def passing(
    platform: Platform,
    providers: ProviderServers,
    speaker: Speaker,
    folder: Path,
    **settings: Any,
) -> AsyncIterator[tuple[Passed, Request]]:
    """Have a person in a browser ask for a colleague, whose phone rings."""
    providers.controls.reset()
    asks = ToolCall(name="transfer_call", arguments={"reason": "wants a colleague"})
    providers.controls.rules(
        Rule(when="reason: wants", say="Ada wants to move her appointment."),
        Rule(when="opening hours", tool=asks),
    )
    phone = Phone()
    await phone.start()
    number = await asyncio.to_thread(number_at, platform, "web", phone.port)
    assistant = {"prompt": "You pass people on.", "from_phone_number": number, **COLD, **settings}
    started = await asyncio.to_thread(start, platform, assistant=assistant)
    try:
        with visitor(folder, started) as client:
            passed = Passed(platform, started, client, phone)
            await asyncio.to_thread(client.wait, "speech ended")
            await asyncio.to_thread(client.say, voiced(speaker, folder, ASK_HOURS))
            invite = await phone.request("INVITE", 30)
            phone.reply(invite, 180, "Ringing")
            yield passed, invite
            await passed.voice.stop()
    finally:
        await phone.stop()


@pytest.mark.long
def test_a_person_in_a_browser_is_bridged_to_a_human(
    platform: Platform, providers: ProviderServers, speaker: Speaker, folder: Path
) -> None:
    async def run() -> None:
        async with passing(platform, providers, speaker, folder) as (passed, invite):
            passed.answer(invite)
            await passed.until_the_person_hears()
            await asyncio.to_thread(wait_for, lambda: passed.events("handed_over"), bool, 10.0)
            said = asyncio.to_thread(passed.client.say, tone_file(folder, 4))
            await asyncio.gather(said, until_hears(passed.phone, PERSON, 10))
            (told,) = passed.events("session.transferred")
            assert (told["to_phone_number"], told["reason"]) == (COLLEAGUE, "wants a colleague")
            assert passed.events("human_asked")[0]["because"] == "browser"
            assert session(platform, passed.id)["status"] == "in_progress"
            seen = await passed.over()
            assert (seen["status"], seen["end_reason"]) == ("completed", "transfer")
            assert seen["transfer"]["to_phone_number"] == COLLEAGUE
            assert seen["transfer"]["talk_secs"] > 3

    asyncio.run(run())


def test_a_human_is_asked_before_they_hear_who_is_in_a_browser(
    platform: Platform, providers: ProviderServers, speaker: Speaker, folder: Path
) -> None:
    async def run() -> None:
        async with passing(platform, providers, speaker, folder, **WARM) as (passed, invite):
            passed.answer(invite)
            said = asyncio.to_thread(passed.client.say, tone_file(folder, 12))
            saying = asyncio.create_task(said)
            await passed.phone.rtp.until(lambda packets: sum(p.loud for p in packets) > 50, 15)
            await asyncio.sleep(3.0)  # both speak all along
            assert loudest(passed.phone.rtp.packets, PERSON) < HEARD
            assert passed.heard_of_the_human() < HEARD
            assert passed.events("session.transferred") == []
            passed.phone.press(passed.talk.rtp_to, YES, 30_000)
            await passed.until_the_person_hears()
            await until_hears(passed.phone, PERSON, 5)
            assert not hears(passed.phone, HUMAN), "an echo"
            await saying
            seen = await passed.over()
            assert (seen["end_reason"], seen["ended_by"]) == ("transfer", "agent")

    asyncio.run(run())
