"""Outbound calls: order of states, timing, failures, cancelling (golden record, sections 2-4)."""

from __future__ import annotations

import asyncio
import base64
import itertools
import time

import pytest
from google.rpc import status_pb2
from livekit import api
from livekit.protocol import sip as proto

from sip import deadline
from sip.message import Request
from tests.contract.sip.conftest import Target
from tests.contract.sip.peer import Phone, Talk, audio_formats
from tests.contract.sip.watcher import Watcher

pytestmark = pytest.mark.system
NUMBER = "+15551234"
CALLER = f"sip_{NUMBER}"


def dial(
    room: str, trunk: str, *, wait: bool = True, **more: object
) -> proto.CreateSIPParticipantRequest:
    return proto.CreateSIPParticipantRequest(
        room_name=room,
        sip_trunk_id=trunk,
        sip_call_to=NUMBER,
        wait_until_answered=wait,
        **more,  # type: ignore[arg-type]
    )


async def answered(
    sip: api.SipService, phone: Phone, request: proto.CreateSIPParticipantRequest
) -> tuple[Talk, Request, proto.SIPParticipantInfo]:
    """Dial and answer at once."""
    calling = asyncio.create_task(sip.create_sip_participant(request))
    invite = await phone.request("INVITE")
    talk = phone.answer(invite)
    info = await calling
    return talk, invite, info


async def test_states_attributes_sound_and_hang_up(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    await watcher.publish()
    request = dial(room_name, trunk, participant_attributes={"mine": "1"})
    calling = asyncio.create_task(sip.create_sip_participant(request))
    invite = await phone.request("INVITE")
    await watcher.status(CALLER, "dialing")
    await watcher.until(lambda: any(n.what == "track" for n in watcher.notes))
    assert invite.user == NUMBER
    assert invite.address("from").user == "+15550100"
    assert not calling.done()
    phone.reply(invite, 100, "Trying")
    phone.reply(invite, 180, "Ringing")
    await watcher.status(CALLER, "ringing")
    assert phone.rtp.packets == []
    talk = phone.answer(invite, extra=(("X-Resp", "yes"),))
    info = await calling
    await watcher.status(CALLER, "active")
    await phone.request("ACK")
    seen = watcher.attributes(CALLER)
    assert info.participant_identity == CALLER
    assert info.room_name == room_name
    assert info.participant_id.startswith("PA_")
    assert info.sip_call_id == seen["sip.callID"]
    assert seen["sip.callID"].startswith("SCL_")
    assert seen["sip.callIDFull"] == invite.call_id
    assert seen["sip.callTag"] == "phonetag"
    assert seen["sip.trunkID"] == trunk
    assert seen["sip.phoneNumber"] == NUMBER
    assert seen["sip.trunkPhoneNumber"] == "+15550100"
    assert seen["sip.hostname"] == phone.address
    assert (seen["mine"], seen["kind"]) == ("1", "3")
    await phone.rtp.until(lambda packets: any(p.loud for p in packets))
    phone.speak(talk.rtp_to)
    await watcher.hears()
    talk.send("BYE")
    await phone.next("200 BYE")
    left = await watcher.gone(CALLER)
    assert left.reason == 1
    assert watcher.statuses(CALLER) == ["dialing", "ringing", "active", "hangup"]


async def test_rtp_never_pauses(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    talk, _, _ = await answered(sip, phone, dial(room_name, trunk))
    await phone.rtp.until(lambda packets: len(packets) > 60)
    packets = phone.rtp.packets
    gaps = [b.at - a.at for a, b in itertools.pairwise(packets)]
    steps = {(b.timestamp - a.timestamp) % 2**32 for a, b in itertools.pairwise(packets)}
    assert steps == {160}
    assert {len(p.payload) for p in packets} == {160}
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(0.02, abs=0.008)
    talk.send("BYE")
    await watcher.gone(CALLER)


FAILURES = [
    (400, "Bad", "invalid_argument", 400, "INVITE failed", None),
    (403, "Forbidden", "permission_denied", 403, "unexpected status from INVITE response", 12),
    (404, "Not Found", "not_found", 404, "INVITE failed", 11),
    (408, "Timeout", "deadline_exceeded", 408, "unexpected status from INVITE response", 11),
    (480, "Gone", "resource_exhausted", 429, "INVITE failed", 11),
    (484, "Short", "invalid_argument", 400, "unexpected status from INVITE response", None),
    (486, "Busy Here", "resource_exhausted", 429, "INVITE failed", 12),
    (487, "Ended", "aborted", 409, "unexpected status from INVITE response", 12),
    (488, "No", "invalid_argument", 400, "INVITE failed", None),
    (500, "Error", "failed_precondition", 412, "unexpected status from INVITE response", 1),
    (503, "Full", "failed_precondition", 412, "unexpected status from INVITE response", 1),
    (600, "Busy", "resource_exhausted", 429, "unexpected status from INVITE response", None),
    (603, "Decline", "permission_denied", 403, "unexpected status from INVITE response", 12),
]


@pytest.mark.parametrize(
    ("status", "reason", "code", "http", "text", "leave"),
    FAILURES,
    ids=[str(f[0]) for f in FAILURES],
)
async def test_failed_dials(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    room_name: str,
    status: int,
    reason: str,
    code: str,
    http: int,
    text: str,
    leave: int | None,
) -> None:
    calling = asyncio.create_task(sip.create_sip_participant(dial(room_name, trunk)))
    invite = await phone.request("INVITE")
    phone.reply(invite, 180, "Ringing")
    await watcher.status(CALLER, "ringing")
    phone.reply(invite, status, reason)
    with pytest.raises(api.SipCallError) as caught:
        await calling
    error = caught.value
    assert (error.code, error.status) == (code, http)
    assert error.message == f"twirp error unknown: {text}: sip status: {status}: {reason}"
    assert (error.sip_status_code, error.sip_status) == (status, reason)
    details = status_pb2.Status.FromString(base64.b64decode(error.metadata["error_details"]))
    inner = proto.SIPStatus()
    assert details.details[0].type_url == "type.googleapis.com/livekit.SIPStatus"
    details.details[0].Unpack(inner)
    assert (inner.code, inner.status) == (status, reason)
    await phone.request("ACK")
    left = await watcher.gone(CALLER)
    if leave is not None:
        assert left.reason == leave
    assert "hangup" not in watcher.statuses(CALLER)
    assert phone.count("INVITE") == 1


@pytest.mark.parametrize(("status", "leave"), [(486, 12), (404, 11), (503, 1)])
async def test_failed_dials_that_nobody_waits_for(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    room_name: str,
    status: int,
    leave: int,
) -> None:
    info = await sip.create_sip_participant(dial(room_name, trunk, wait=False))
    assert info.sip_call_id.startswith("SCL_")
    invite = await phone.request("INVITE")
    phone.reply(invite, 180, "Ringing")
    await watcher.status(CALLER, "ringing")
    phone.reply(invite, status, "No")
    assert (await watcher.gone(CALLER)).reason == leave


async def test_authentication(
    sip: api.SipService, phone: Phone, watcher: Watcher, room_name: str
) -> None:
    challenge = (("WWW-Authenticate", 'Digest realm="r", nonce="n", algorithm=MD5, qop="auth"'),)
    config = proto.SIPOutboundConfig(
        hostname=phone.address, auth_username="bob", auth_password="secret"
    )
    request = dial(room_name, "", sip_number="+15550199")
    request.trunk.CopyFrom(config)
    calling = asyncio.create_task(sip.create_sip_participant(request))
    first = await phone.request("INVITE")
    phone.reply(first, 401, "Unauthorized", extra=challenge)
    second = await phone.request("INVITE")
    given = second.header("authorization") or ""
    assert 'username="bob"' in given
    assert second.cseq[0] == first.cseq[0] + 1
    talk = phone.answer(second)
    await calling
    talk.send("BYE")
    await watcher.gone(CALLER)


async def test_authentication_without_credentials(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    challenge = (("WWW-Authenticate", 'Digest realm="r", nonce="n", algorithm=MD5'),)
    calling = asyncio.create_task(sip.create_sip_participant(dial(room_name, trunk)))
    while not calling.done():
        waiting = asyncio.create_task(phone.request("INVITE"))
        await asyncio.wait({waiting, calling}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            phone.reply(waiting.result(), 401, "Unauthorized", extra=challenge)
        else:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    with pytest.raises(api.TwirpError) as caught:
        await calling
    assert (caught.value.code, caught.value.status) == ("failed_precondition", 412)
    assert "no username or password was provided" in caught.value.message
    assert (await watcher.gone(CALLER)).reason == 12


async def test_ringing_timeout_cancels(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    request = dial(room_name, trunk)
    request.ringing_timeout.seconds = 1
    calling = asyncio.create_task(sip.create_sip_participant(request))
    invite = await phone.request("INVITE")
    phone.reply(invite, 180, "Ringing")
    await phone.request("CANCEL")
    with pytest.raises(api.TwirpError) as caught:
        await calling
    assert (caught.value.code, caught.value.status) == ("canceled", 408)
    assert caught.value.message == "twirp error unknown: sip request timed out"
    assert caught.value.metadata == {}
    assert (await watcher.gone(CALLER)).reason == 11
    assert 0.9 < phone.at("CANCEL") - phone.at("INVITE") < 1.4
    await phone.request("ACK")


async def test_no_response_at_all(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    request = dial(room_name, trunk)
    request.ringing_timeout.seconds = 1
    with pytest.raises(api.TwirpError) as caught:
        await sip.create_sip_participant(request)
    assert caught.value.code == "canceled"
    assert (await watcher.gone(CALLER)).reason == 11


@pytest.mark.parametrize("how", ["participant", "room"])
async def test_removal_while_ringing_cancels(
    sip: api.SipService,
    lk: api.LiveKitAPI,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    room_name: str,
    how: str,
) -> None:
    calling = asyncio.create_task(sip.create_sip_participant(dial(room_name, trunk)))
    invite = await phone.request("INVITE")
    phone.reply(invite, 180, "Ringing")
    await watcher.status(CALLER, "ringing")
    await remove(lk, room_name, how)
    await phone.request("CANCEL")
    with pytest.raises(api.TwirpError) as caught:
        await calling
    assert caught.value.code == "canceled"
    if how == "participant":
        assert (await watcher.gone(CALLER)).reason == 4


@pytest.mark.parametrize("how", ["participant", "room"])
async def test_removal_after_the_answer_hangs_up(
    sip: api.SipService,
    lk: api.LiveKitAPI,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    room_name: str,
    how: str,
) -> None:
    await answered(sip, phone, dial(room_name, trunk))
    await remove(lk, room_name, how)
    await phone.request("BYE")
    if how == "participant":
        assert (await watcher.gone(CALLER)).reason == 4
        assert "hangup" not in watcher.statuses(CALLER)


async def remove(lk: api.LiveKitAPI, room: str, how: str) -> None:
    if how == "participant":
        await lk.room.remove_participant(api.RoomParticipantIdentity(room=room, identity=CALLER))
    else:
        await lk.room.delete_room(api.DeleteRoomRequest(room=room))


async def test_the_longest_duration_counts_from_the_dial(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    request = dial(room_name, trunk)
    request.max_call_duration.seconds = 2
    calling = asyncio.create_task(sip.create_sip_participant(request))
    invite = await phone.request("INVITE")
    phone.reply(invite, 180, "Ringing")
    await watcher.status(CALLER, "ringing")
    phone.answer(invite)
    await calling
    await phone.request("BYE")
    assert (await watcher.gone(CALLER)).reason == 1
    assert "hangup" in watcher.statuses(CALLER)
    assert 1.8 < phone.at("BYE") - phone.at("INVITE") < 2.4


async def test_the_same_identity_again_ends_the_first_call(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    await answered(sip, phone, dial(room_name, trunk))
    calling = asyncio.create_task(sip.create_sip_participant(dial(room_name, trunk)))
    await phone.request("BYE")
    second = next(
        m for _, m in reversed(phone.seen) if isinstance(m, Request) and m.method == "INVITE"
    )
    if phone.count("INVITE") < 2:
        second = await phone.request("INVITE")
    talk = phone.answer(second)
    await calling
    talk.send("BYE")
    await phone.next("200 BYE")
    assert watcher.room.isconnected()


async def test_the_agents_departure_leaves_the_call(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    talk, _, _ = await answered(sip, phone, dial(room_name, trunk))
    await watcher.leave()
    count = len(phone.rtp.packets)
    await phone.rtp.until(lambda packets: len(packets) > count + 50)
    assert phone.count("BYE") == 0
    talk.send("BYE")
    await phone.next("200 BYE")


async def test_headers_display_name_and_hidden_number(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    request = dial(
        room_name,
        trunk,
        headers={"X-Order": "7"},
        display_name="Acme Inc",
        hide_phone_number=True,
        participant_identity="callee",
        participant_name="Callee",
        participant_metadata="{}",
        include_headers=proto.SIP_X_HEADERS,
        sip_number="+15550777",
    )
    calling = asyncio.create_task(sip.create_sip_participant(request))
    invite = await phone.request("INVITE")
    assert invite.header("X-Order") == "7"
    caller = invite.address("from")
    assert (caller.display, caller.user) == ("Acme Inc", "+15550777")
    talk = phone.answer(invite, extra=(("X-Resp", "yes"),))
    await calling
    await watcher.until(lambda: "sip.h.x-resp" in watcher.attributes("callee"))
    seen = watcher.attributes("callee")
    assert not {"sip.phoneNumber", "sip.trunkPhoneNumber", "sip.hostname"} & set(seen)
    talk.send("BYE")
    await watcher.gone("callee")


@pytest.mark.parametrize(
    ("listed", "wanted"), [(("PCMA",), ["8"]), (("PCMU",), ["0"]), (("G722",), ["9"])]
)
async def test_only_listed_codecs_are_offered(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    room_name: str,
    listed: tuple[str, ...],
    wanted: list[str],
) -> None:
    codecs = [proto.SIPCodec(name=name) for name in listed]
    config = proto.SIPMediaConfig(only_listed_codecs=True, codecs=codecs)
    calling = asyncio.create_task(sip.create_sip_participant(dial(room_name, trunk, media=config)))
    invite = await phone.request("INVITE")
    assert audio_formats(invite.body) == [*wanted, "101"]
    talk = phone.answer(invite, codecs=f"{wanted[0]} 101")
    await calling
    await phone.rtp.until(lambda packets: len(packets) > 3)
    assert {str(p.payload_type) for p in phone.rtp.packets} == set(wanted)
    talk.send("BYE")
    await watcher.gone(CALLER)


async def test_listed_codecs_come_first(
    target: Target,
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    room_name: str,
) -> None:
    config = proto.SIPMediaConfig(codecs=[proto.SIPCodec(name="PCMA")])
    calling = asyncio.create_task(sip.create_sip_participant(dial(room_name, trunk, media=config)))
    invite = await phone.request("INVITE")
    offered = audio_formats(invite.body)
    assert {"0", "8", "101"} <= set(offered)
    if target.embedded:  # livekit-sip keeps its own order
        assert offered == ["8", "0", "101"]
    talk = phone.answer(invite)
    await calling
    talk.send("BYE")
    await watcher.gone(CALLER)


async def test_dial_tone_is_heard_in_the_room_until_the_answer(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    request = dial(room_name, trunk, play_dialtone=True)
    calling = asyncio.create_task(sip.create_sip_participant(request))
    invite = await phone.request("INVITE")
    await watcher.hears(peak=8000)
    talk = phone.answer(invite)
    await calling
    talk.send("BYE")
    await watcher.gone(CALLER)


@pytest.mark.parametrize("late_s", [-30.0, 30.0])
async def test_a_dial_past_its_own_deadline_rings_nowhere(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    room_name: str,
    target: Target,
    late_s: float,
) -> None:
    if not target.embedded:
        pytest.skip("the deadline is this gateway's own")
    attributes = {deadline.ATTRIBUTE: str(time.time() - late_s), "mine": "1"}
    calling = asyncio.create_task(
        sip.create_sip_participant(dial(room_name, trunk, participant_attributes=attributes))
    )
    if late_s > 0:
        with pytest.raises(api.ServerError, match=deadline.TOO_LATE):
            await calling
        assert phone.count("INVITE") == 0
        return
    phone.answer(await phone.request("INVITE"))
    await calling
    await watcher.status(CALLER, "active")
    shown = watcher.attributes(CALLER)
    assert (shown["mine"], deadline.ATTRIBUTE in shown) == ("1", False)


async def test_a_deadline_that_is_no_number_is_refused(
    sip: api.SipService, trunk: str, room_name: str, target: Target
) -> None:
    if not target.embedded:
        pytest.skip("the deadline is this gateway's own")
    attributes = {deadline.ATTRIBUTE: "soon"}
    with pytest.raises(api.ServerError, match=deadline.ATTRIBUTE):
        await sip.create_sip_participant(dial(room_name, trunk, participant_attributes=attributes))
