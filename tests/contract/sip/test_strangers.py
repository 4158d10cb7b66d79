"""RTP that does not come from where the far end's SDP says: refused, unless the phone itself moved.

What is soft and what is loud is told apart by its peaks. Every phone has an address of its own,
because the gateway keeps in mind whose sound came from elsewhere.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from livekit import api
from livekit.protocol import sip as proto

from sip import line
from sip.message import Response
from tests.contract.sip.conftest import Target
from tests.contract.sip.peer import SOFT, TONE, Phone, Sender, Talk
from tests.contract.sip.test_on_hold import reinvite
from tests.contract.sip.test_outbound import answered, dial
from tests.contract.sip.watcher import Watcher

pytestmark = pytest.mark.system
LOUD, AUDIBLE = 3000, 300
SECOND = 50  # frames
STEADY = 0.8  # of all frames: a moment in which the machine stalls is concealed by softer sound
Sends = Callable[..., Awaitable[Sender]]


@pytest.fixture(autouse=True)
def embedded(target: Target) -> None:
    if not target.embedded:
        pytest.skip("livekit-sip takes RTP from anywhere")


@pytest.fixture
async def phone() -> AsyncIterator[Phone]:
    device = Phone(f"127.{secrets.randbelow(250) + 1}.{secrets.randbelow(250)}.2")
    await device.start()
    yield device
    await device.stop()


@pytest.fixture
async def sends() -> AsyncIterator[Sends]:
    """Start to send RTP from a port of its own: what it sends, where to, from which host."""
    started: list[Sender] = []

    async def begin(payload: bytes, to: tuple[str, int], host: str = "127.0.0.1") -> Sender:
        sender = Sender(payload, host)
        await sender.start()
        started.append(sender)
        sender.send(to)
        return sender

    yield begin
    for sender in started:
        await sender.stop()


@pytest.fixture
async def talk(
    sip: api.SipService, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> AsyncIterator[Talk]:
    """An answered call, its phone silent as yet."""
    await watcher.publish()
    dialog, _, _ = await answered(sip, phone, dial(room_name, trunk))
    await phone.rtp.until(lambda packets: any(p.loud for p in packets))
    yield dialog
    dialog.send("BYE")
    await phone.next("200 BYE")


@pytest.fixture
async def called_in(
    sip: api.SipService, target: Target, phone: Phone, watcher: Watcher, room_name: str
) -> AsyncIterator[Talk]:
    """The same, called by the phone."""
    await watcher.publish()
    number = f"+1777{secrets.randbelow(10**7):07d}"
    info = proto.SIPInboundTrunkInfo(numbers=[number])
    trunk = await sip.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=info))
    direct = proto.SIPDispatchRule(
        dispatch_rule_direct=proto.SIPDispatchRuleDirect(room_name=room_name)
    )
    made = proto.SIPDispatchRuleInfo(trunk_ids=[trunk.sip_trunk_id], rule=direct)
    rule = await sip.create_dispatch_rule(api.CreateSIPDispatchRuleRequest(dispatch_rule=made))
    invite = phone.invite(target.sip_address, number)
    answer = await phone.next("200 INVITE")
    assert isinstance(answer, Response)
    dialog = phone.establish(invite, answer)
    await phone.rtp.until(lambda packets: any(p.loud for p in packets))
    yield dialog
    dialog.send("BYE")
    await phone.next("200 BYE")
    gone = api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule.sip_dispatch_rule_id)
    await sip.delete_dispatch_rule(gone)
    await sip.delete_trunk(api.DeleteSIPTrunkRequest(sip_trunk_id=trunk.sip_trunk_id))


async def passed(phone: Phone, packets: int) -> None:
    """Wait for so many packets of the gateway, 20 ms each: a clock that no load can hurry."""
    count = len(phone.rtp.packets)
    await phone.rtp.until(lambda seen: len(seen) >= count + packets)


async def next_peaks(watcher: Watcher, frames: int = 2 * SECOND) -> list[int]:
    """What the room hears from now on, as the peak of each 20 ms."""
    start = len(watcher.peaks)
    await watcher.until(lambda: len(watcher.peaks) >= start + frames, frames / SECOND + 5.0)
    return [peak for _, peak in watcher.peaks[start:]]


async def hears_soft(watcher: Watcher, limit: float = 5.0) -> None:
    """Wait until what is heard is soft alone: what came before it has been played out."""
    start = len(watcher.peaks)

    def settled() -> bool:
        last = [peak for _, peak in watcher.peaks[start:]][-SECOND // 2 :]
        return len(last) == SECOND // 2 and all(AUDIBLE < peak < LOUD for peak in last)

    await watcher.until(settled, limit)


def share(peaks: list[int], least: int, below: int = 2**16) -> float:
    return sum(least <= peak < below for peak in peaks) / len(peaks)


async def survives_one_from_before(
    talk: Talk, phone: Phone, watcher: Watcher, sends: Sends
) -> None:
    await sends(SOFT, talk.rtp_to)
    await passed(phone, SECOND)
    phone.speak(talk.rtp_to)
    await watcher.hears(LOUD, 2.5)
    await passed(phone, 5)
    assert share(await next_peaks(watcher), LOUD) > STEADY


async def survives_one_that_comes_later(
    talk: Talk, phone: Phone, watcher: Watcher, sends: Sends
) -> None:
    phone.speak(talk.rtp_to)
    await watcher.hears(LOUD)
    await sends(SOFT, talk.rtp_to)
    assert share(await next_peaks(watcher), LOUD) > STEADY


@pytest.mark.parametrize("survives", [survives_one_from_before, survives_one_that_comes_later])
async def test_the_phone_is_heard_beside_a_stranger(
    survives: Callable[..., Awaitable[None]],
    talk: Talk,
    phone: Phone,
    watcher: Watcher,
    sends: Sends,
) -> None:
    await survives(talk, phone, watcher, sends)


@pytest.mark.parametrize("survives", [survives_one_from_before, survives_one_that_comes_later])
async def test_a_caller_is_heard_beside_a_stranger(
    survives: Callable[..., Awaitable[None]],
    called_in: Talk,
    phone: Phone,
    watcher: Watcher,
    sends: Sends,
) -> None:
    await survives(called_in, phone, watcher, sends)


async def test_a_stranger_is_never_heard_while_the_phone_sends(
    talk: Talk, phone: Phone, watcher: Watcher, sends: Sends
) -> None:
    phone.speak(talk.rtp_to, payload=SOFT)
    await hears_soft(watcher)
    await sends(TONE, talk.rtp_to)
    await sends(TONE, talk.rtp_to, phone.host)  # the phone's address, but not its port
    heard = await next_peaks(watcher, 3 * SECOND)
    assert max(heard) < LOUD
    assert share(heard, AUDIBLE) > STEADY


async def test_a_phone_whose_sound_comes_from_another_port_is_heard(
    talk: Talk, phone: Phone, watcher: Watcher, sends: Sends
) -> None:
    await sends(TONE, talk.rtp_to, phone.host)
    await watcher.hears(LOUD, 2.0)
    await passed(phone, 5)
    assert share(await next_peaks(watcher), LOUD) > STEADY


async def test_its_next_call_loses_nothing(
    talk: Talk,
    sip: api.SipService,
    trunk: str,
    phone: Phone,
    watcher: Watcher,
    room_name: str,
    sends: Sends,
) -> None:
    first = await sends(TONE, talk.rtp_to, phone.host)
    await watcher.hears(LOUD)
    await first.stop()
    again, _, _ = await answered(
        sip, phone, dial(room_name, trunk, participant_identity="the next call")
    )
    heard = len(watcher.peaks)
    await sends(TONE, again.rtp_to, phone.host)
    await watcher.hears(LOUD)
    since = [peak for _, peak in watcher.peaks[heard:]]
    loud_at = next(i for i, peak in enumerate(since) if peak >= LOUD)
    await watcher.until(lambda: len(watcher.peaks) >= heard + loud_at + SECOND)
    assert share([p for _, p in watcher.peaks[heard + loud_at :]], LOUD) > 0.4  # of two tracks
    again.send("BYE")
    await watcher.gone("the next call")


async def test_a_phone_that_moves_by_a_reinvite_is_heard_and_its_old_port_is_not(
    talk: Talk, phone: Phone, watcher: Watcher, sends: Sends
) -> None:
    phone.speak(talk.rtp_to)
    await watcher.hears(LOUD)
    moved = await sends(SOFT, talk.rtp_to, phone.host)
    sdp = (("Content-Type", "application/sdp"),)
    talk.send("INVITE", extra=sdp, body=phone.sdp("0 101", port=moved.port))
    await phone.next("200 INVITE")
    talk.send("ACK", cseq=talk.cseq)
    await hears_soft(watcher)
    heard = await next_peaks(watcher)
    assert max(heard) < LOUD
    assert share(heard, AUDIBLE) > STEADY


async def test_a_phone_that_moves_without_a_word_is_heard_and_nobody_else(
    talk: Talk, phone: Phone, watcher: Watcher, sends: Sends
) -> None:
    """To another port, with another SSRC, as behind a NAT; and keys come from there too."""
    phone.speak(talk.rtp_to)
    await watcher.hears(LOUD)
    await sends(TONE, talk.rtp_to)  # from a third address, all along
    await phone.hush()
    moved = await sends(SOFT, talk.rtp_to, phone.host)
    await hears_soft(watcher)
    heard = await next_peaks(watcher, 5 * SECOND)
    assert max(heard) < LOUD
    assert share(heard, AUDIBLE) > STEADY
    moved.press(talk.rtp_to, 6)
    assert await watcher.pressed(1) == ["6"]


async def test_a_phone_that_pauses_leaves_its_place_to_nobody(
    talk: Talk, phone: Phone, watcher: Watcher, sends: Sends
) -> None:
    phone.speak(talk.rtp_to, payload=SOFT)
    await hears_soft(watcher)
    await phone.hush()
    await sends(TONE, talk.rtp_to)
    assert max(await next_peaks(watcher, 6 * SECOND)) < LOUD
    phone.speak(talk.rtp_to, payload=SOFT)
    await watcher.hears(AUDIBLE, 1.0)


async def test_another_ssrc_from_the_same_place_is_the_same_phone(
    talk: Talk, phone: Phone, watcher: Watcher
) -> None:
    phone.speak(talk.rtp_to, payload=SOFT)
    await hears_soft(watcher)
    phone.source = secrets.token_bytes(4)
    await phone.hush()
    phone.speak(talk.rtp_to)
    await watcher.hears(LOUD, 1.0)
    assert share(await next_peaks(watcher), LOUD) > STEADY
    phone.press(talk.rtp_to, 6)
    assert await watcher.pressed(1) == ["6"]


async def test_a_phone_that_starts_late_loses_nothing_to_the_gate(
    talk: Talk, phone: Phone, watcher: Watcher, sends: Sends
) -> None:
    await passed(phone, SECOND)
    phone.speak(talk.rtp_to, payload=SOFT)
    await hears_soft(watcher)
    await sends(TONE, talk.rtp_to)  # the gate had not opened for want of sound
    assert max(await next_peaks(watcher)) < LOUD


async def test_a_stranger_is_not_let_in_during_a_hold(
    talk: Talk, phone: Phone, watcher: Watcher, sends: Sends
) -> None:
    phone.speak(talk.rtp_to)
    await watcher.hears(LOUD)
    await reinvite(talk, phone, "sendonly")
    await phone.hush()
    await sends(SOFT, talk.rtp_to)
    silent = (await next_peaks(watcher, 3 * SECOND))[SECOND // 2 :]
    assert max(silent) < AUDIBLE, "nothing comes from the phone, which has not moved"
    await reinvite(talk, phone, "sendrecv")
    phone.speak(talk.rtp_to)
    await watcher.hears(LOUD, 2.5)
    assert share(await next_peaks(watcher), LOUD) > STEADY


async def test_a_caller_that_holds_the_call_is_told_of_and_heard_after_it(
    called_in: Talk, phone: Phone, watcher: Watcher
) -> None:
    own = await phone.request("INVITE")  # baresip's, to settle on one of the codecs
    phone.reply(own, 200, "OK", body=phone.sdp("0 101"))
    await phone.request("ACK")
    phone.speak(called_in.rtp_to)
    await watcher.hears(LOUD)
    assert "a=inactive" in await reinvite(called_in, phone, "inactive")
    await watcher.until(lambda: line.is_on_hold(watcher.attributes("sip_+15550001")))
    await phone.hush()
    assert max((await next_peaks(watcher, 2 * SECOND))[SECOND:]) < AUDIBLE
    assert "a=sendrecv" in await reinvite(called_in, phone, "sendrecv")
    phone.speak(called_in.rtp_to)
    await watcher.hears(LOUD)
    await phone.rtp.until(lambda packets: all(packet.loud for packet in packets[-25:]))
