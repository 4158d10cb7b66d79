"""How long after its own sentence the agent has a caller passed on: REFER, and a human called in.

Measured at the telephone, which is the trunk's far end, too: from the arrival of the agent's last
packet with words to the request. The words are the embedded voice's; the dial tone and the ringing
that the caller hears meanwhile (425 Hz) are no words.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bench.rows import percentile
from speech.offline.voice import Speaker
from tests.contract.sip.peer import Packet, Phone
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import in_background
from tests.system.platform import running
from tests.system.test_call_tools import COLD, Desk, silent
from tests.system.tones import Voice, linear, loudness

CALLS = 21
TONE = 425
_LOUD = 0.01  # of full scale, root mean square
WAYS: dict[str, dict[str, Any]] = {"REFER": {}, "INVITE": {"takes_refer": False}}
"""What the trunk is asked for, and the trunk's settings."""

Rows = list[dict[str, Any]]


async def run() -> Rows:
    """Return the rows; takes about five minutes."""
    return await asyncio.to_thread(measure)


def measure() -> Rows:
    """Start an Offhook, measure it, stop it."""
    asks = ToolCall(name="transfer_call", arguments={"reason": "wants a colleague"})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        providers = stack.enter_context(in_background())
        environment = {"OFFHOOK_ALLOW_PRIVATE": "127.0.0.0/8"}
        platform = stack.enter_context(running(folder / "data", environment))
        platform.use(providers.access())
        providers.controls.rules(Rule(when="keys: 0", tool=asks), Rule(say="Yes."))
        desk = Desk(platform, Speaker.load(), folder)
        rows: Rows = []
        for request, trunk in WAYS.items():
            found = [asyncio.run(one(desk, request, trunk)) for _ in range(CALLS)][1:]
            rows += [
                row(f"{request}, p50", percentile(found, 0.5), len(found)),
                row(f"{request}, p95", percentile(found, 0.95), len(found), goal=100.0),
            ]
    return rows


async def one(desk: Desk, request: str, trunk: dict[str, Any]) -> float:
    """Return the milliseconds of one transfer."""
    phone = Phone()
    await phone.start()
    try:
        placed = await asyncio.to_thread(desk.order, phone.port, trunk=trunk, **COLD)
        talk = phone.answer(await phone.request("INVITE", 30))
        await phone.request("ACK")
        voice = Voice(phone, talk.rtp_to)
        await phone.rtp.until(lambda packets: any(each.loud for each in packets), 20)
        await phone.rtp.until(silent, 20)
        for n, code in enumerate((0, 11)):
            phone.press(talk.rtp_to, code, 30_000 + 100 * n)
        await phone.request(request, 30)
        asked = time.monotonic()
        said = next(each for each in reversed(phone.rtp.packets) if is_word(each))
        await voice.stop()
        talk.send("BYE")
        await asyncio.to_thread(desk.finished, placed)
        return (asked - said.at) * 1_000
    finally:
        await phone.stop()


def is_word(packet: Packet) -> bool:
    """Whether there is sound in it that is no tone of the line's."""
    if packet.payload_type != 0:
        return False
    power = float(np.mean(np.square(linear(packet.payload))))
    rest = power - loudness([packet], TONE) ** 2 / 2
    return rest > max(_LOUD**2, power / 4)


def row(measure: str, value: float, n: int, *, goal: float | None = None) -> dict[str, Any]:
    """Return one row."""
    met = {} if goal is None else {"goal": f"≤ {goal:g} ms", "met": value <= goal}
    told = {"id": "T1", "measure": f"end of the sentence before a transfer → {measure}"}
    return told | {"value": round(value), "unit": "ms", "n": n} | met
