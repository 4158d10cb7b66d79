"""The gateway's end of the short way: an agent of the same machine, phones, others in the room."""

from __future__ import annotations

import array
import asyncio
import itertools
import random
import secrets
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
from livekit import api
from livekit.protocol import sip as proto

from process.short_way.offers import ATTRIBUTE
from sip.gateway import g711
from sip.message import Response
from tests.contract.sip.conftest import Target
from tests.contract.sip.near import NearAgent
from tests.contract.sip.peer import SOFT, TONE, Packet, Phone, Sender, Talk
from tests.contract.sip.test_outbound import CALLER, answered, dial
from tests.contract.sip.watcher import Watcher

pytestmark = pytest.mark.system
SECOND = 8_000 * 2  # bytes
LOUD = 3_000
PCMU = proto.SIPMediaConfig(only_listed_codecs=True, codecs=[proto.SIPCodec(name="PCMU")])


@pytest.fixture(autouse=True)
def embedded(target: Target) -> None:
    if not target.embedded:
        pytest.skip("about the embedded gateway")


@pytest.fixture
async def agent(target: Target, room_name: str) -> AsyncIterator[NearAgent]:
    made = NearAgent(target, room_name)
    await made.join()
    await made.publish_silence(8_000)
    yield made
    await made.leave()


@pytest.fixture
async def talk(
    sip: api.SipService, phone: Phone, trunk: str, agent: NearAgent, room_name: str
) -> AsyncIterator[Talk]:
    """An answered call whose sound takes the short way."""
    taking = asyncio.create_task(agent.take(CALLER))
    dialog, _, _ = await answered(sip, phone, dial(room_name, trunk, media=PCMU))
    await taking
    await phone.request("ACK")
    yield dialog
    if phone.count("BYE") == 0:
        dialog.send("BYE")
        await agent.gone(CALLER)


@pytest.fixture
async def watcher_later(target: Target, room_name: str) -> AsyncIterator[Watcher]:
    """Somebody who is not in the room yet."""
    other = Watcher(target.livekit_url, target.key, target.secret, room_name)
    yield other
    await other.leave()


def loud(packets: list[Packet], last: int) -> int:
    """How many of the last packets are loud."""
    return sum(packet.loud for packet in packets[-last:])


def peak(pcm: bytes) -> int:
    return max(map(abs, array.array("h", pcm)), default=0)


async def test_both_hear_each_other_and_the_room_stays_silent(
    talk: Talk, phone: Phone, agent: NearAgent
) -> None:
    assert agent.rate == 8_000
    agent.go_on_saying()
    await phone.rtp.until(lambda packets: loud(packets, 25) == 25)
    phone.speak(talk.rtp_to)
    heard = await agent.heard(lambda pcm: peak(pcm[-SECOND // 2 :]) > LOUD and len(pcm) > SECOND)
    assert peak(heard) > LOUD
    assert not any(level > 300 for _, level in agent.peaks), "nothing passes through the room"
    agent.clear()
    await phone.rtp.until(lambda packets: loud(packets, 5) == 0)


async def test_an_interruption_takes_back_all_but_forty_milliseconds(
    talk: Talk, phone: Phone, agent: NearAgent
) -> None:
    agent.say(0.9)
    await phone.rtp.until(lambda packets: loud(packets, 5) == 5)
    agent.clear()
    cleared = time.monotonic()
    await phone.rtp.until(lambda packets: loud(packets, 10) == 0)
    last = max(packet.at for packet in phone.rtp.packets if packet.loud)
    assert last - cleared < 0.1


async def test_jitter_and_loss_leave_what_came_as_it_was(
    talk: Talk, phone: Phone, agent: NearAgent
) -> None:
    """0 to 40 ms late each, two of a hundred lost, and no two frames alike."""
    chance = random.Random(5)
    frames = [chance.randbytes(160) for _ in range(150)]
    lost = {n for n in range(10, 150) if chance.random() < 0.02}
    loop, start = asyncio.get_running_loop(), asyncio.get_running_loop().time() + 0.05
    for n, frame in enumerate(frames):
        if n not in lost:
            at = start + n * 0.02 + chance.random() * 0.04
            loop.call_at(at, phone.send_rtp, talk.rtp_to, 500 + n, n * 160, frame)
    sent = [g711.decode(g711.PCMU, frame) or b"" for frame in frames]
    heard = await agent.heard(lambda pcm: sent[-1][64:] in pcm)
    begin = heard.index(sent[-1][64:]) - 64 - 149 * 320
    for n in range(10, 150):
        if n not in lost:
            blended = 64 if n - 1 in lost else 0
            assert heard[begin + n * 320 :][blended:320] == sent[n][blended:], f"frame {n}"


async def test_keys_reach_the_room_by_either_way(
    talk: Talk, phone: Phone, agent: NearAgent
) -> None:
    phone.speak(talk.rtp_to)
    await agent.heard(lambda pcm: peak(pcm[-SECOND // 4 :]) > LOUD)
    phone.press(talk.rtp_to, 5)
    assert await agent.pressed(1) == ["5"]


async def test_who_comes_hears_and_is_heard_and_then_the_room_is_silent_again(
    talk: Talk, phone: Phone, agent: NearAgent, watcher_later: Watcher
) -> None:
    phone.speak(talk.rtp_to)
    agent.go_on_saying(440.0)
    await phone.rtp.until(lambda packets: loud(packets, 25) == 25)
    assert not any(level > 300 for _, level in agent.peaks)
    await watcher_later.join()
    joined = time.monotonic()
    assert await watcher_later.hears() - joined < 0.5
    await watcher_later.publish(700.0)
    await phone.rtp.until(lambda packets: _has_tone(packets[-50:], 700.0))
    assert _has_tone(phone.rtp.packets[-50:], 440.0), "mixed with what the agent says"
    assert agent.by_room
    await watcher_later.leave()
    await agent.until(lambda: not agent.by_room)
    await phone.rtp.until(lambda packets: not _has_tone(packets[-50:], 700.0))
    await agent.until(lambda: not any(p > 300 for _, p in agent.peaks[-25:]))
    assert loud(phone.rtp.packets, 25) == 25, "the agent is heard as before"


async def test_what_the_agent_publishes_as_well_is_not_heard_twice(
    talk: Talk, phone: Phone, agent: NearAgent
) -> None:
    await asyncio.sleep(1.0)  # what the gateway waits for sound that is still on its way
    await agent.tone_into_track(700.0)
    agent.go_on_saying(440.0)
    await phone.rtp.until(lambda packets: loud(packets, 50) == 50)
    assert not _has_tone(phone.rtp.packets[-50:], 700.0)


@pytest.mark.parametrize("end", ["breaks", "garbage"])
async def test_a_way_that_breaks_leaves_the_call_to_the_room(
    talk: Talk, phone: Phone, agent: NearAgent, end: str
) -> None:
    await agent.tone_into_track(700.0)
    agent.go_on_saying(440.0)
    phone.speak(talk.rtp_to)
    await phone.rtp.until(lambda packets: loud(packets, 75) == 75)
    agent.break_off(garbage=end == "garbage")
    broke = time.monotonic()
    assert await agent.hears() - broke < 0.3
    await phone.rtp.until(lambda packets: _has_tone(packets[-10:], 700.0))
    gaps = [b.at - a.at for a, b in itertools.pairwise(p for p in phone.rtp.packets if p.loud)]
    assert max(gaps[-75:]) < 0.3


async def test_who_is_unsubscribed_hears_nothing(
    talk: Talk,
    phone: Phone,
    agent: NearAgent,
    lk: api.LiveKitAPI,
    room_name: str,
    watcher_later: Watcher,
) -> None:
    """As in a transfer: with somebody else in the room."""
    agent.go_on_saying()
    await watcher_later.join()
    await agent.until(lambda: agent.by_room)
    await phone.rtp.until(lambda packets: loud(packets, 25) == 25)

    async def subscribe(on: bool) -> None:
        await lk.room.update_subscriptions(
            api.UpdateSubscriptionsRequest(
                room=room_name, identity=CALLER, track_sids=[agent.track_sid], subscribe=on
            )
        )

    await subscribe(False)
    await phone.rtp.until(lambda packets: loud(packets, 15) == 0)
    await subscribe(True)
    await phone.rtp.until(lambda packets: loud(packets, 15) == 15)


async def test_the_way_is_taken_once(talk: Talk, agent: NearAgent) -> None:
    token = agent.attributes(CALLER)[ATTRIBUTE]
    assert len(token) == 32
    assert agent.folder.accept(token, "second") is None


async def test_the_end_of_a_call_is_told(talk: Talk, agent: NearAgent) -> None:
    talk.send("BYE")
    await agent.until(lambda: bool(agent.over))
    assert agent.over == "bye"


async def test_an_inbound_call_is_answered_for_who_takes_the_way(
    sip: api.SipService, target: Target, phone: Phone, room_name: str
) -> None:
    """Before it has published anything; and no header of the caller's is taken for a token."""
    agent = NearAgent(target, room_name)
    await agent.join()
    number = f"+1777{secrets.randbelow(10**7):07d}"
    info = proto.SIPInboundTrunkInfo(
        numbers=[number], headers_to_attributes={"X-Way": ATTRIBUTE, "X-Other": "other"}
    )
    trunk = await sip.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=info))
    direct = proto.SIPDispatchRule(
        dispatch_rule_direct=proto.SIPDispatchRuleDirect(room_name=room_name)
    )
    made = proto.SIPDispatchRuleInfo(
        trunk_ids=[trunk.sip_trunk_id], rule=direct, attributes={ATTRIBUTE: "f" * 32}
    )
    rule = await sip.create_dispatch_rule(api.CreateSIPDispatchRuleRequest(dispatch_rule=made))
    extra = (("X-Way", "0" * 32), ("X-Other", "seen"))
    invite = phone.invite(target.sip_address, number, extra=extra)
    identity = "sip_+15550001"
    await agent.take(identity)
    answer = await phone.next("200 INVITE")
    assert isinstance(answer, Response)
    dialog = phone.establish(invite, answer)
    assert agent.attributes(identity)["other"] == "seen"
    phone.speak(dialog.rtp_to)
    await agent.heard(lambda pcm: peak(pcm[-SECOND // 4 :]) > LOUD)
    dialog.send("BYE")
    await agent.gone(identity)
    await agent.leave()
    gone = api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule.sip_dispatch_rule_id)
    await sip.delete_dispatch_rule(gone)
    await sip.delete_trunk(api.DeleteSIPTrunkRequest(sip_trunk_id=trunk.sip_trunk_id))


async def test_a_stranger_at_the_rtp_port_is_not_heard(
    talk: Talk, phone: Phone, agent: NearAgent
) -> None:
    phone.speak(talk.rtp_to, payload=SOFT)
    await agent.heard(lambda pcm: peak(pcm[-SECOND // 2 :]) > 300)
    stranger = Sender(TONE, "127.0.0.9")
    await stranger.start()
    stranger.send(talk.rtp_to)
    count = len(agent.pcm)
    heard = await agent.heard(lambda pcm: len(pcm) > count + SECOND)
    await stranger.stop()
    assert 300 < peak(heard[count:]) < LOUD


def _has_tone(packets: list[Packet], hertz: float) -> bool:
    """Whether a tone of at least a tenth of the usual loudness is in these packets."""
    pcm = b"".join(g711.decode(g711.PCMU, p.payload) or b"" for p in packets if p.payload_type == 0)
    samples = np.frombuffer(pcm, np.int16).astype(float)
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / 8_000)
    return bool(abs(samples @ wave) / max(1, len(samples)) > 450)
