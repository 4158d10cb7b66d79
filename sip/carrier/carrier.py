"""The simulated carrier in one object: a front, a plain user agent, and phones that talk."""

from __future__ import annotations

from sip.carrier.phones import SCENARIO_HEADER, Phones
from sip.carrier.scenarios import PASSWORD, SPOKEN, USERNAME, Scenario, scenario_of
from sip.carrier.scripts import ANNOUNCEMENT
from sip.carrier.senses import Senses
from sip.carrier.settings import CarrierSettings
from sip.carrier.uas import Uas
from sip.carrier.witness import Witness
from sip.digest import Authority, CheckResult
from sip.front import Front
from sip.message import MalformedMessage, Request, Response, parse
from sip.verdict import Address, Forward, Reply, Verdict, challenge

REALM = "carrier.test"


class WitnessedFront(Front):
    """A front that has everything written down as it arrives, repeats included."""

    def __init__(self, listen: Address, carrier: Carrier, witness: Witness) -> None:
        super().__init__(listen, carrier.decide)
        self._witness = witness

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Write the datagram down, then treat it as any front does."""
        if data[:4] == b"SIP/":
            self._answer_seen(data, addr)
        else:
            self._witness.saw(data, addr[:2], _name_of)
        super().datagram_received(data, addr)

    def _answer_seen(self, data: bytes, addr: Address) -> None:
        try:
            message = parse(data, addr[:2])
            if isinstance(message, Response):
                self._witness.answered(message)
        except MalformedMessage:
            return  # the front drops it too


class Carrier:
    """Numbers with known scenarios on one UDP address."""

    def __init__(
        self, settings: CarrierSettings, witness: Witness, *, senses: Senses | None = None
    ) -> None:
        """Prepare the carrier.

        Args:
            settings: addresses and ports.
            witness: where everything is written.
            senses: recogniser and voice; null leaves the spoken numbers answering 503.
        """
        self._settings = settings
        self._witness = witness
        announcement = senses.spoken(ANNOUNCEMENT) if senses is not None else None
        self._uas = Uas(settings.host, settings.uas_rtp, witness, announcement)
        self._front = WitnessedFront((settings.host, settings.port), self, witness)
        self.phones = Phones(senses, witness, self._front.admits) if senses is not None else None
        self._authority = Authority(REALM)

    @property
    def address(self) -> Address:
        """Where the carrier listens."""
        return self._front.address

    @property
    def alive(self) -> bool:
        """Whether calls can be taken."""
        return self._front.alive and (self.phones is None or not self.phones.dead.is_set())

    async def start(self) -> None:
        """Listen; raises PortBusy when the address is taken."""
        await self._front.start()
        await self._uas.start()
        if self.phones is not None:
            await self.phones.start(
                self._settings.host, self._settings.ua_port, self._settings.phone_rtp
            )

    async def stop(self) -> None:
        """End every call and stop listening."""
        if self.phones is not None:
            await self.phones.stop()
        await self._uas.stop()
        await self._front.stop()

    def decide(self, request: Request) -> Verdict:
        """Return who serves a request."""
        if request.method != "INVITE":
            return Reply(
                405, "Method Not Allowed", (("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS"),)
            )
        scenario = scenario_of(request.user)
        if scenario is None:
            return self._reply(request, 404, "Not Found")
        if scenario.auth and (refused := self._refused(request)) is not None:
            return refused
        if scenario.kind not in SPOKEN:
            return Forward(self._uas.address)
        if self.phones is None or self.phones.dead.is_set():
            return self._reply(request, 503, "Service Unavailable")
        phones = (self._settings.host, self._settings.ua_port)
        return Forward(phones, ((SCENARIO_HEADER, scenario.number),))

    def _refused(self, request: Request) -> Reply | None:
        given = request.header("proxy-authorization")
        outcome = CheckResult.WRONG
        # Wrong credentials are asked for again (RFC 3261 section 22.1); the caller gives up.
        if given is not None:
            outcome = self._authority.check(
                given,
                method=request.method,
                context=request.call_id,
                username=USERNAME,
                password=PASSWORD,
            )
        if outcome is CheckResult.VALID:
            return None
        self._note(request, 407, "Proxy Authentication Required")
        stale = outcome is CheckResult.STALE
        return challenge(self._authority.challenge(request.call_id, stale=stale))

    def _reply(self, request: Request, status: int, reason: str) -> Reply:
        self._note(request, status, reason)
        return Reply(status, reason)

    def _note(self, request: Request, status: int, reason: str) -> None:
        self._witness.answered(Response(list(request.headers), b"", status, reason))


def _name_of(user: str) -> str | None:
    scenario: Scenario | None = scenario_of(user)
    return scenario.name if scenario is not None else None
