"""A small stateful user agent server, for scenarios without STT (RFC 3261 17.2.1, 13.3.1)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from itertools import chain

from process.logs import get_logger
from sip.carrier.dialog import Dialog, response
from sip.carrier.rtp import NoCommonCodec, Pcm, Stream, answer_sdp, offered_audio
from sip.carrier.scenarios import Kind, scenario_of
from sip.carrier.witness import Witness
from sip.message import MalformedMessage, Request, Response, parse

log = get_logger(__name__)

Address = tuple[str, int]


class Uas(asyncio.DatagramProtocol):
    """Serves each scenario that is not spoken; stands behind the front, at its own address."""

    def __init__(
        self, host: str, rtp_ports: range, witness: Witness, announcement: Pcm | None = None
    ) -> None:
        """Prepare to serve.

        Args:
            host: the address to listen on, at a free port.
            rtp_ports: where its RTP comes from; even ones are used.
            witness: where what happens inside a dialog is written.
            announcement: what early media says, 8 kHz; null is silence.
        """
        self._host = host
        self._ports = rtp_ports
        self._next_port = rtp_ports.start
        self._witness = witness
        self._announcement = announcement
        self._transport: asyncio.DatagramTransport | None = None
        self._dialogs: dict[str, Dialog] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.address: Address = (host, 0)

    async def start(self) -> None:
        """Bind the socket."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, (self._host, 0))
        self._transport = transport
        self.address = transport.get_extra_info("sockname")[:2]

    async def stop(self) -> None:
        """End every call and close the socket."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """One datagram; what is malformed is dropped."""
        try:
            message = parse(data, addr[:2])
            if isinstance(message, Request):
                self._request(message)
            elif (dialog := self._dialogs.get(message.call_id)) is not None:
                dialog.responded(message)
        except MalformedMessage as error:
            log.debug("malformed datagram dropped", source=addr[0], error=str(error))

    def send(self, message: Request | Response, to: Address) -> None:
        """Send one message."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(message.encode(), to)

    def _request(self, request: Request) -> None:
        dialog = self._dialogs.get(request.call_id)
        if len(request.vias) == 1:  # what came through the front was written down there
            self._witness.request(request, dialog.scenario.name if dialog else None)
        if dialog is not None:
            dialog.requested(request)
        elif request.method == "INVITE" and not request.in_dialog:
            self._new(request)
        elif request.method != "ACK":
            status = (200, "OK") if request.method == "OPTIONS" else (481, "No Such Call")
            self.send(response(request, *status), request.source)

    def _new(self, request: Request) -> None:
        scenario = scenario_of(request.user)
        if scenario is None:
            self.send(response(request, 404, "Not Found", tag=secrets.token_hex(4)), request.source)
            return
        dialog = Dialog(request, scenario, self.send, self.address)
        self._dialogs[request.call_id] = dialog
        task = asyncio.create_task(
            _BEHAVIOURS[scenario.kind](self, dialog), name=f"uas.{scenario.name}"
        )
        self._tasks[request.call_id] = task
        task.add_done_callback(lambda done: self._ended(request.call_id, done))

    def _ended(self, call_id: str, task: asyncio.Task[None]) -> None:
        self._dialogs.pop(call_id, None)
        self._tasks.pop(call_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a simulated call failed", error=repr(error))

    async def refuse(self, dialog: Dialog) -> None:
        """Ring if asked to, then a final answer, again until it is acknowledged."""
        scenario = dialog.scenario
        dialog.provisional(
            180 if scenario.ring_s else 100, "Ringing" if scenario.ring_s else "Trying"
        )
        if await dialog.cancelled_within(scenario.ring_s):
            return
        await dialog.refuse(scenario.status, scenario.reason, retry_after_s=scenario.retry_after_s)

    async def ring(self, dialog: Dialog) -> None:
        """Ring until the caller gives up."""
        dialog.provisional(180, "Ringing")
        await dialog.cancelled_within(None)

    async def early_media(self, dialog: Dialog) -> None:
        """Play an announcement before any answer, then refuse."""
        async with _Media(self, dialog, self._announcement) as media:
            dialog.provisional(183, "Session Progress", sdp=media.answer)
            media.stream.play()
            if await dialog.cancelled_within(dialog.scenario.after_s):
                return
        await dialog.refuse(dialog.scenario.status, dialog.scenario.reason)

    async def silence(self, dialog: Dialog) -> None:
        """Answer, and send nothing but silence until the far end hangs up."""
        async with _Media(self, dialog, None) as media:
            dialog.provisional(180, "Ringing")
            if await dialog.answer(media.answer):
                media.stream.play()
                await dialog.hung_up.wait()

    async def drop(self, dialog: Dialog) -> None:
        """Answer and hang up at once."""
        async with _Media(self, dialog, None) as media:
            if await dialog.answer(media.answer):
                await dialog.hang_up()

    async def vanish(self, dialog: Dialog) -> None:
        """Answer, then be gone: no RTP, no BYE, no answer to one."""
        async with _Media(self, dialog, None) as media:
            if not await dialog.answer(media.answer):
                return
            media.stream.play()
            await dialog.hung_up_within(dialog.scenario.after_s)
        dialog.deaf = True
        # Long enough that a caller which waits for this phone's BYE is found out.
        await asyncio.sleep(64)

    def rtp_ports(self) -> list[int]:
        """Return the ports to try for the next stream, in turn."""
        first = self._next_port
        self._next_port = first + 2 if first + 2 < self._ports.stop else self._ports.start
        return [*chain(range(first, self._ports.stop, 2), range(self._ports.start, first, 2))]

    @property
    def host(self) -> str:
        """The address that its RTP comes from."""
        return self._host


class _Media:
    """An RTP stream for one dialog, closed when the dialog is done with it."""

    def __init__(self, uas: Uas, dialog: Dialog, recording: Pcm | None) -> None:
        self._uas = uas
        self._dialog = dialog
        self._recording = recording

    async def __aenter__(self) -> _Media:
        try:
            remote, payload = offered_audio(self._dialog.invite.body)
        except NoCommonCodec:
            await self._dialog.refuse(488, "Not Acceptable Here")
            raise
        self.stream = Stream(remote, payload, self._recording)
        await self.stream.open(self._uas.host, iter(self._uas.rtp_ports()))
        self.answer = answer_sdp(self._uas.host, self.stream.port, payload)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stream.close()


_BEHAVIOURS: dict[Kind, Callable[[Uas, Dialog], Coroutine[None, None, None]]] = {
    Kind.REFUSES: Uas.refuse,
    Kind.RINGS: Uas.ring,
    Kind.EARLY_MEDIA: Uas.early_media,
    Kind.SILENCE: Uas.silence,
    Kind.DROPS: Uas.drop,
    Kind.VANISHES: Uas.vanish,
}
