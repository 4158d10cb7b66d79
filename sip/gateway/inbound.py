"""Inbound calls: a room, its agents, and an answer as soon as one of them can be heard."""

from __future__ import annotations

import asyncio
import hashlib

import aiohttp
from baresip.call import Call
from baresip.errors import BaresipError
from baresip.events import Event, StackEvent
from livekit import api
from livekit.protocol import sip as proto

from sip.gateway.admission import Admitted
from sip.gateway.calls import End, Leg, Parts, Status, media_timeout
from sip.gateway.errors import TwirpError
from sip.gateway.rooms import Member
from sip.gateway.store import new_id

_API_LIMIT_S = 5.0


class InboundCall(Leg):
    """One call from a phone: rings until another participant's track is subscribed."""

    def __init__(self, parts: Parts, admitted: Admitted, phone: Call, answer_timeout: float):
        call_id = new_id("SCL")
        trunk, rule = admitted.trunk, admitted.rule
        super().__init__(
            parts,
            _member(admitted, phone, call_id),
            call_id,
            media_timeout(trunk.media, rule.media),
            admitted.rate,
        )
        loop = asyncio.get_running_loop()
        self._admitted = admitted
        self._answer_timeout = trunk.ringing_timeout.ToTimedelta().total_seconds() or answer_timeout
        self._someone: asyncio.Future[None] = loop.create_future()
        self._established: asyncio.Future[None] = loop.create_future()
        self.phone = phone
        parts.endpoint.claim(phone, self._on_phone)

    def heard_someone(self) -> None:
        """Another participant can be heard: time to answer."""
        if not self._someone.done():
            self._someone.set_result(None)

    async def run(self) -> None:
        """Carry the call until it ends."""
        loop = asyncio.get_running_loop()
        longest = self._admitted.trunk.max_call_duration.ToTimedelta().total_seconds()
        if longest > 0:
            self.end_after(longest, End("the longest duration", show_hangup=True))
        declined = End("nobody answered in the room", show_hangup=True)
        timer = loop.call_later(self._answer_timeout, self._not_answered, declined)
        try:
            await self._enter()
            await self.first(self._someone)
            await self._answer()
            await self.ended
        except TwirpError as error:
            self.end(End("the room could not be had", error=error))
        finally:
            timer.cancel()
            self.end(End("the call's task was stopped", show_hangup=True))
            await self.close(self.ended.result())

    async def _enter(self) -> None:
        await _create_room(self.parts, self._admitted.rule, self.member.room)
        await self.room.join()
        await self.room.publish(self.bridge.source)

    async def _answer(self) -> None:
        if self.ended.done() or self.phone is None:
            return
        try:
            await self.phone.answer()
        except BaresipError as error:
            self.log.info("the caller was gone before the answer", error=error)
            self.end(End("the caller was gone", show_hangup=True))
            return
        await self.first(self._established)
        if not self.ended.done():
            self.connected(self.phone)
            self.now_active()

    def _not_answered(self, end: End) -> None:
        if not self._established.done():
            self.end(end)

    def _on_phone(self, event: StackEvent) -> None:
        if event.event is Event.CALL_ESTABLISHED:
            if not self._established.done():
                self._established.set_result(None)
        else:
            self.phone_event(event)


async def _create_room(parts: Parts, rule: proto.SIPDispatchRuleInfo, name: str) -> None:
    """Create the room as the rule wants it, agents dispatched; an existing one is kept."""
    if not rule.HasField("room_config"):
        return
    config = rule.room_config
    request = api.CreateRoomRequest(
        name=name,
        empty_timeout=config.empty_timeout,
        departure_timeout=config.departure_timeout,
        max_participants=config.max_participants,
        metadata=config.metadata,
        min_playout_delay=config.min_playout_delay,
        max_playout_delay=config.max_playout_delay,
        sync_streams=config.sync_streams,
        agents=config.agents,
        tags=config.tags,
    )
    if config.HasField("egress"):
        request.egress.CopyFrom(config.egress)
    server = parts.server
    timeout = aiohttp.ClientTimeout(total=_API_LIMIT_S)
    lk = api.LiveKitAPI(server.url, server.key, server.secret, timeout=timeout)
    try:
        await lk.room.create_room(request)
    except (api.TwirpError, aiohttp.ClientError, TimeoutError) as error:
        raise TwirpError("unavailable", f"the room cannot be created: {error}") from error
    finally:
        await lk.aclose()


def _room_name(admitted: Admitted) -> str:
    rule = admitted.rule.rule
    random = new_id("").removeprefix("_")
    kind = rule.WhichOneof("rule")
    if kind == "dispatch_rule_direct":
        return rule.dispatch_rule_direct.room_name
    if kind == "dispatch_rule_callee":
        callee = rule.dispatch_rule_callee
        parts = [callee.room_prefix, admitted.called, random if callee.randomize else ""]
    else:
        own = rule.dispatch_rule_individual
        parts = [own.room_prefix, admitted.caller, "" if own.no_randomness else random]
    return "_".join(part for part in parts if part)


def _member(admitted: Admitted, phone: Call, call_id: str) -> Member:
    rule, trunk = admitted.rule, admitted.trunk
    caller = admitted.caller or "anonymous"
    attributes = {
        **rule.attributes,
        "sip.callStatus": Status.RINGING,
        "sip.callID": call_id,
        "sip.callIDFull": phone.call_id or "",
        "sip.callTag": admitted.tag,
        "sip.trunkID": trunk.sip_trunk_id,
        "sip.ruleID": rule.sip_dispatch_rule_id,
        **admitted.headers,
    }
    if rule.hide_phone_number:
        identity = "sip_" + hashlib.sha256(caller.encode()).hexdigest()[:16]
        name = f"Phone {caller[-4:]}"
    else:
        identity, name = f"sip_{caller}", f"Phone {caller}"
        attributes |= {
            "sip.phoneNumber": caller,
            "sip.trunkPhoneNumber": admitted.called,
            "sip.hostname": admitted.host,
        }
    return Member(_room_name(admitted), identity, name, rule.metadata, attributes)
