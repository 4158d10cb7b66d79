"""A caller who is bridged to a human: who hears whom, what each hang-up does, what is on record."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sip.message import Request
from speech.offline.voice import Speaker
from tests.contract.sip.peer import Phone, Talk
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers
from tests.system.platform import Platform, wait_for
from tests.system.test_call_tools import COLD, COLLEAGUE, Desk, is_silent, refuses, silent, speaks
from tests.system.test_lost_parts import ready
from tests.system.tones import Voice, answer_as, has_heard, hears, tone, until_hears

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

PERSON, HUMAN, RINGBACK = 1_000, 600, 425
BYE_WITHIN_S = 5.0


@pytest.fixture
def desk(platform: Platform, providers: ProviderServers, speaker: Speaker, folder: Path) -> Desk:
    providers.controls.reset()
    asks = ToolCall(name="transfer_call", arguments={"reason": "wants a colleague"})
    providers.controls.rules(
        Rule(when="keys: 0", tool=asks), Rule(when="keys", say="I help you myself, then.")
    )
    return Desk(platform, speaker, folder)


class Line:
    """A person who asked for a colleague by a key, and the colleague's phone that rings."""

    def __init__(self, desk: Desk, placed: dict[str, Any], person: Phone, human: Phone) -> None:
        self.desk = desk
        self.placed = placed
        self.person = person
        self.human = human
        self.voices: list[Voice] = []
        self.talk: Talk
        self.rings: Request

    async def call(self) -> dict[str, Any]:
        """Return the call once it is over."""
        return await asyncio.to_thread(self.desk.finished, self.placed)

    async def transferred(self) -> None:
        """Wait until the call is handed over."""

        def look() -> list[dict[str, Any]]:
            return self.desk.events(self.placed, "call.transferred")

        await asyncio.to_thread(wait_for, look, bool, 40)

    async def take(self) -> Talk:
        """Answer the human's phone, and have both speak."""
        talk = answer_as(self.human, self.person, self.rings)
        await self.person.request("ACK", 10)
        self.voices[0].payload = tone(PERSON)
        self.voices.append(Voice(self.human, talk.rtp_to, tone(HUMAN)))
        return talk


@asynccontextmanager
async def bridging(
    desk: Desk,
    refer: Callable[[Phone, Talk, Request], Awaitable[None]] | None = refuses,
    targets: Sequence[dict[str, Any]] = (),
    settings: Mapping[str, Any] = COLD,
    **trunk: Any,
) -> AsyncIterator[Line]:
    """Have a human's phone ring for a person on the line."""
    told = {**settings, "transfer_targets": list(targets)}
    person, human = Phone(), Phone()
    await person.start()
    await human.start()
    placed = await asyncio.to_thread(desk.order, person.port, trunk=trunk, **told)
    line = Line(desk, placed, person, human)
    try:
        line.talk = person.answer(await person.request("INVITE", 30))
        await person.request("ACK")
        line.voices.append(Voice(person, line.talk.rtp_to))
        await person.rtp.until(lambda packets: any(p.loud for p in packets), 20)
        await person.rtp.until(silent, 20)
        for n, code in enumerate((0, 11)):
            person.press(line.talk.rtp_to, code, 30_000 + 100 * n)
        if refer is not None:
            await refer(person, line.talk, await person.request("REFER", 20))
        line.rings = await person.request("INVITE", 30)
        person.reply(line.rings, 180, "Ringing")
        yield line
    finally:
        for voice in line.voices:
            await voice.stop()
        await human.stop()
        await person.stop()


def passed_on(desk: Desk, call: dict[str, Any], *, because: str) -> dict[str, Any]:
    """Check what is on the record of a call that was bridged; returns its attempt."""
    attempt: dict[str, Any] = call["last_call_attempt"]
    assert (attempt["ended_by"], attempt["end_reason"]) == ("agent", "transfer")
    (asked,) = desk.events(call, "human_asked")
    assert (asked["to_phone_number"], asked["because"]) == (COLLEAGUE, because)
    (told,) = desk.events(call, "call.transferred")
    assert (told["to_phone_number"], told["reason"]) == (COLLEAGUE, "wants a colleague")
    assert (told["bridged"], told["recorded"]) == (True, False)
    assert desk.events(call, "transfer_failed") == []
    transfer = attempt["transfer"]
    assert (transfer["to_phone_number"], transfer["is_recorded"]) == (COLLEAGUE, False)
    return attempt


def test_two_talk_on_without_the_agent(desk: Desk) -> None:
    async def run() -> None:
        async with bridging(desk) as line:
            await until_hears(line.person, RINGBACK, 10)
            talk = await line.take()
            await until_hears(line.person, HUMAN, 10)
            await until_hears(line.human, PERSON, 10)
            await line.transferred()
            heard = len(line.human.rtp.packets) + 25
            # Longer than the agent's lease, and than its own limit of this call.
            began = asyncio.get_running_loop().time()
            await line.person.rtp.until(
                lambda _: asyncio.get_running_loop().time() > began + 14, 20
            )
            assert hears(line.person, HUMAN)
            assert hears(line.human, PERSON)
            assert not has_heard(line.human, RINGBACK, since=heard), "the agent has left"
            assert not has_heard(line.human, HUMAN, since=heard), "an echo"
            assert line.person.count("BYE") == 0
            talk.send("BYE")  # the human hangs up
            await line.person.request("BYE", BYE_WITHIN_S)
            attempt = passed_on(desk, await line.call(), because="unsupported 501")
            assert 12 < attempt["transfer"]["talk_secs"] < 40
            assert attempt["recording_state"] != "absent"

    asyncio.run(run())


@pytest.mark.long
def test_a_trunk_without_refer_is_asked_for_none(desk: Desk) -> None:
    async def run() -> None:
        async with bridging(desk, None, takes_refer=False) as line:
            await line.take()
            await until_hears(line.person, HUMAN, 10)
            line.talk.send("BYE")  # the person hangs up
            await line.person.request("BYE", BYE_WITHIN_S)
            assert line.person.count("REFER") == 0
            passed_on(desk, await line.call(), because="no_refer")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("refer", "status", "why"),
    [(refuses, 486, "busy"), pytest.param(is_silent, 603, "declined", marks=pytest.mark.long)],
)
def test_who_is_not_taken_stays_with_the_agent(
    desk: Desk, refer: Callable[[Phone, Talk, Request], Awaitable[None]], status: int, why: str
) -> None:
    async def run() -> None:
        async with bridging(desk, refer) as line:
            await until_hears(line.person, RINGBACK, 10)
            heard = len(line.person.rtp.packets)
            line.person.reply(line.rings, status, "No")
            await line.person.rtp.until(lambda packets: speaks(packets[heard:]), 20)
            await line.person.rtp.until(silent, 20)
            line.talk.send("BYE")
            call = await line.call()
            (failed,) = desk.events(call, "transfer_failed")
            assert (failed["why"], failed["sip_status"]) == (why, status)
            assert desk.events(call, "call.transferred") == []
            attempt = call["last_call_attempt"]
            assert (attempt["ended_by"], attempt["end_reason"]) == ("user", None)
            assert attempt["transfer"] is None

    asyncio.run(run())


@pytest.mark.shows("transfer_targets")
@pytest.mark.long
def test_the_next_human_is_called_when_one_is_not_reached(desk: Desk) -> None:
    second = "+12025550143"

    async def run() -> None:
        async with bridging(desk, None, [{"phone_number": second}], takes_refer=False) as line:
            line.person.reply(line.rings, 486, "Busy Here")
            line.rings = await line.person.request("INVITE", 30)
            assert second in line.rings.uri
            talk = await line.take()
            await until_hears(line.person, HUMAN, 10)
            await line.transferred()
            talk.send("BYE")
            await line.person.request("BYE", BYE_WITHIN_S)
            call = await line.call()
            (failed,) = desk.events(call, "transfer_failed")
            assert (failed["to_phone_number"], failed["why"]) == (COLLEAGUE, "busy")
            assert call["last_call_attempt"]["transfer"]["to_phone_number"] == second

    asyncio.run(run())


@pytest.mark.long
def test_who_hangs_up_while_it_rings_is_called_for_no_more(desk: Desk) -> None:
    async def run() -> None:
        async with bridging(desk) as line:
            await until_hears(line.person, RINGBACK, 10)
            line.talk.send("BYE")
            await line.person.request("CANCEL", BYE_WITHIN_S)
            call = await line.call()
            attempt = call["last_call_attempt"]
            assert (attempt["ended_by"], attempt["end_reason"]) == ("user", None)
            assert desk.events(call, "call.transferred") == []

    asyncio.run(run())


def test_a_scheduler_killed_while_it_rings_calls_nobody_twice(
    desk: Desk, platform: Platform
) -> None:
    async def run() -> None:
        async with bridging(desk) as line:
            await until_hears(line.person, RINGBACK, 10)
            os.kill(platform.supervisor.pid("scheduler"), signal.SIGKILL)
            talk = await line.take()
            await until_hears(line.person, HUMAN, 10)
            await line.transferred()
            assert line.person.count("INVITE") == 2, "the person's and the human's"
            assert line.person.count("BYE") == 0
            talk.send("BYE")
            await line.person.request("BYE", BYE_WITHIN_S)
            passed_on(desk, await line.call(), because="unsupported 501")

    asyncio.run(run())


@pytest.mark.long
def test_an_agent_killed_while_it_rings_ends_no_talk(desk: Desk, platform: Platform) -> None:
    async def run() -> None:
        async with bridging(desk) as line:
            await until_hears(line.person, RINGBACK, 10)
            os.kill(platform.supervisor.pid("agent"), signal.SIGKILL)
            talk = await line.take()
            await until_hears(line.person, HUMAN, 10)
            # Longer than the lease of an agent, and than livekit-server shows a dead one.
            until = asyncio.get_running_loop().time() + 26
            await line.person.rtp.until(lambda _: asyncio.get_running_loop().time() > until, 40)
            assert hears(line.person, HUMAN)
            assert hears(line.human, PERSON)
            talk.send("BYE")
            await line.person.request("BYE", BYE_WITHIN_S)
            passed_on(desk, await line.call(), because="unsupported 501")
        await asyncio.to_thread(ready, platform)

    asyncio.run(run())
