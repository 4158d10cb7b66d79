"""One call from the simulator to a SIP URI, by a persona: for inbound tests and `doctor`."""

from __future__ import annotations

import asyncio
from typing import IO

from baresip import BaresipError, Runtime, UserAgent

from sip.carrier.line import Line
from sip.carrier.persona import Persona, converse
from sip.carrier.phones import account, config, talk
from sip.carrier.senses import Senses
from sip.carrier.witness import Witness

ANSWER_WITHIN_S = 30.0


class Tally(Witness):
    """A witness that also counts what was heard."""

    def __init__(self, echo: IO[str]) -> None:
        super().__init__(echo=echo)
        self.heard = 0

    def note(self, event: str, **facts: object) -> None:
        """Write one line; count it if it is something heard."""
        self.heard += event == "heard" and bool(facts.get("pii_text"))
        super().note(event, **facts)


async def call(
    uri: str,
    persona: Persona,
    senses: Senses,
    out: IO[str],
    *,
    host: str,
    rtp_ports: range,
    caller: str = "+12025550199",
    max_seconds: float = 60.0,
) -> bool:
    """Place the call, talk, hang up; return whether it was answered and anything was heard.

    Args:
        uri: whom to call, such as `sip:101@127.0.0.1:5060`.
        persona: who talks.
        senses: with which recogniser and voice.
        out: gets the conversation, a JSON line per event.
        host: the local address to call from.
        rtp_ports: where its RTP comes from.
        caller: the calling number, in From.
        max_seconds: it is hung up after this long, counted from the answer.
    """
    tally = Tally(out)
    runtime = Runtime()
    await runtime.start(config(host, 0, rtp_ports))
    try:
        agent = await UserAgent.create(runtime, account(host, caller))
        placed = await agent.dial(uri)
        line = Line(placed, senses, tally, {"to": uri})
        try:
            await placed.wait_established(ANSWER_WITHIN_S)
        except BaresipError as exc:
            line.note("not_answered", reason=str(exc))
            return False
        try:
            async with asyncio.timeout(max_seconds):
                await talk(line, converse(line, persona))
        except TimeoutError:
            line.note("out_of_time", max_seconds=max_seconds)
        return tally.heard > 0
    finally:
        await runtime.close()
