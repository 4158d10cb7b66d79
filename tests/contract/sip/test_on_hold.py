"""The far end puts a call on hold, and takes it back: by each kind of SDP, by each way of sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from livekit import api
from livekit.protocol import sip as proto

from sip import line
from tests.contract.sip.conftest import Target, end, gateway_plan
from tests.contract.sip.near import NearAgent
from tests.contract.sip.peer import LIMIT, Phone, Talk
from tests.contract.sip.test_outbound import CALLER, answered, dial
from tests.contract.sip.test_short_way import LOUD, SECOND, loud, peak
from tests.contract.sip.test_talking import keys
from tests.contract.sip.watcher import Watcher

pytestmark = pytest.mark.system
SDP = (("Content-Type", "application/sdp"),)
FRAMES = 50  # of 20 ms: a second
SILENT_S = 1  # the calls' own limit on a silent line
Held = tuple[str, str]  # what the far end offers, what it is answered
HOLDS = [("sendonly", "recvonly"), ("inactive", "inactive"), ("0.0.0.0", "sendrecv")]
Agent = Watcher | NearAgent


@pytest.fixture
async def agent(
    target: Target, room_name: str, request: pytest.FixtureRequest
) -> AsyncIterator[Agent]:
    """Whoever talks with the phone: through the room, or by the short way."""
    short = request.param == "short way"
    if short and not target.embedded:
        pytest.skip("the short way is the embedded gateway's own")
    made: Agent
    if short:
        made = NearAgent(target, room_name)
    else:
        made = Watcher(target.livekit_url, target.key, target.secret, room_name, "agent")
    await made.join()
    await (made.publish_silence(8_000) if short else made.publish())
    yield made
    await made.leave()


@pytest.fixture
async def talk(
    sip: api.SipService, phone: Phone, trunk: str, agent: Agent, room_name: str
) -> AsyncIterator[Talk]:
    """Both hear each other, on a call that a second of silence ends."""
    media = proto.SIPMediaConfig(media_timeout=Duration(seconds=SILENT_S))
    async with talking(sip, phone, agent, dial(room_name, trunk, media=media)) as dialog:
        yield dialog


@asynccontextmanager
async def talking(
    sip: api.SipService, phone: Phone, agent: Agent, asked: proto.CreateSIPParticipantRequest
) -> AsyncIterator[Talk]:
    """Have both hear each other."""
    taking = asyncio.create_task(agent.take(CALLER)) if isinstance(agent, NearAgent) else None
    calling = asyncio.create_task(sip.create_sip_participant(asked))
    dialog = phone.answer(await phone.request("INVITE"))
    phone.speak(dialog.rtp_to)
    await calling
    if taking is not None and isinstance(agent, NearAgent):
        await taking
        agent.go_on_saying()
    await both_hear(phone, agent)
    yield dialog
    await phone.hush()
    if phone.count("BYE") == 0:
        dialog.send("BYE")
        await agent.gone(CALLER)


async def both_hear(phone: Phone, agent: Agent) -> None:
    await phone.rtp.until(lambda packets: loud(packets, 25) == 25)
    if isinstance(agent, NearAgent):
        start = len(agent.pcm)
        await agent.heard(lambda pcm: peak(pcm[start:][-SECOND // 4 :]) > LOUD)
    else:
        await agent.hears()


async def reinvite(talk: Talk, phone: Phone, kind: str) -> list[str]:
    """Send a re-INVITE of this kind; return the lines of the answer's SDP."""
    body = phone.sdp("0 101", "sendrecv" if kind == "0.0.0.0" else kind)
    if kind == "0.0.0.0":
        body = body.replace(f"c=IN IP4 {phone.host}", "c=IN IP4 0.0.0.0")
    talk.send("INVITE", extra=SDP, body=body)
    answer = await phone.next("200 INVITE")
    talk.send("ACK", cseq=talk.cseq)
    return answer.body.decode().split("\r\n")


async def passes(agent: Agent, seconds: float) -> list[int]:
    """What the agent hears for so long, as peaks: a clock that goes with the sound."""
    if isinstance(agent, NearAgent):
        start = len(agent.pcm)
        wanted = start + seconds * SECOND
        pcm = await agent.heard(lambda pcm: len(pcm) >= wanted, seconds + LIMIT)
        return [peak(pcm[at : at + 320]) for at in range(start, len(pcm), 320)]
    begin = len(agent.peaks)
    await agent.until(lambda: len(agent.peaks) >= begin + seconds * FRAMES, seconds + LIMIT)
    return [level for _, level in agent.peaks[begin:]]


@pytest.mark.parametrize("agent", ["room", "short way"], indirect=True)
@pytest.mark.parametrize("kind", HOLDS, ids=[offered for offered, _ in HOLDS])
async def test_a_held_call_is_silent_both_ways_and_goes_on_after_it(
    talk: Talk, phone: Phone, agent: Agent, target: Target, kind: Held
) -> None:
    if not target.embedded:
        pytest.skip("LiveKit's service does not tell of a hold")
    offered, answer = kind
    assert f"a={answer}" in await reinvite(talk, phone, offered)
    await agent.until(lambda: line.is_on_hold(agent.attributes(CALLER)))
    before = len(phone.rtp.packets)
    if offered != "inactive":  # hold music goes on for a while
        assert max((await passes(agent, 1.0))[FRAMES // 2 :]) < 500, "music is not speech"
    await phone.hush()
    await passes(agent, 2.5 * SILENT_S)
    assert len(phone.rtp.packets) - before < 10, "what was on its way, and nothing else"
    assert phone.count("BYE") == 0
    last = phone.rtp.packets[-1]
    assert "a=sendrecv" in await reinvite(talk, phone, "sendrecv")
    await agent.until(lambda: not line.is_on_hold(agent.attributes(CALLER)))
    phone.speak(talk.rtp_to)
    await both_hear(phone, agent)
    since = [packet for packet in phone.rtp.packets if packet.at > last.at]
    assert (since[0].sequence - last.sequence) % 2**16 == 1
    passed = (since[0].timestamp - last.timestamp) % 2**32 / 8_000
    assert 0 < passed < since[0].at - last.at + 0.1
    assert {packet.source for packet in phone.rtp.packets} == {last.source}
    phone.press(talk.rtp_to, 7)
    assert await agent.pressed(1) == ["7"]
    await agent.room.local_participant.publish_dtmf(code=9, digit="9")
    await phone.rtp.until(lambda packets: keys(packets) == [9])


@pytest.mark.parametrize("agent", ["room", "short way"], indirect=True)
async def test_a_reinvite_to_another_address_is_followed(
    talk: Talk, phone: Phone, agent: Agent
) -> None:
    there = Phone("127.0.0.7")
    await there.start()
    talk.send("INVITE", extra=SDP, body=there.sdp("0 101"))
    await phone.next("200 INVITE")
    talk.send("ACK", cseq=talk.cseq)
    await there.rtp.until(lambda packets: loud(packets, 25) == 25)
    before = len(phone.rtp.packets)
    await phone.hush()
    there.speak(talk.rtp_to)
    await both_hear(there, agent)
    assert len(phone.rtp.packets) == before
    await there.stop()


@pytest.mark.parametrize("agent", ["room"], indirect=True)
async def test_a_hold_in_the_answer_to_an_invite_without_sdp_is_one(
    talk: Talk, phone: Phone, agent: Agent, target: Target
) -> None:
    if not target.embedded:
        pytest.skip("LiveKit's service does not tell of a hold")
    talk.send("INVITE")
    offer = await phone.next("200 INVITE")
    assert b"a=sendrecv" in offer.body
    talk.send("ACK", cseq=talk.cseq, extra=SDP, body=phone.sdp("0 101", "sendonly"))
    await agent.until(lambda: line.is_on_hold(agent.attributes(CALLER)))
    await phone.hush()
    await passes(agent, 2.5 * SILENT_S)
    assert phone.count("BYE") == 0


async def test_people_hear_the_music_of_a_hold(
    sip: api.SipService, target: Target, phone: Phone, trunk: str, watcher: Watcher, room_name: str
) -> None:
    """As when a human to whom the person was passed on puts them on hold."""
    if not target.embedded:
        pytest.skip("LiveKit's service does not tell of a hold")
    agent = Watcher(target.livekit_url, target.key, target.secret, room_name, "agent")
    await agent.join()
    talk, _, _ = await answered(sip, phone, dial(room_name, trunk))
    phone.speak(talk.rtp_to)
    await watcher.hears()
    await reinvite(talk, phone, "sendonly")
    await watcher.until(lambda: line.is_on_hold(watcher.attributes(CALLER)))
    assert max((await passes(watcher, 1.0))[FRAMES // 2 :]) < 500
    await agent.leave()
    await watcher.hears()
    talk.send("BYE")
    await watcher.gone(CALLER)


async def test_a_hold_has_a_limit_of_its_own(target: Target, phone: Phone, tmp_path: Path) -> None:
    if not target.embedded:
        pytest.skip("about the embedded gateway")
    plan = gateway_plan(target.livekit_url, tmp_path, OFFHOOK_SIP_HOLD_TIMEOUT="2")
    gateway = await asyncio.to_thread(plan.start, tmp_path / "log")
    client = api.LiveKitAPI(plan.api, target.key, target.secret, failover=False)
    watcher = Watcher(target.livekit_url, target.key, target.secret, "held too long")
    try:
        await watcher.join()
        asked = dial("held too long", "", sip_number="+15550100")
        asked.trunk.hostname = phone.address
        talk, _, _ = await answered(client.sip, phone, asked)
        phone.speak(talk.rtp_to)  # music, for as long as nobody is back
        held_at = asyncio.get_running_loop().time()
        await reinvite(talk, phone, "sendonly")
        await phone.request("BYE")
        waited = asyncio.get_running_loop().time() - held_at
        assert 2.0 <= waited < 3.5
        await watcher.gone(CALLER)
        told = [f"on hold for {seconds} s" for seconds in range(2, round(waited) + 1)]
        assert line.why_lost(watcher.attributes(CALLER)) in told
    finally:
        await watcher.leave()
        await client.aclose()
        await asyncio.to_thread(end, gateway)
