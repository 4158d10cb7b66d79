"""An established call: DTMF both ways, subscriptions, re-INVITE, transfers, media timeouts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from livekit import api
from livekit.protocol import models
from livekit.protocol import sip as proto

from sip import holding, line
from sip.message import Request
from tests.contract.sip.conftest import Target
from tests.contract.sip.peer import Packet, Phone, Talk
from tests.contract.sip.test_outbound import CALLER, answered, dial
from tests.contract.sip.watcher import Watcher

pytestmark = pytest.mark.system


@pytest.fixture
async def talk(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> AsyncIterator[Talk]:
    """An answered call with a watcher whose tone the phone hears."""
    await watcher.publish()
    dialog, _, _ = await answered(sip, phone, dial(room_name, trunk))
    await watcher.status(CALLER, "active")
    await phone.request("ACK")
    yield dialog
    if phone.count("BYE") == 0:
        dialog.send("BYE")
        await watcher.gone(CALLER)


def keys(packets: list[Packet]) -> list[int]:
    """The RFC 4733 events, one per key: a new timestamp is a new key."""
    found: dict[int, int] = {}
    for packet in packets:
        if packet.payload_type == 101:
            found.setdefault(packet.timestamp, packet.payload[0])
    return list(found.values())


async def test_keys_reach_the_room_once(talk: Talk, phone: Phone, watcher: Watcher) -> None:
    phone.speak(talk.rtp_to)
    await watcher.hears()
    sequence = 30000
    for code in (5, 10, 11, 15, 0):
        phone.press(talk.rtp_to, code, sequence)
        sequence += 100
        await watcher.pressed((sequence - 30000) // 100)
    notes = [(n.detail["digit"], n.detail["code"]) for n in watcher.notes if n.what == "dtmf"]
    assert notes == [("5", "5"), ("*", "10"), ("#", "11"), ("d", "15"), ("0", "0")]


async def test_digits_of_the_room_reach_the_phone(
    talk: Talk, phone: Phone, watcher: Watcher
) -> None:
    await watcher.room.local_participant.publish_dtmf(code=9, digit="1w2a#")
    await phone.rtp.until(lambda packets: len(keys(packets)) >= 4)
    assert keys(phone.rtp.packets) == [1, 2, 12, 11]
    await watcher.room.local_participant.publish_dtmf(code=1, digit="x")
    ends = [p for p in phone.rtp.packets if p.payload_type == 101 and p.payload[1] & 0x80]
    assert ends


async def test_digits_after_the_answer(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    await watcher.publish()
    calling = asyncio.create_task(sip.create_sip_participant(dial(room_name, trunk, dtmf="1w2#")))
    invite = await phone.request("INVITE")
    dialog = phone.answer(invite)
    await watcher.status(CALLER, "automation")
    assert not calling.done()
    assert not any(p.loud for p in phone.rtp.packets)
    await calling
    assert keys(phone.rtp.packets) == [1, 2, 11]
    await watcher.status(CALLER, "active")
    await phone.rtp.until(lambda packets: packets[-1].loud)
    dialog.send("BYE")
    await watcher.gone(CALLER)
    assert watcher.statuses(CALLER) == ["dialing", "automation", "active", "hangup"]


async def test_subscriptions_isolate(
    talk: Talk, lk: api.LiveKitAPI, phone: Phone, watcher: Watcher, room_name: str
) -> None:
    await phone.rtp.until(lambda packets: any(p.loud for p in packets[-5:]))

    async def subscribe(on: bool) -> None:
        await lk.room.update_subscriptions(
            api.UpdateSubscriptionsRequest(
                room=room_name, identity=CALLER, track_sids=[watcher.track_sid], subscribe=on
            )
        )

    await subscribe(False)
    await phone.rtp.until(lambda packets: not any(p.loud for p in packets[-15:]))
    await subscribe(True)
    await phone.rtp.until(lambda packets: all(p.loud for p in packets[-5:]))


async def test_a_held_call_is_silent_both_ways_until_it_is_released(
    target: Target,
    sip: api.SipService,
    lk: api.LiveKitAPI,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    room_name: str,
) -> None:
    if not target.embedded:
        pytest.skip("an attribute of our own, which LiveKit's service does not know")
    await watcher.publish()
    request = dial(room_name, trunk, participant_attributes=holding.attributes(held=True))
    dialog, _, _ = await answered(sip, phone, request)
    await watcher.status(CALLER, "active")
    await phone.request("ACK")
    phone.speak(dialog.rtp_to)
    await phone.rtp.until(lambda packets: len(packets) > 75)  # well over a second
    assert not any(packet.loud for packet in phone.rtp.packets)
    assert all(peak < 500 for _, peak in watcher.peaks)
    phone.press(dialog.rtp_to, 5)
    assert await watcher.pressed(1) == ["5"], "a key is no sound"
    await lk.room.update_participant(
        api.UpdateParticipantRequest(room=room_name, identity=CALLER, attributes=holding.RELEASED)
    )
    await watcher.hears()
    await phone.rtp.until(lambda packets: all(packet.loud for packet in packets[-5:]))
    dialog.send("BYE")
    await watcher.gone(CALLER)


async def test_two_speakers_are_both_heard(
    talk: Talk, target: Target, phone: Phone, room_name: str
) -> None:
    await phone.rtp.until(lambda packets: any(p.loud for p in packets[-5:]))

    def level(packets: list[Packet]) -> int:
        """The loudest byte: in u-law a smaller magnitude code is louder."""
        return min((b & 0x7F) for p in packets for b in p.payload)

    alone = level([p for p in phone.rtp.packets[-20:] if p.loud])
    second = Watcher(target.livekit_url, target.key, target.secret, room_name)
    await second.join()
    await second.publish(700.0)
    await phone.rtp.until(lambda packets: level(packets[-20:]) < alone - 5)
    await second.leave()


@pytest.mark.parametrize("direction", ["sendonly", "sendrecv"])
async def test_reinvite_keeps_the_call(talk: Talk, phone: Phone, direction: str) -> None:
    talk.send(
        "INVITE",
        extra=(("Content-Type", "application/sdp"),),
        body=phone.sdp("0 101", direction),
    )
    answer = await phone.next("200 INVITE")
    talk.send("ACK", cseq=talk.cseq)
    assert b"m=audio" in answer.body
    count = len(phone.rtp.packets)
    if direction == "sendrecv":
        await phone.rtp.until(lambda packets: len(packets) > count + 25)
    assert phone.count("BYE") == 0


def transfer(
    room: str, to: str = "tel:+15559999", **more: object
) -> proto.TransferSIPParticipantRequest:
    return proto.TransferSIPParticipantRequest(
        room_name=room,
        participant_identity=CALLER,
        transfer_to=to,
        **more,  # type: ignore[arg-type]
    )


async def accept(phone: Phone, refer: Request) -> None:
    """Take a REFER as phones do: what they report comes after they have dialled."""
    phone.reply(refer, 202, "Accepted")
    await asyncio.sleep(0.05)  # livekit-sip loses a NOTIFY that overtakes the 202


async def test_transfer_ends_well(
    talk: Talk, sip: api.SipService, phone: Phone, watcher: Watcher, room_name: str
) -> None:
    doing = asyncio.create_task(sip.transfer_sip_participant(transfer(room_name)))
    refer = await phone.request("REFER")
    assert (refer.header("refer-to") or "").strip("<>") == "tel:+15559999"
    await accept(phone, refer)
    talk.notify("100 Trying", final=False)
    talk.notify("180 Ringing", final=False)
    talk.notify("200 OK", final=True)
    await doing
    await phone.request("BYE")
    assert (await watcher.gone(CALLER)).reason == 1
    assert "hangup" in watcher.statuses(CALLER)


async def test_transfer_ends_with_the_phones_bye(
    talk: Talk, sip: api.SipService, phone: Phone, watcher: Watcher, room_name: str
) -> None:
    doing = asyncio.create_task(sip.transfer_sip_participant(transfer(room_name)))
    refer = await phone.request("REFER")
    await accept(phone, refer)
    talk.notify("100 Trying", final=False)
    await phone.next("200 NOTIFY")
    talk.send("BYE")
    await doing
    assert (await watcher.gone(CALLER)).reason == 1


@pytest.mark.parametrize(
    ("status", "reason", "code", "http"),
    [
        (403, "Forbidden", "permission_denied", 403),
        (404, "Not Found", "not_found", 404),
        (486, "Busy Here", "resource_exhausted", 429),
        (503, "Unavailable", "failed_precondition", 412),
        (603, "Decline", "permission_denied", 403),
    ],
)
@pytest.mark.parametrize("told", ["notify", "refusal"])
async def test_transfer_fails_and_the_call_stays(
    talk: Talk,
    sip: api.SipService,
    phone: Phone,
    watcher: Watcher,
    room_name: str,
    status: int,
    reason: str,
    code: str,
    http: int,
    told: str,
) -> None:
    doing = asyncio.create_task(sip.transfer_sip_participant(transfer(room_name)))
    try:
        refer = await phone.request("REFER", 2)
    except TimeoutError:
        await doing
        raise
    if told == "notify":
        await accept(phone, refer)
        talk.notify(f"{status} {reason}", final=True)
    else:
        phone.reply(refer, status, reason)
    with pytest.raises(api.SipCallError) as caught:
        await doing
    error = caught.value
    assert (error.code, error.status, error.sip_status_code) == (code, http, status)
    clause = "call transfer failed: sip status" if told == "notify" else "sip status"
    assert error.message == f"twirp error unknown: {clause}: {status}: {reason}"
    assert phone.count("BYE") == 0
    count = len(phone.rtp.packets)
    await phone.rtp.until(lambda packets: len(packets) > count + 10)
    assert watcher.statuses(CALLER)[-1] == "active"


async def test_a_phone_that_hangs_up_instead_was_not_transferred(
    talk: Talk, target: Target, sip: api.SipService, phone: Phone, watcher: Watcher, room_name: str
) -> None:
    if not target.embedded:
        pytest.skip("LiveKit's own service takes every BYE during a transfer for its success")
    doing = asyncio.create_task(sip.transfer_sip_participant(transfer(room_name)))
    await phone.request("REFER")
    talk.send("BYE")
    with pytest.raises(api.TwirpError) as caught:
        await doing
    assert caught.value.code == "aborted"
    assert (await watcher.gone(CALLER)).reason == 1


async def test_transfer_without_a_final_word(
    talk: Talk, sip: api.SipService, phone: Phone, watcher: Watcher, room_name: str
) -> None:
    request = transfer(room_name, play_dialtone=True)
    request.ringing_timeout.seconds = 2
    doing = asyncio.create_task(sip.transfer_sip_participant(request))
    refer = await phone.request("REFER")
    await accept(phone, refer)
    with pytest.raises(api.TwirpError) as caught:
        await doing
    assert caught.value.status == 408
    assert phone.count("BYE") == 0


@pytest.mark.parametrize(
    ("to", "text"),
    [
        ("+1555", "transfer_to must be a valid SIP(s) or TEL URI (sip:, sips: or tel:)"),
        ("bob@x", "transfer_to must be a valid SIP(s) or TEL URI (sip:, sips: or tel:)"),
        ("", "missing transfer to"),
    ],
)
async def test_transfer_targets(sip: api.SipService, to: str, text: str) -> None:
    with pytest.raises(api.TwirpError) as caught:
        await sip.transfer_sip_participant(transfer("some-room", to))
    assert (caught.value.code, caught.value.message) == ("invalid_argument", text)


async def test_transfer_of_nobody(sip: api.SipService) -> None:
    with pytest.raises(api.TwirpError) as caught:
        await sip.transfer_sip_participant(transfer(f"none-{secrets.token_hex(3)}"))
    assert caught.value.code == "not_found"
    assert caught.value.message == "twirp error unknown: participant does not exist"


@pytest.mark.timeout(60)
async def test_media_timeouts(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str, target: Target
) -> None:
    """Both limits at once: one call's RTP never comes (30 s), the other's stops (15 s).

    Ours goes on all the time: sound that passes one way alone keeps no call alive.
    """
    talk, _, _ = await answered(sip, phone, dial(room_name, trunk, participant_identity="stops"))
    phone.speak(talk.rtp_to, packets=25)
    await answered(sip, phone, dial(room_name, trunk, participant_identity="never"))
    first = await watcher.gone("stops", 20)
    second = await watcher.gone("never", 35)
    byes = [at for at, m in phone.seen if isinstance(m, Request) and m.method == "BYE"]
    invites = [at for at, m in phone.seen if isinstance(m, Request) and m.method == "ACK"]
    assert len(byes) == 2
    assert 14.5 < byes[0] - invites[0] < 17.5
    assert 29.5 < byes[1] - invites[1] < 32.0
    assert (first.reason, second.reason) == (1, 1)
    if target.embedded:
        why = [line.why_lost(watcher.attributes(identity)) for identity in ("stops", "never")]
        assert why == ["no RTP came for 15 s", "no RTP came within 30 s of the answer"]


def test_the_watchers_kinds() -> None:
    """The numbers the tests compare with are LiveKit's."""
    assert models.ParticipantInfo.Kind.Value("SIP") == 3
    assert models.DisconnectReason.Value("USER_REJECTED") == 12
