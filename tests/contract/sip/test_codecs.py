"""Calls in each codec: tones that 8 kHz cannot carry and keys, both ways, by either way."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import sip as proto

from sip.message import Request, Response
from tests.contract.sip.conftest import Admit, Target
from tests.contract.sip.near import NearAgent, tone
from tests.contract.sip.peer import SOFT, Packet, Phone, Talk, audio_formats
from tests.contract.sip.test_outbound import CALLER, dial
from tests.contract.sip.test_talking import keys
from tests.contract.sip.voice import G722, LOUD, OPUS, PCMU, WIDE_HZ, Voice, level
from tests.contract.sip.watcher import HEARD_RATE, Watcher
from tests.free_ports import block

pytestmark = pytest.mark.system


def only(*names: str) -> proto.SIPMediaConfig:
    return proto.SIPMediaConfig(
        only_listed_codecs=True, codecs=[proto.SIPCodec(name=name) for name in names]
    )


VOICES = [
    pytest.param(G722, proto.SIPMediaConfig(codecs=[proto.SIPCodec(name="G722")]), id="g722"),
    pytest.param(OPUS, proto.SIPMediaConfig(codecs=[proto.SIPCodec(name="opus")]), id="opus"),
]
NARROW_HZ = 1_000.0  # of TONE
INBOUND = "sip_+15550001"
PJMEDIA_LOUD = 2_000.0  # its G.722 is half as loud as libg722's and FFmpeg's
OPUS_111 = replace(OPUS, kind=111)


def hears(voice: Voice, hertz: float) -> Callable[[list[Packet]], bool]:
    """Whether the phone hears a tone."""
    return lambda packets: voice.heard(packets[-25:], hertz) > LOUD


async def call(
    sip: api.SipService, phone: Phone, request: proto.CreateSIPParticipantRequest, answer: str
) -> tuple[Talk, Request]:
    """Dial, and answer with these payload types."""
    calling = asyncio.create_task(sip.create_sip_participant(request))
    invite = await phone.request("INVITE")
    talk = phone.answer(invite, codecs=answer)
    await calling
    await phone.request("ACK")
    return talk, invite


async def hang_up(talk: Talk, watcher: Watcher, who: str = CALLER) -> None:
    talk.send("BYE")
    await watcher.gone(who)


@pytest.fixture
async def agent(target: Target, room_name: str) -> AsyncIterator[NearAgent]:
    if not target.embedded:
        pytest.skip("the short way is the embedded gateway's")
    made = NearAgent(target, room_name)
    await made.join()
    await made.publish_silence()
    yield made
    await made.leave()


async def test_the_offer(
    target: Target,
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    room_name: str,
) -> None:
    talk, invite = await call(sip, phone, dial(room_name, trunk), "0 101")
    wide = [] if target.embedded else ["9"]  # ours has a setting for it
    assert audio_formats(invite.body) == [*wide, "0", "8", "101"]
    await hang_up(talk, watcher)


@pytest.mark.parametrize(("voice", "media"), VOICES)
async def test_wideband_and_keys_through_the_room(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    room_name: str,
    target: Target,
    voice: Voice,
    media: proto.SIPMediaConfig,
) -> None:
    if voice is OPUS and not target.embedded:
        pytest.skip("LiveKit's own service has no Opus on the telephone's side")
    await watcher.publish(WIDE_HZ)
    talk, _ = await call(sip, phone, dial(room_name, trunk, media=media), f"{voice.kind} 101")
    await phone.rtp.until(hears(voice, WIDE_HZ))
    stamps = [packet.timestamp for packet in phone.rtp.packets]
    assert {after - before for before, after in itertools.pairwise(stamps)} == {voice.step}
    phone.speak_in(talk.rtp_to, voice.says(WIDE_HZ), voice.kind, voice.step)
    await watcher.until(lambda: level(watcher.sound[-HEARD_RATE:], HEARD_RATE, WIDE_HZ) > LOUD)
    phone.press(talk.rtp_to, 5)
    assert await watcher.pressed(1) == ["5"]
    await watcher.room.local_participant.publish_dtmf(code=1, digit="1#")
    await phone.rtp.until(lambda packets: len(keys(packets)) >= 2)
    assert keys(phone.rtp.packets) == [1, 11]
    await hang_up(talk, watcher)


@pytest.mark.parametrize(("voice", "media"), VOICES)
async def test_wideband_and_keys_by_the_short_way(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    agent: NearAgent,
    room_name: str,
    voice: Voice,
    media: proto.SIPMediaConfig,
) -> None:
    taking = asyncio.create_task(agent.take(CALLER))
    talk, _ = await call(sip, phone, dial(room_name, trunk, media=media), f"{voice.kind} 101")
    await taking
    assert agent.rate == 16_000
    agent.go_on_saying(WIDE_HZ)
    await phone.rtp.until(hears(voice, WIDE_HZ))
    phone.speak_in(talk.rtp_to, voice.says(WIDE_HZ), voice.kind, voice.step)
    await agent.heard(lambda pcm: level(pcm[-16_000:], 16_000, WIDE_HZ) > LOUD)
    phone.press(talk.rtp_to, 7)
    assert await agent.pressed(1) == ["7"]
    await agent.room.local_participant.publish_dtmf(code=1, digit="3")
    await phone.rtp.until(lambda packets: keys(packets) == [3])
    assert not any(peak > 300 for _, peak in agent.peaks), "nothing passes through the room"
    await hang_up(talk, agent)


async def test_a_narrow_answer_to_a_wide_offer_by_the_short_way(
    sip: api.SipService, phone: Phone, trunk: str, agent: NearAgent, room_name: str
) -> None:
    """The agent took the way before the phone chose: the gateway turns one rate into the other."""
    taking = asyncio.create_task(agent.take(CALLER))
    media = proto.SIPMediaConfig(codecs=[proto.SIPCodec(name="G722")])
    talk, _ = await call(sip, phone, dial(room_name, trunk, media=media), "0 101")
    await taking
    assert agent.rate == 16_000
    agent.go_on_saying(440.0)
    await phone.rtp.until(lambda packets: all(packet.loud for packet in packets[-25:]))
    phone.speak(talk.rtp_to, payload=SOFT)
    await agent.heard(lambda pcm: level(pcm[-16_000:], 16_000, NARROW_HZ) > 300)
    phone.press(talk.rtp_to, 7)
    assert await agent.pressed(1) == ["7"]
    await hang_up(talk, agent)


@pytest.mark.parametrize(
    ("media", "offered", "voice", "rate"),
    [
        (only("PCMU"), "0 9 101", PCMU, 8_000),
        (only("G722", "PCMU"), "0 9 101", G722, 16_000),
        (only("opus", "PCMU"), "0 111 101", OPUS_111, 16_000),
        (proto.SIPMediaConfig(), "111 110 101", OPUS_111, 16_000),
        (proto.SIPMediaConfig(), "111 9 101", G722, 16_000),
        (proto.SIPMediaConfig(), "9 111 0 101", PCMU, 8_000),
    ],
)
async def test_the_short_way_is_as_wide_as_the_callers_codec(
    target: Target,
    phone: Phone,
    admit: Admit,
    agent: NearAgent,
    media: proto.SIPMediaConfig,
    offered: str,
    voice: Voice,
    rate: int,
) -> None:
    """The codec is ours to choose, its payload type the caller's."""
    number, _, _ = await admit(media=media)
    invite = phone.invite(target.sip_address, number, codecs=offered)
    await agent.take(INBOUND)
    answer = await phone.next("200 INVITE")
    assert isinstance(answer, Response)
    talk = phone.establish(invite, answer)
    assert (agent.rate, audio_formats(answer.body)[0]) == (rate, str(voice.kind))
    hertz = WIDE_HZ if rate > 8_000 else NARROW_HZ
    agent.go_on_saying(hertz)
    await phone.rtp.until(hears(voice, hertz))
    phone.speak_in(talk.rtp_to, voice.says(hertz), voice.kind, voice.step)
    await agent.heard(lambda pcm: level(pcm[-rate:], rate, hertz) > LOUD)
    phone.press(talk.rtp_to, 5)
    assert await agent.pressed(1) == ["5"]
    await hang_up(talk, agent, INBOUND)


@pytest.mark.parametrize("way", ["room", "short way"])
async def test_another_codec_by_a_reinvite(
    target: Target,
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    agent: NearAgent,
    room_name: str,
    way: str,
) -> None:
    """All of them in one call: livekit-sip keeps the first, whatever a re-INVITE offers."""
    media = proto.SIPMediaConfig(codecs=[proto.SIPCodec(name=name) for name in ("G722", "opus")])
    short = way == "short way"
    agent.by_room = not short
    taking = asyncio.create_task(agent.take(CALLER)) if short else None
    talk, _ = await call(sip, phone, dial(room_name, trunk, media=media), "9 101")
    if taking is not None:
        await taking
        agent.go_on_saying(NARROW_HZ)
    else:
        await agent.tone_into_track(NARROW_HZ)

    async def both_hear(voice: Voice, hertz: float) -> None:
        phone.rtp.packets.clear()
        await phone.rtp.until(hears(voice, NARROW_HZ))
        phone.speak_in(talk.rtp_to, voice.says(hertz), voice.kind, voice.step)
        agent.sounds.clear()
        agent.sound = b""
        await agent.until(
            lambda: level((agent.pcm if short else agent.sound)[-16_000:], 16_000, hertz) > LOUD
        )
        await phone.hush()

    await both_hear(G722, WIDE_HZ)
    for voice, hertz in ((PCMU, NARROW_HZ), (OPUS_111, WIDE_HZ), (G722, WIDE_HZ)):
        sdp = (("Content-Type", "application/sdp"),)
        talk.send("INVITE", extra=sdp, body=phone.sdp(f"{voice.kind} 101"))
        answer = await phone.next("200 INVITE")
        talk.send("ACK", cseq=talk.cseq)
        assert audio_formats(answer.body)[0] == str(voice.kind)
        await both_hear(voice, hertz)
    assert phone.count("BYE") == 0
    await hang_up(talk, agent)


@pytest.mark.parametrize("way", ["room", "short way"])
async def test_a_phone_that_shares_no_codec_with_us(
    target: Target, admit: Admit, agent: NearAgent, tmp_path: Path, way: str
) -> None:
    """G.722 of PJMEDIA, where ours is libg722 and FFmpeg's."""
    said, heard, script = (tmp_path / name for name in ("said.wav", "heard.wav", "script.json"))
    write_wav(said, tone(4 * HEARD_RATE, HEARD_RATE, WIDE_HZ))
    script.write_text(json.dumps([{"say": str(said)}, {"hangup": True}]))
    number, _, _ = await admit()
    host, port = target.sip_address
    options = {
        "port": block(4), "record": heard, "script": script, "rate": HEARD_RATE, "codec": "G722",
        "call": f"sip:{number}@{host}:{port}",
    }  # fmt: skip
    calling = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.system.phone",
        *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    if way == "short way":
        await agent.take("sip_+12025550177")
        agent.go_on_saying(WIDE_HZ)
        await agent.heard(lambda pcm: level(pcm[-16_000:], 16_000, WIDE_HZ) > PJMEDIA_LOUD)
    else:
        await agent.tone_into_track(WIDE_HZ)
        await agent.until(lambda: level(agent.sound[-16_000:], HEARD_RATE, WIDE_HZ) > PJMEDIA_LOUD)
    await asyncio.wait_for(calling.wait(), 15)
    with wave.open(str(heard)) as file:
        assert file.getframerate() == HEARD_RATE
        assert (
            level(file.readframes(file.getnframes())[-64_000:], HEARD_RATE, WIDE_HZ) > PJMEDIA_LOUD
        )


def write_wav(path: Path, pcm: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(HEARD_RATE)
        file.writeframes(pcm)
