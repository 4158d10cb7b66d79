"""The one baresip runtime of this process: identities, calls, and which event belongs to whom."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from baresip.call import Call
from baresip.config import Config
from baresip.errors import BaresipError
from baresip.events import Event, StackEvent
from baresip.runtime import Runtime
from baresip.ua import UserAgent
from structlog.stdlib import BoundLogger

from process.logs import get_logger
from sip.front import NONCE_HEADER
from sip.gateway.acks import Acks
from sip.gateway.codecs import AGENTS, SERVED, USUAL, Codecs, account
from sip.gateway.rtp_socket import RtpSocket, SocketGone
from sip.gateway.sdp import Place
from sip.gateway.settings import Settings
from sip.gateway.sources import FarEnds, Gate
from sip.gateway.trace import SipTrace

log = get_logger("sip.gateway.endpoint")
Listener = Callable[[StackEvent], None]

# No floor: what comes in order goes on at once. WebRTC's own jitter buffer, at the agent's end,
# would wait for the late ones a second time.
_JITTER = "audio_jitter_buffer_type adaptive\naudio_jitter_buffer_ms 0-100\n"
# One channel at the rate that calls work at.
_OPUS = "opus_samplerate 16000\nopus_stereo no\nopus_sprop_stereo no\n"
_SPARE_CALLS = 16  # the gateway's own cap refuses first; calls that are ending still count here
_BACKLOG = 400


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a call comes from: one user agent exists per distinct value."""

    user: str
    host: str
    display: str | None
    username: str
    password: str
    codecs: Codecs = USUAL

    def account(self) -> str:
        """The account line for baresip; its parts were checked by validate.calling_identity."""
        name = f'"{self.display}" ' if self.display else ""
        auth = ""
        if self.password:
            auth = f';auth_user={self.username or self.user};auth_pass="{self.password}"'
        return (
            f"{name}<sip:{self.user}@{self.host};transport=udp>{auth};regint=0;answermode=manual"
            f";{account(self.codecs)};dtmfmode=rtpevent"
        )


class Endpoint:
    """Dials, and hands incoming calls to `on_incoming`; events go to whoever claimed the call."""

    def __init__(self, settings: Settings, on_incoming: Callable[[Call], None]):
        self._settings = settings
        self._on_incoming = on_incoming
        self._runtime = Runtime(command_timeout=3.0)
        self._agents: dict[Identity, UserAgent] = {}
        self._agents_lock = asyncio.Lock()
        self._listeners: dict[int, Listener] = {}
        self._backlog: dict[int, list[StackEvent]] = {}
        self.trace = SipTrace(asyncio.get_running_loop())
        self._far_ends = FarEnds()
        self.dead: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._runtime.on_dead = self._died  # type: ignore[assignment]

    async def start(self) -> None:
        """Start the SIP thread; raises BaresipError."""
        settings = self._settings
        await self._runtime.start(
            Config(
                net_interface=settings.sip_host,
                max_concurrent_calls=settings.max_calls + _SPARE_CALLS,
                expose_headers=(NONCE_HEADER,),
                sip_trace=True,
                extra_config_text=(
                    f"sip_listen {settings.sip_host}:{settings.ua_port}\n"
                    "sip_transports udp\n"  # otherwise it takes the next port too, for TLS
                    f"rtp_ports {settings.rtp_port_min}-{settings.rtp_port_max}\n{_JITTER}{_OPUS}"
                ),
            )
        )
        logging.getLogger("baresip.native").setLevel(logging.WARNING)
        self.trace.acks = Acks(self._send)
        self.trace.start()
        self._runtime.subscribe(self._event)
        for user, taken in AGENTS.values():
            line = f"<sip:{user}@{settings.sip_host};transport=udp>;regint=0;answermode=manual"
            line += f";{account(taken)};dtmfmode=rtpevent"
            if len(taken) == len(SERVED):
                line += ";catchall=yes"  # what bypassed the front arrives, to be declined
            agent = await UserAgent.create(self._runtime, line)
            agent.on_incoming(self._on_incoming)

    async def stop(self) -> None:
        """Stop the SIP thread."""
        self.trace.stop()
        if not self.dead.done():
            await self._runtime.close()

    @property
    def alive(self) -> bool:
        """Whether the SIP thread still runs."""
        return not self.dead.done()

    async def dial(self, identity: Identity, uri: str, headers: dict[str, str]) -> Call:
        """Send an INVITE; raises BaresipError, or ValueError for a header that cannot travel."""
        async with self._agents_lock:
            agent = self._agents.get(identity)
            if agent is None:
                agent = await UserAgent.create(self._runtime, identity.account())
                agent.on_incoming(self._on_incoming)  # its user may be a number of ours, too
                self._agents[identity] = agent
        return await agent.dial(uri, headers)

    def claim(self, call: Call, listener: Listener) -> None:
        """Give a call's events to `listener`, those that already came first."""
        self._listeners[call.handle] = listener
        for event in self._backlog.pop(call.handle, []):
            call._on_stack_event(event)  # the library missed it, too, and would never know
            listener(event)

    def guard(
        self,
        call_id: str,
        sound_at: Callable[[], float | None],
        call_log: BoundLogger,
        at: Callable[[Place], RtpSocket] = RtpSocket.at,
    ) -> Gate | None:
        """Take a call's RTP from its far end alone, until closed; None when anybody's is wanted."""
        if self._settings.rtp_source == "any":
            return None
        gate = Gate(self.trace, call_id, sound_at, self._far_ends, call_log, at)
        gate.start()
        return gate

    def release(self, call: Call) -> None:
        """Stop listening to a call."""
        self._listeners.pop(call.handle, None)
        self._backlog.pop(call.handle, None)

    def _send(self, datagram: bytes, to: Place) -> None:
        """Send from the port at which baresip speaks SIP."""
        try:
            RtpSocket.at(Place(self._settings.sip_host, self._settings.ua_port)).send(datagram, to)
        except SocketGone as error:
            log.warning("a SIP message could not be repeated", error=error)

    def _event(self, event: StackEvent) -> None:
        if not event.call:
            return
        listener = self._listeners.get(event.call)
        if listener is not None:
            listener(event)
        elif event.event is not Event.CALL_RTCP:
            # An INVITE may be refused before dial() returned, so nobody listens yet.
            self._backlog.setdefault(event.call, []).append(event)
            while len(self._backlog) > _BACKLOG:
                del self._backlog[next(iter(self._backlog))]

    def _died(self) -> None:
        if not self.dead.done():
            self.dead.set_result(None)


async def hang_up(call: Call) -> None:
    """End a call whatever its state: BYE, CANCEL or 486; a call that is gone is no error."""
    try:
        await call.hangup()
    except BaresipError as error:
        log.debug("the call was gone already", error=error)
