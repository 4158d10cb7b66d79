"""The phones that talk: baresip user agents with embedded STT and voice, many calls at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from baresip import Account, BaresipError, Call, Config, Runtime, UserAgent

from process.logs import get_logger
from sip.carrier.line import HungUp, Line
from sip.carrier.scenarios import scenario_of
from sip.carrier.scripts import SCRIPTS
from sip.carrier.senses import Senses
from sip.carrier.witness import Witness
from sip.front import NONCE_HEADER

log = get_logger(__name__)

T = TypeVar("T")

SCENARIO_HEADER = "X-Offhook-Scenario"
"""The number called, which the front writes into what it forwards: a call does not tell it."""

MAX_CALLS = 24
RTP_TIMEOUT_S = 30


def config(host: str, port: int, rtp_ports: range) -> Config:
    """Return a stack pinned to one loopback address, with room for many calls."""
    return Config(
        net_interface=host,
        max_concurrent_calls=MAX_CALLS,
        rtp_timeout=RTP_TIMEOUT_S,
        expose_headers=(NONCE_HEADER, SCENARIO_HEADER),
        extra_config_text=(
            f"sip_listen {host}:{port}\nrtp_ports {rtp_ports.start}-{rtp_ports.stop - 1}\n"
            "sip_transports udp\n"  # otherwise it takes the next port too, for TLS
        ),
    )


def account(host: str, user: str = "carrier") -> Account:
    """Return an account that takes any number and registers nowhere."""
    return Account(
        user=user,
        domain=host,
        password="",
        reg_interval=0,
        audio_codecs=("pcmu", "pcma"),  # its phones hear and speak at 8 kHz
        extra_params=("catchall=yes",),
    )


class Phones:
    """Answers what the front forwards, each number after its scenario."""

    def __init__(
        self, senses: Senses, witness: Witness, admits: Callable[[dict[str, str]], bool]
    ) -> None:
        """Prepare the phones.

        Args:
            senses: their recogniser and voice.
            witness: where what they say and hear is written.
            admits: whether a call's headers show that it came through the front.
        """
        self._senses = senses
        self._witness = witness
        self._admits = admits
        self._runtime = Runtime()
        self._calls: set[asyncio.Task[None]] = set()
        self.dead = asyncio.Event()

    async def start(self, host: str, port: int, rtp_ports: range) -> None:
        """Start the SIP thread and listen on `host`:`port`."""
        self._runtime.on_dead = self.dead.set
        await self._runtime.start(config(host, port, rtp_ports))
        agent = await UserAgent.create(self._runtime, account(host))
        agent.on_incoming(self._incoming)

    async def stop(self) -> None:
        """End all calls and the SIP thread."""
        for task in list(self._calls):
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        if not self.dead.is_set():
            await self._runtime.close()

    @property
    def calls(self) -> int:
        """How many calls are up."""
        return len(self._calls)

    def _incoming(self, call: Call) -> None:
        task = asyncio.create_task(self._serve(call), name=f"phone.{call.call_id}")
        self._calls.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a simulated phone failed", error=repr(error))

    async def _serve(self, call: Call) -> None:
        headers = {name.lower(): value for name, value in call.headers.items()}
        scenario = scenario_of(headers.get(SCENARIO_HEADER.lower(), ""))
        if scenario is None or not self._admits(call.headers):
            await call.reject()
            return
        facts = {"to": scenario.number, "scenario": scenario.name}
        line = Line(call, self._senses, self._witness, facts)
        try:
            await line.pause(scenario.ring_s)
            await call.answer()
            await call.wait_established()
        except (HungUp, BaresipError) as exc:
            line.note("not_answered", reason=str(exc))
            return
        await talk(line, SCRIPTS[scenario.kind](line, scenario))


async def talk(line: Line, script: Awaitable[T]) -> T | None:
    """Run `script` on an established line; return its result, or null when the far end hung up."""
    moving = asyncio.create_task(line.run(), name="line")
    result: T | None = None
    try:
        result = await script
    except HungUp:
        log.debug("the far end hung up")
    finally:
        await line.hang_up()
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)
    await line.last_words()
    return result
