"""A far end that is gone: its BYE never comes, or ours has no answer."""

from __future__ import annotations

import asyncio
import itertools
import socket

import pytest
from google.protobuf.duration_pb2 import Duration
from livekit import api
from livekit.protocol import sip as proto

from sip import line
from sip.message import Request
from tests.contract.sip.conftest import Target
from tests.contract.sip.peer import Phone, Talk
from tests.contract.sip.test_outbound import CALLER, answered, dial
from tests.contract.sip.watcher import Watcher

pytestmark = pytest.mark.system
QUICK = proto.SIPMediaConfig(media_timeout=Duration(seconds=1))
TIMER_F_S = 32.0  # RFC 3261 17.1.2.2


async def vanished(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> Talk:
    """A phone that says something and nothing any more; returns once the room has heard of it."""
    talk, _, _ = await answered(sip, phone, dial(room_name, trunk, media=QUICK))
    phone.speak(talk.rtp_to, packets=25)
    await phone.request("BYE")
    await watcher.gone(CALLER)
    return talk


def byes(phone: Phone) -> list[tuple[float, Request]]:
    return [(at, m) for at, m in phone.seen if isinstance(m, Request) and m.method == "BYE"]


async def test_a_bye_without_an_answer_is_sent_again_and_holds_up_nothing(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str, target: Target
) -> None:
    phone.answers_bye = False
    talk = await vanished(sip, phone, trunk, watcher, room_name)
    if target.embedded:
        assert line.why_lost(watcher.attributes(CALLER)) == "no RTP came for 1 s"
    again, _, _ = await answered(sip, phone, dial(room_name, trunk, participant_identity="next"))
    await watcher.status("next", "active")
    while len(byes(phone)) < 4:
        await phone.request("BYE")
    sent = byes(phone)
    assert {bye.call_id for _, bye in sent} == {talk.call_id}
    assert len({bye.header("via") for _, bye in sent}) == 1
    gaps = [b - a for (a, _), (b, _) in itertools.pairwise(sent)]
    assert gaps == pytest.approx([0.5, 1.0, 2.0], abs=0.25)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(talk.rtp_to)  # the call's own is closed
    phone.answers_bye = True
    again.send("BYE")
    await watcher.gone("next")


@pytest.mark.long
@pytest.mark.timeout(60)
async def test_a_bye_without_an_answer_is_given_up(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    phone.answers_bye = False
    await vanished(sip, phone, trunk, watcher, room_name)
    while phone.count("BYE") < 11:
        await phone.request("BYE")  # they come 4 s apart at most
    with pytest.raises(TimeoutError):
        await phone.request("BYE", 6.0)
    first, last = byes(phone)[0][0], byes(phone)[-1][0]
    assert last - first < TIMER_F_S


async def test_a_bye_for_a_call_that_the_far_end_has_forgotten_is_sent_once(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    phone.answers_bye = False
    talk, _, _ = await answered(sip, phone, dial(room_name, trunk, media=QUICK))
    phone.speak(talk.rtp_to, packets=25)
    phone.reply(await phone.request("BYE"), 481, "Call/Transaction Does Not Exist")
    await watcher.gone(CALLER)
    with pytest.raises(TimeoutError):
        await phone.request("BYE", 1.5)


async def test_a_bye_for_a_call_that_is_over_is_answered(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    """As when the 200 to the first was lost, and its transaction is over: it stops the repeats."""
    talk, _, _ = await answered(sip, phone, dial(room_name, trunk))
    talk.send("BYE")
    await phone.next("200 BYE")
    await watcher.gone(CALLER)
    talk.send("BYE")
    await phone.next("481 BYE")


@pytest.mark.parametrize("order", ["answer, then 200 to CANCEL", "200 to CANCEL, then answer"])
async def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str, order: str
) -> None:
    phone.answers_cancel = False
    request = dial(room_name, trunk, ringing_timeout=Duration(seconds=1))
    calling = asyncio.create_task(sip.create_sip_participant(request))
    invite = await phone.request("INVITE")
    phone.reply(invite, 180, "Ringing")
    cancel = await phone.request("CANCEL")
    if order.startswith("200"):
        phone.reply(cancel, 200, "OK")
        with pytest.raises(api.TwirpError) as caught:
            await calling  # nobody waits for what the far end makes of it
        await watcher.gone(CALLER)
        phone.answer(invite)
    else:
        phone.answer(invite)
        phone.reply(cancel, 200, "OK")
        with pytest.raises(api.TwirpError) as caught:
            await calling
    await phone.request("ACK")
    await phone.request("BYE")
    phone.answer(invite)  # the same once more: the ACK was lost
    await phone.request("ACK")
    assert caught.value.code == "canceled"
    await watcher.gone(CALLER)
    assert "active" not in watcher.statuses(CALLER)
    assert (phone.count("INVITE"), phone.count("BYE")) == (1, 1)


async def test_an_answer_that_comes_again_is_acknowledged_again(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    """The ACK was lost; without another the phone would hang up after 32 s."""
    talk, invite, _ = await answered(sip, phone, dial(room_name, trunk))
    first = await phone.request("ACK")
    for _ in range(2):
        phone.answer(invite)
        again = await phone.request("ACK")
        assert (again.headers, again.source) == (first.headers, first.source)
    talk.send("BYE")
    await watcher.gone(CALLER)
