"""Outbound calls: CreateSIPParticipant from the room to the final word of the phone."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from baresip.errors import BaresipError, split_status
from baresip.events import Event, StackEvent
from livekit.protocol import sip as proto
from livekit.rtc import DisconnectReason

from sip import deadline
from sip.gateway import codecs, dtmf, validate
from sip.gateway.attributes import header_attributes
from sip.gateway.calls import End, Leg, Parts, Status, media_timeout
from sip.gateway.endpoint import Identity
from sip.gateway.errors import TwirpError, dial_failed, leave_reason, relayed
from sip.gateway.rooms import Member
from sip.gateway.store import new_id
from sip.gateway.trace import is_answer

REQUEST_LIMIT_S = 80.0  # the longest a waiting request lasts
_RINGING_S = 180.0  # when nobody waits
_NO_RESPONSE_S = 32.0  # timer B (RFC 3261 17.1.1.2)
_DIAL_TONE_FIELDS = ("play_dialtone", "play_ringtone")


@dataclass(frozen=True, slots=True)
class Plan:
    """A request taken apart: whom to call, as whom, through what."""

    request: proto.CreateSIPParticipantRequest
    trunk: proto.SIPOutboundTrunkInfo
    caller: Identity
    uri: str
    headers: dict[str, str]

    @property
    def ringing_s(self) -> float:
        """For how long it may ring."""
        asked = self.request.ringing_timeout.ToTimedelta().total_seconds()
        if self.request.wait_until_answered:
            return min(asked, REQUEST_LIMIT_S) if asked > 0 else REQUEST_LIMIT_S
        return asked if asked > 0 else _RINGING_S

    @property
    def capped(self) -> bool:
        """Whether the server's limit ends the ringing rather than the caller's own."""
        asked = self.request.ringing_timeout.ToTimedelta().total_seconds()
        return self.request.wait_until_answered and not 0 < asked < REQUEST_LIMIT_S


def plan(
    request: proto.CreateSIPParticipantRequest,
    kept: dict[str, proto.SIPOutboundTrunkInfo],
    own_host: str,
    usual: codecs.Codecs = codecs.USUAL,
) -> Plan:
    """Check a request and find its trunk; raises TwirpError."""
    validate.participant(request)
    trunk = _trunk(request, kept)
    number = request.sip_number or (secrets.choice(trunk.numbers) if trunk.numbers else "")
    display: str | None = number
    if request.HasField("display_name"):
        display = request.display_name or None
    validate.calling_identity(number, display or "", trunk.auth_username, trunk.auth_password)
    host = trunk.from_host or own_host
    order = codecs.chosen(trunk.media, request.media, default=usual)
    caller = Identity(number, host, display, trunk.auth_username, trunk.auth_password, order)
    headers = {**trunk.headers, **request.headers}
    return Plan(request, trunk, caller, f"sip:{request.sip_call_to}@{trunk.address}", headers)


def _trunk(
    request: proto.CreateSIPParticipantRequest, kept: dict[str, proto.SIPOutboundTrunkInfo]
) -> proto.SIPOutboundTrunkInfo:
    if not request.HasField("trunk"):
        found = kept.get(request.sip_trunk_id)
        if found is None:
            raise validate.trunk_missing()
        return found
    config = request.trunk
    validate.outbound_config(config)
    return proto.SIPOutboundTrunkInfo(
        address=config.hostname,
        auth_username=config.auth_username,
        auth_password=config.auth_password,
        headers_to_attributes=config.headers_to_attributes,
        from_host=config.from_host,
    )


class OutboundCall(Leg):
    """One call to a phone, from the dial to the hang-up."""

    def __init__(self, parts: Parts, chosen: Plan):
        call_id = new_id("SCL")
        super().__init__(
            parts,
            _member(chosen, call_id),
            call_id,
            media_timeout(chosen.trunk.media, chosen.request.media),
            codecs.widest(chosen.caller.codecs),
        )
        loop = asyncio.get_running_loop()
        self._plan = chosen
        self._placed: asyncio.Future[None] = loop.create_future()
        self._answered: asyncio.Future[None] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._responded = False
        self.participant_id = ""

    async def placed(self) -> None:
        """Wait until the INVITE is out; raises TwirpError when it could not be sent."""
        await self._until(self._placed)

    async def ready(self) -> None:
        """Wait until the phone has answered and digits are sent; raises TwirpError.

        A phone that answered and hung up before that has answered all the same.
        """
        await self._until(self._answered)
        await self.first(self._ready)

    async def run(self) -> None:
        """Carry the call until it ends."""
        try:
            await self._dial()
            await self._talk()
        except TwirpError as error:
            self.end(End("the call could not be set up", error=error))
        finally:
            self.end(End("the call's task was stopped", show_hangup=True))
            await self.close(self.ended.result())

    async def _dial(self) -> None:
        if any(getattr(self._plan.request, name) for name in _DIAL_TONE_FIELDS):
            self.bridge.room_tone(True)
        await self.room.join()
        self.participant_id = self.room.participant_id
        longest = self._plan.request.max_call_duration.ToTimedelta().total_seconds()
        if longest > 0:
            self.end_after(longest, End("the longest duration", show_hangup=True))
        if self.ended.done():
            return
        if deadline.is_over(self._plan.request.participant_attributes, time.time()):
            raise relayed("failed_precondition", deadline.TOO_LATE)
        try:
            phone = await self.parts.endpoint.dial(
                self._plan.caller, self._plan.uri, self._plan.headers
            )
        except (BaresipError, ValueError) as error:
            raise relayed("failed_precondition", f"the INVITE could not be sent: {error}") from None
        self.phone = phone
        self.parts.endpoint.claim(phone, self._on_phone)
        self._placed.set_result(None)
        publishing = self.parts.calls.spawn(self.room.publish(self.bridge.source))
        await self._ring()
        await self.first(publishing)
        if publishing.done():
            publishing.result()

    async def _ring(self) -> None:
        """Wait for the answer as long as it may ring."""
        chosen = self._plan
        limits: list[tuple[float, End | None]] = [(chosen.ringing_s, self._timed_out())]
        if not chosen.request.wait_until_answered:
            limits.append((_NO_RESPONSE_S, None))
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(after, self._ring_limit, end) for after, end in limits]
        await self.first(self._answered)
        for timer in timers:
            timer.cancel()

    def _ring_limit(self, end: End | None) -> None:
        if self._answered.done():
            return
        if end is not None:
            self.end(end)
        elif not self._responded:
            self.end(End("no response to the INVITE", DisconnectReason.USER_UNAVAILABLE))

    def _timed_out(self) -> End:
        error = relayed("canceled", "sip request timed out")
        if self._plan.capped:
            error = relayed("deadline_exceeded", "request timed out")
        return End("it rang too long", DisconnectReason.USER_UNAVAILABLE, error=error)

    async def _talk(self) -> None:
        if self.phone is None or not self._answered.done():
            return
        if self.ended.done():  # it was hung up at once; who looks on is told of the answer too
            await self._show_answer()
            self.now_active()
            return
        digits = self._plan.request.dtmf
        self.hold_room(bool(digits))
        self.connected(self.phone)
        await self._show_answer()
        if digits:
            self.room.show({"sip.callStatus": Status.AUTOMATION})
            sending = self.parts.calls.spawn(self._automate(digits))
            await self.first(sending)
            sending.cancel()
            self.hold_room(False)
        self.now_active()
        if not self.ended.done():
            await self.room.settled()
            self._ready.set_result(None)
        await self.ended

    async def _automate(self, digits: str) -> None:
        if self.phone is not None:
            with contextlib.suppress(BaresipError):  # the hang-up is reported on its own
                await dtmf.play(self.phone, digits)

    async def _show_answer(self) -> None:
        """The SIP Call-ID, the phone's tag and mapped headers, from the 200 itself."""
        sip_id = self.phone.call_id if self.phone is not None else None
        if not sip_id:
            return
        shown = {"sip.callIDFull": sip_id}
        answer = await self.parts.endpoint.trace.find(sip_id, is_answer)
        if answer is not None:
            shown["sip.callTag"] = answer.address("to").params.get("tag", "")
            include = self._plan.request.include_headers or self._plan.trunk.include_headers
            shown |= header_attributes(answer, self._plan.trunk.headers_to_attributes, include)
        self.room.show(shown)

    def _on_phone(self, event: StackEvent) -> None:
        kind = event.event
        if kind in (Event.CALL_RINGING, Event.CALL_PROGRESS):
            if not self._responded and not self._answered.done():
                self.room.show({"sip.callStatus": Status.RINGING})
            self._responded = True
        elif kind is Event.CALL_ESTABLISHED:
            if not self._answered.done() and not self.ended.done():
                self._answered.set_result(None)
        elif kind is Event.CALL_CLOSED and not self._answered.done():
            self.end(self._refused(event.text or ""))
        else:
            self.phone_event(event)

    def _refused(self, text: str) -> End:
        status, reason = split_status(text)
        if status is None:
            if re.search("timed out", text, re.IGNORECASE):
                return self._timed_out()
            error = relayed("failed_precondition", text or "the call was closed")
            return End("the dial failed", DisconnectReason.USER_REJECTED, error=error)
        if status in (401, 407):
            text = "max auth retry attempts reached for SIP invite"
            if not self._plan.trunk.auth_password:
                text = "sip server required auth, but no username or password was provided"
            error = relayed("failed_precondition", text)
        else:
            error = dial_failed(status, reason or "")
        return End("the phone refused", leave_reason(status), error=error, status=status)

    async def _until(self, wanted: asyncio.Future[None]) -> None:
        await self.first(wanted)
        if not wanted.done():
            end = self.ended.result()
            raise end.error or relayed("failed_precondition", "call already closed")


def _member(chosen: Plan, call_id: str) -> Member:
    request, trunk = chosen.request, chosen.trunk
    attributes = {
        "sip.callStatus": Status.DIALING,
        "sip.callID": call_id,
        "sip.trunkID": trunk.sip_trunk_id,
    }
    if not request.hide_phone_number:
        host = trunk.address if re.search(r":\d+$", trunk.address) else f"{trunk.address}:5060"
        attributes |= {
            "sip.trunkPhoneNumber": chosen.caller.user,
            "sip.phoneNumber": request.sip_call_to,
            "sip.hostname": host,
        }
    return Member(
        request.room_name,
        request.participant_identity or f"sip_{request.sip_call_to}",
        request.participant_name,
        request.participant_metadata,
        {**attributes, **_shown(request.participant_attributes)},
    )


def _shown(given: Mapping[str, str]) -> dict[str, str]:
    """What was said to this service alone is nobody else's business."""
    return {name: value for name, value in given.items() if name != deadline.ATTRIBUTE}
