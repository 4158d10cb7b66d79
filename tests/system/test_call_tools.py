"""What the model does on the line: keys in a menu, keys that it asks for, a caller passed on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sip.message import Request
from speech.offline.voice import Speaker
from tests.contract.sip.peer import Packet, Talk
from tests.contract.sip.peer import Phone as Peer
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers
from tests.system.far_end import FarEnd, phone, render
from tests.system.platform import Platform
from tests.system.test_conversation import number_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

MENU = "For sales, press one. For support, press two."
MODEL = {"type": "dedicated-instance", "name": "gpt-4.1"}
COLLEAGUE = "+12025550142"
COLD = {
    "llm_model": MODEL,
    "first_sentence": "Hello, this is the night desk.",
    "first_sentence_mode": "static",
    "human_transfer_mode": "cold",
    "transfer_phone_number": COLLEAGUE,
}
REALTIME = {"type": "realtime", "provider": "openai", "realtime_model_id": "gpt-realtime"}
_callees = itertools.count(800)
_Told = TypeVar("_Told")


class Desk:
    """Calls phones with assistants that have tools."""

    def __init__(self, platform: Platform, speaker: Speaker, folder: Path) -> None:
        self._platform = platform
        self.speaker = speaker
        self._folder = folder

    def says(self, text: str) -> dict[str, Any]:
        """Return the step that says `text`."""
        return {"say": render(self.speaker, self._folder, text, trimmed=True)}

    def call(
        self, *script: dict[str, Any], model: dict[str, Any] | None = None, **told: Any
    ) -> tuple[dict[str, Any], FarEnd]:
        """Call a phone that hangs up last of all; returns the call, and the phone."""
        with phone(self._folder, [*script, {"hangup": True}]) as far_end:
            placed = self.order(far_end.port, llm_model=model, **told)
            far_end.wait("over", 60.0)
        return self.finished(placed), far_end

    def order(
        self, port: int, *, trunk: dict[str, Any] | None = None, **told: Any
    ) -> dict[str, Any]:
        """Place a call to the phone at `port`, through a trunk with these settings."""
        assistant = {
            "name": "Tools",
            "prompt": "You want the support department of Example Bank.",
            "first_sentence_mode": "none",
            "from_phone_number": number_at(self._platform, "tools", port, **(trunk or {})),
        } | told
        number = f"+1202555{next(_callees):04d}"
        return self._platform.order(number, assistant=assistant)

    def finished(self, placed: dict[str, Any]) -> dict[str, Any]:
        """Return a call that was placed once it is over."""
        return self._platform.finished(placed["id"])

    def events(self, call: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        """Return what of this kind happened to a call."""
        told = self._platform.api.get(f"/call/{call['id']}/events")["events"]
        return [each["data"] for each in told if each["type"] == kind]


@pytest.fixture
def desk(platform: Platform, providers: ProviderServers, speaker: Speaker, folder: Path) -> Desk:
    providers.controls.reset()
    return Desk(platform, speaker, folder)


def together(*calls: Callable[[], _Told]) -> Iterator[_Told]:
    """Hold calls at the same time; returns what each returns."""
    with ThreadPoolExecutor(len(calls)) as callers:
        return callers.map(lambda call: call(), calls)


def over(far_end: FarEnd) -> dict[str, Any]:
    """Return the phone's last words."""
    return next(each for each in far_end.events if each["event"] == "over")


def tools(call: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the calls of tools in a transcript, and what came of them."""
    items = call["last_call_attempt"]["transcript"]
    return [(item["tool_name"], item) for item in items if item["role"] == "tool"]


@pytest.mark.shows("ivr_navigation_enabled")
def test_a_menu_is_answered_by_keys(desk: Desk, providers: ProviderServers) -> None:
    press = ToolCall(name="send_dtmf", arguments={"keys": "2"})
    # Not the half of the menu that a slow machine may take for the whole.
    providers.controls.rules(Rule(when="support", tool=press), Rule(say="Yes."))
    script = ({"stay": 1.0}, desk.says(MENU), {"wait_keys": 1}, {"stay": 1.0})
    asked = {"ivr_navigation_enabled": True}
    held = together(
        lambda: desk.call(*script, model=MODEL, **asked),
        lambda: desk.call(*script, model=REALTIME, **asked),
        lambda: desk.call(*script, **asked),  # the embedded dialogue
    )
    for call, far_end in held:
        assert over(far_end)["keys"] == "2"
        assert [each["keys"] for each in desk.events(call, "keys_sent")] == ["2"]
        assert {name for name, _ in tools(call)} - {"skip_turn"} == {"send_dtmf"}


def test_a_secret_code_is_pressed_and_told_to_the_model_alone(
    desk: Desk, providers: ProviderServers
) -> None:
    asks = {"question": "Please enter your code.", "max_digits": 6, "is_secret": True}
    providers.controls.rules(
        Rule(when="4 4 0 7", say="Thank you, that is right."),
        Rule(when="code", tool=ToolCall(name="collect_digits", arguments=asks)),
        Rule(say="Yes."),
    )
    call, far_end = desk.call(
        {"stay": 1.0},
        desk.says("I have a code."),
        {"reply": 0.8},
        {"keys": "4407#"},
        {"reply": 0.8},
        model=MODEL,
    )
    said = [item["content"] for item in call["last_call_attempt"]["transcript"]]
    assert "Please enter your code." in said
    assert said[-2:] == ["(The person pressed secret telephone keys)", "Thank you, that is right."]
    pressed = desk.events(call, "key_pressed")
    assert [(each["digit"], each["is_secret"]) for each in pressed] == [("", True)] * 5
    assert over(far_end)["keys"] == ""


@dataclass(frozen=True)
class Passed:
    """How a caller was passed on, or not: the call, and what their phone saw."""

    call: dict[str, Any]
    phone: Peer
    refer: Request
    spoke_after: bool


async def pass_on(
    desk: Desk, answer: Callable[[Peer, Talk, Request], Awaitable[None]], **trunk: Any
) -> Passed:
    """Call a phone that asks for a colleague by a key, and answers the REFER so."""
    peer = Peer()
    await peer.start()
    try:
        placed = await asyncio.to_thread(desk.order, peer.port, trunk=trunk, **COLD)
        invite = await peer.request("INVITE", 30)
        talk = peer.answer(invite)
        await peer.request("ACK")
        peer.speak(talk.rtp_to, payload=b"\xff" * 160)
        await peer.rtp.until(lambda packets: any(p.loud for p in packets), 20)
        await peer.rtp.until(silent, 20)
        for n, code in enumerate((0, 11)):
            peer.press(talk.rtp_to, code, 30_000 + 100 * n)
        refer = await peer.request("REFER", 20)
        heard = len(peer.rtp.packets)
        await answer(peer, talk, refer)
        over = asyncio.create_task(peer.request("BYE", 20))
        again = asyncio.create_task(peer.rtp.until(lambda all_: speaks(all_[heard:]), 20))
        await asyncio.wait({over, again}, return_when=asyncio.FIRST_COMPLETED)
        spoke_after = again.done()
        for task in (over, again):
            task.cancel()
        if peer.count("BYE") == 0:
            await peer.rtp.until(silent, 20)
            talk.send("BYE")
        call = await asyncio.to_thread(desk.finished, placed)
        return Passed(call, peer, refer, spoke_after)
    finally:
        await peer.stop()


def silent(packets: list[Packet]) -> bool:
    return len(packets) > 50 and not any(each.loud for each in packets[-50:])


def speaks(packets: list[Packet]) -> bool:
    """Whether it is a voice: the dial tone has one second in five, and is on before."""
    loud = [each.loud for each in packets]
    return sum(loud[-60:]) > 30 and len({p.payload for p in packets[-60:]}) > 40


async def takes(peer: Peer, talk: Talk, refer: Request) -> None:
    peer.reply(refer, 202, "Accepted")
    await asyncio.sleep(0.05)  # livekit-sip loses a NOTIFY that overtakes the 202
    talk.notify("100 Trying", final=False)
    talk.notify("180 Ringing", final=False)
    await asyncio.sleep(1.0)  # as long as a colleague takes
    talk.notify("200 OK", final=True)


async def is_busy_there(peer: Peer, talk: Talk, refer: Request) -> None:
    peer.reply(refer, 202, "Accepted")
    await asyncio.sleep(0.05)
    talk.notify("486 Busy Here", final=True)


async def refuses(peer: Peer, talk: Talk, refer: Request) -> None:
    peer.reply(refer, 501, "Not Implemented")


async def is_silent(peer: Peer, talk: Talk, refer: Request) -> None:
    """It never answers."""


@pytest.mark.shows("human_transfer_mode", "transfer_phone_number")
def test_a_caller_is_passed_on_or_stays(desk: Desk, providers: ProviderServers) -> None:
    asks = ToolCall(name="transfer_call", arguments={"reason": "wants a colleague"})
    providers.controls.rules(
        Rule(when="keys: 0", tool=asks), Rule(when="keys", say="I help you myself, then.")
    )

    async def all_of_them() -> list[Passed]:
        by_sip = {"refer_to": "sip:{digits}@pbx.example;user=phone"}
        return list(
            await asyncio.gather(pass_on(desk, takes), pass_on(desk, is_busy_there, **by_sip))
        )

    taken, busy = asyncio.run(all_of_them())
    asked = {"taken": f"tel:{COLLEAGUE}", "busy": "sip:12025550142@pbx.example;user=phone"}
    for each, uri in ((taken, asked["taken"]), (busy, asked["busy"])):
        assert (each.refer.header("refer-to") or "").strip("<>") == uri
        began = desk.events(each.call, "transfer_began")
        assert [(e["to_phone_number"], e["reason"]) for e in began] == [
            (COLLEAGUE, "wants a colleague")
        ]
    attempt = taken.call["last_call_attempt"]
    assert (attempt["ended_by"], attempt["end_reason"]) == ("agent", "transfer")
    (told,) = desk.events(taken.call, "call.transferred")
    assert told["to_phone_number"] == COLLEAGUE
    assert taken.phone.count("BYE") == 1
    assert busy.spoke_after
    (failed,) = desk.events(busy.call, "transfer_failed")
    assert (failed["why"], failed["sip_status"]) == ("refused", 486)
    assert desk.events(busy.call, "call.transferred") == []
    attempt = busy.call["last_call_attempt"]
    assert (attempt["ended_by"], attempt["end_reason"]) == ("user", None)
