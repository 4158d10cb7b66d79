"""Inbound calls: admission, naming, answer with the agent's sound, cancelling (section 7)."""

from __future__ import annotations

import asyncio
import re
import secrets
import time

import pytest
from livekit import api
from livekit.protocol import sip as proto

from sip.message import Response
from tests.contract.sip.conftest import Admit, Target
from tests.contract.sip.peer import Phone, audio_formats, digest_answer
from tests.contract.sip.watcher import Watcher

pytestmark = pytest.mark.system
CALLER = "+15550001"
IDENTITY = f"sip_{CALLER}"


async def test_answered_when_the_agent_can_be_heard(
    target: Target, phone: Phone, admit: Admit, watcher: Watcher
) -> None:
    number, trunk_id, rule_id = await admit({"metadata": "m", "attributes": {"a": "1"}})
    invite = phone.invite(target.sip_address, number)
    await phone.next("180 INVITE")
    await watcher.status(IDENTITY, "ringing")
    await watcher.until(lambda: any(n.what == "track" for n in watcher.notes))
    assert phone.count("200 INVITE") == 0
    assert phone.rtp.packets == []
    await watcher.publish()
    published = time.monotonic()
    answer = await phone.next("200 INVITE")
    assert isinstance(answer, Response)
    assert phone.at("200 INVITE") - published < 0.5
    talk = phone.establish(invite, answer)
    await watcher.status(IDENTITY, "active")
    seen = watcher.attributes(IDENTITY)
    assert seen["sip.callID"].startswith("SCL_")
    assert seen["sip.callIDFull"] == invite.call_id
    assert seen["sip.callTag"] == invite.address("from").params["tag"]
    assert (seen["sip.trunkID"], seen["sip.ruleID"]) == (trunk_id, rule_id)
    assert (seen["sip.phoneNumber"], seen["sip.trunkPhoneNumber"]) == (CALLER, number)
    assert seen["sip.hostname"] == "127.0.0.1"
    assert (seen["a"], seen["kind"]) == ("1", "3")
    who = watcher.room.remote_participants[IDENTITY]
    assert (who.name, who.metadata) == (f"Phone {CALLER}", "m")
    await phone.rtp.until(lambda packets: any(p.loud for p in packets))
    phone.speak(talk.rtp_to)
    await watcher.hears()
    talk.send("BYE")
    await phone.next("200 BYE")
    assert (await watcher.gone(IDENTITY)).reason == 1
    assert watcher.statuses(IDENTITY) == ["ringing", "active", "hangup"]


async def test_answered_at_once_when_the_agent_is_there(
    target: Target, phone: Phone, admit: Admit, watcher: Watcher
) -> None:
    number, _, _ = await admit()
    await watcher.publish()
    invite = phone.invite(target.sip_address, number)
    answer = await phone.next("200 INVITE", 3)
    assert isinstance(answer, Response)
    talk = phone.establish(invite, answer)
    await watcher.status(IDENTITY, "active")
    talk.send("BYE")
    await watcher.gone(IDENTITY)


async def test_cancel_while_ringing(
    target: Target, phone: Phone, admit: Admit, watcher: Watcher
) -> None:
    number, _, _ = await admit()
    invite = phone.invite(target.sip_address, number)
    await phone.next("180 INVITE")
    await watcher.status(IDENTITY, "ringing")
    phone.follow(invite, "CANCEL")
    ended = await phone.next("487 INVITE")
    assert phone.count("200 CANCEL") == 1
    phone.follow(invite, "ACK", ended.header("to") or "")
    left = await watcher.gone(IDENTITY)
    assert left.reason == 1
    assert watcher.statuses(IDENTITY) == ["ringing", "hangup"]


@pytest.mark.parametrize(
    ("listed", "offered", "taken"),
    [
        ((), "0 8 101", "0"),
        ((), "8 0 101", "0"),
        ((), "9 18 101", "9"),
        (("PCMA",), "0 8 101", "8"),
        (("PCMU",), "8 0 101", "0"),
    ],
)
async def test_codecs_of_the_answer(
    target: Target,
    phone: Phone,
    admit: Admit,
    watcher: Watcher,
    listed: tuple[str, ...],
    offered: str,
    taken: str,
) -> None:
    codecs = [proto.SIPCodec(name=name) for name in listed]
    config = proto.SIPMediaConfig(only_listed_codecs=bool(listed), codecs=codecs)
    number, _, _ = await admit(media=config)
    await watcher.publish()
    invite = phone.invite(target.sip_address, number, codecs=offered)
    answer = await phone.next("200 INVITE")
    assert isinstance(answer, Response)
    phone.establish(invite, answer).send("BYE")
    await watcher.gone(IDENTITY)
    formats = audio_formats(answer.body)
    assert formats[0] == taken
    if listed:
        assert set(formats) <= {taken, "101"}


@pytest.mark.parametrize("how", ["participant", "room"])
async def test_removal_while_ringing_declines(
    target: Target,
    lk: api.LiveKitAPI,
    phone: Phone,
    admit: Admit,
    watcher: Watcher,
    room_name: str,
    how: str,
) -> None:
    number, _, _ = await admit()
    invite = phone.invite(target.sip_address, number)
    await watcher.status(IDENTITY, "ringing")
    if how == "participant":
        who = api.RoomParticipantIdentity(room=room_name, identity=IDENTITY)
        await lk.room.remove_participant(who)
    else:
        await lk.room.delete_room(api.DeleteRoomRequest(room=room_name))
    ended = await phone.next("486 INVITE")
    phone.follow(invite, "ACK", ended.header("to") or "")


async def test_removal_after_the_answer_hangs_up(
    target: Target,
    lk: api.LiveKitAPI,
    phone: Phone,
    admit: Admit,
    watcher: Watcher,
    room_name: str,
) -> None:
    number, _, _ = await admit()
    await watcher.publish()
    invite = phone.invite(target.sip_address, number)
    answer = await phone.next("200 INVITE")
    assert isinstance(answer, Response)
    phone.establish(invite, answer)
    await watcher.status(IDENTITY, "active")
    who = api.RoomParticipantIdentity(room=room_name, identity=IDENTITY)
    await lk.room.remove_participant(who)
    await phone.request("BYE")
    assert (await watcher.gone(IDENTITY)).reason == 4


def refused(phone: Phone) -> bool:
    """No INVITE was accepted: a refusal, or silence after a ringing (both are allowed)."""
    return phone.count("200 INVITE") == 0


async def test_unknown_number_and_source(
    target: Target, phone: Phone, admit: Admit, watcher: Watcher
) -> None:
    number, _, _ = await admit(allowed_addresses=["203.0.113.0/24"])
    await watcher.publish()
    phone.invite(target.sip_address, "+1999999")
    if target.embedded:
        await phone.next("404 INVITE")
    phone.invite(target.sip_address, number)
    if target.embedded:
        await phone.next("403 INVITE")
    assert refused(phone)
    assert not watcher.room.remote_participants


async def test_whom_the_numbers_own_trunk_refuses_no_trunk_for_every_number_takes(
    target: Target,
    sip: api.SipService,
    phone: Phone,
    admit: Admit,
    watcher: Watcher,
    room_name: str,
) -> None:
    """Stricter than livekit-sip, which may give the call to the other trunk."""
    if not target.embedded:
        pytest.skip("livekit-sip may give such a call to the trunk that takes every number")
    number, _, _ = await admit(allowed_addresses=["203.0.113.0/24"])
    every = proto.SIPInboundTrunkInfo(name="every number", allowed_addresses=["127.0.0.0/8"])
    made = await sip.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=every))
    direct = proto.SIPDispatchRuleDirect(room_name=room_name)
    way = proto.SIPDispatchRuleInfo(
        trunk_ids=[made.sip_trunk_id], rule=proto.SIPDispatchRule(dispatch_rule_direct=direct)
    )
    rule = await sip.create_dispatch_rule(api.CreateSIPDispatchRuleRequest(dispatch_rule=way))
    await watcher.publish()
    try:
        phone.invite(target.sip_address, number)
        await phone.next("403 INVITE")
    finally:
        await sip.delete_dispatch_rule(
            api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule.sip_dispatch_rule_id)
        )
        await sip.delete_trunk(api.DeleteSIPTrunkRequest(sip_trunk_id=made.sip_trunk_id))
    assert refused(phone)


async def test_allowed_numbers_of_callers(
    target: Target, phone: Phone, admit: Admit, watcher: Watcher
) -> None:
    number, _, _ = await admit(allowed_numbers=[CALLER])
    await watcher.publish()
    phone.invite(target.sip_address, number, caller="+15559999")
    if target.embedded:
        await phone.next("403 INVITE")
    invite = phone.invite(target.sip_address, number)
    answer = await phone.next("200 INVITE")
    assert isinstance(answer, Response)
    phone.establish(invite, answer).send("BYE")
    await watcher.gone(IDENTITY)


async def test_digest(target: Target, phone: Phone, admit: Admit, watcher: Watcher) -> None:
    number, _, _ = await admit(auth_username="bob", auth_password="secret")
    await watcher.publish()
    first = phone.invite(target.sip_address, number)
    asked = await phone.next("407 INVITE")
    assert phone.count("180 INVITE") == 0
    phone.follow(first, "ACK", asked.header("to") or "")
    challenge = asked.header("proxy-authenticate") or ""

    def again(password: str, cseq: int) -> object:
        value = digest_answer(challenge, "bob", password, first.uri)
        extra = (("Proxy-Authorization", value),)
        return phone.invite(
            target.sip_address, number, extra=extra, call_id=first.call_id, cseq=cseq
        )

    again("wrong", 2)
    await phone.next("401 INVITE")
    invite = again("secret", 3)
    answer = await phone.next("200 INVITE")
    assert isinstance(answer, Response)
    phone.establish(invite, answer).send("BYE")  # type: ignore[arg-type]
    await watcher.gone(IDENTITY)


async def test_retransmissions_make_one_call(
    target: Target, phone: Phone, admit: Admit, watcher: Watcher
) -> None:
    number, _, _ = await admit()
    invite = phone.invite(target.sip_address, number)
    phone.send(invite.encode(), target.sip_address)
    await watcher.status(IDENTITY, "ringing")
    phone.send(invite.encode(), target.sip_address)
    await watcher.publish()
    answer = await phone.next("200 INVITE")
    assert isinstance(answer, Response)
    phone.establish(invite, answer).send("BYE")
    await phone.next("200 BYE")
    await watcher.gone(IDENTITY)
    joined = [n for n in watcher.notes if n.what == "joined" and n.identity == IDENTITY]
    if target.embedded:  # livekit-sip sometimes takes a very early repeat for another call
        assert len(joined) == 1


@pytest.mark.parametrize(
    ("rule", "pattern"),
    [
        (
            proto.SIPDispatchRule(
                dispatch_rule_individual=proto.SIPDispatchRuleIndividual(room_prefix="in")
            ),
            r"in_\{caller}_[A-Za-z0-9]{12}",
        ),
        (
            proto.SIPDispatchRule(
                dispatch_rule_individual=proto.SIPDispatchRuleIndividual(no_randomness=True)
            ),
            r"\{caller}",
        ),
        (
            proto.SIPDispatchRule(
                dispatch_rule_callee=proto.SIPDispatchRuleCallee(room_prefix="to")
            ),
            r"to_\{called}",
        ),
    ],
    ids=["individual", "no randomness", "callee"],
)
async def test_room_names_and_agents(
    target: Target,
    lk: api.LiveKitAPI,
    phone: Phone,
    admit: Admit,
    rule: proto.SIPDispatchRule,
    pattern: str,
) -> None:
    config = api.RoomConfiguration(
        empty_timeout=7, metadata="rm", agents=[api.RoomAgentDispatch(agent_name="nobody")]
    )
    number, _, _ = await admit({"rule": rule, "room_config": config})
    caller = f"+1666{secrets.randbelow(10**7):07d}"
    invite = phone.invite(target.sip_address, number, caller=caller)
    await phone.next("180 INVITE")
    wanted = re.compile(
        pattern.replace(r"\{caller}", re.escape(caller)).replace(r"\{called}", re.escape(number))
        + r"\Z"
    )
    async with asyncio.timeout(5):
        while True:  # nobody can watch a room whose name is not known yet
            rooms = (await lk.room.list_rooms(api.ListRoomsRequest())).rooms
            found = [r for r in rooms if wanted.match(r.name)]
            if found:
                break
    assert (found[0].metadata, found[0].empty_timeout) == ("rm", 7)
    dispatched = await lk.agent_dispatch.list_dispatch(found[0].name)
    assert [d.agent_name for d in dispatched] == ["nobody"]
    phone.follow(invite, "CANCEL")
    await phone.next("487 INVITE")


async def test_hidden_number(target: Target, phone: Phone, admit: Admit, watcher: Watcher) -> None:
    number, _, _ = await admit({"hide_phone_number": True})
    invite = phone.invite(target.sip_address, number)
    await watcher.until(lambda: any(n.what == "joined" for n in watcher.notes))
    who = next(n for n in watcher.notes if n.what == "joined")
    assert re.fullmatch(r"sip_[0-9a-f]{16}", who.identity)
    assert watcher.room.remote_participants[who.identity].name == f"Phone {CALLER[-4:]}"
    assert "sip.phoneNumber" not in who.detail
    phone.follow(invite, "CANCEL")
    await watcher.gone(who.identity)


async def test_headers_of_the_caller(
    target: Target, phone: Phone, admit: Admit, watcher: Watcher
) -> None:
    number, _, _ = await admit(
        headers_to_attributes={"X-Mine": "mine"}, include_headers=proto.SIP_X_HEADERS
    )
    invite = phone.invite(target.sip_address, number, extra=(("X-Mine", "7"), ("X-More", "8")))
    await watcher.status(IDENTITY, "ringing")
    seen = watcher.attributes(IDENTITY)
    assert (seen["mine"], seen["sip.h.x-more"]) == ("7", "8")
    assert "sip.h.via" not in seen
    phone.follow(invite, "CANCEL")
    await watcher.gone(IDENTITY)


async def test_requests_outside_dialogs(target: Target, phone: Phone) -> None:
    for method, wanted in (("OPTIONS", "200 OPTIONS"), ("REGISTER", "405 REGISTER")):
        request = phone.invite(("127.0.0.1", 9), "1")  # a template, sent nowhere that answers
        request.method = method
        request.replace("CSeq", [f"1 {method}"])
        phone.send(request.encode(), target.sip_address)
        await phone.next(wanted)
