"""The real Cartesia, ElevenLabs and OpenAI voices, heard by the embedded recogniser."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import httpx
import numpy as np
import pytest
from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    tts,
)
from livekit.plugins import elevenlabs, openai

from control_plane.domain.providers import Voice
from process.addresses import Allowed
from speech.tables import make_tts
from tests.providers.behaviour import Behaviour, Fault
from tests.providers.conftest import Hear
from tests.providers.servers import KEY, ProviderServers

pytestmark = pytest.mark.system

LOOPBACK = Allowed.parse("127.0.0.0/8")

SENTENCE = "Your appointment is on Monday at nine."
ONCE = APIConnectOptions(max_retry=0, timeout=8.0)
HURRIED = APIConnectOptions(max_retry=0, timeout=0.3)
VOICES: tuple[Literal["cartesia", "elevenlabs"], ...] = ("cartesia", "elevenlabs")
both = pytest.mark.parametrize("provider", VOICES)

Provider = Literal["cartesia", "elevenlabs"]


def voice_of(servers: ProviderServers, provider: Provider, **settings: float) -> tts.TTS[Any]:
    return make_tts(Voice("voice-1", provider, **settings), servers.access(), allowed=LOOPBACK)


async def speak(
    voice: tts.TTS[Any], text: str = SENTENCE, options: APIConnectOptions = ONCE
) -> rtc.AudioFrame:
    frames = []
    async with voice.stream(conn_options=options) as stream:
        stream.push_text(text)
        stream.end_input()
        frames = [event.frame async for event in stream]
    return rtc.combine_audio_frames(frames)


def loudness(frame: rtc.AudioFrame) -> float:
    return float(np.sqrt(np.mean(np.frombuffer(frame.data, np.int16).astype(float) ** 2)))


def pitch(frame: rtc.AudioFrame) -> float:
    """Return the strongest frequency, in Hz."""
    wave = np.frombuffer(frame.data, np.int16).astype(float)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(wave.size)))
    return float(np.argmax(spectrum)) * frame.sample_rate / wave.size


@both
async def test_a_streamed_sentence_is_understood(
    servers: ProviderServers, hear: Hear, provider: Provider
) -> None:
    voice = voice_of(servers, provider)
    frame = await speak(voice)
    assert loudness(frame) > 300
    text = await hear(frame)
    assert "appointment" in text
    assert "Monday" in text
    (request,) = servers.journal.entries(f"{provider}.tts", "request")
    assert (request.asked["voice"], request.asked["language"]) == ("voice-1", "en")
    assert request.asked["text"].strip() == SENTENCE
    await voice.aclose()


@both
async def test_a_whole_sentence_is_understood(
    servers: ProviderServers, hear: Hear, provider: Provider
) -> None:
    voice = voice_of(servers, provider)
    assert "appointment" in await hear(await voice.synthesize(SENTENCE).collect())
    await voice.aclose()


@both
async def test_two_replies_share_a_connection(servers: ProviderServers, provider: Provider) -> None:
    servers.controls.tone = True
    voice = voice_of(servers, provider)
    await speak(voice, "One sentence. And another one, which is longer.")
    await speak(voice)
    assert len(servers.journal.entries(f"{provider}.tts", "open")) == 1
    requests = servers.journal.entries(f"{provider}.tts", "request")
    assert len(requests) == 2
    assert len(servers.journal.entries(f"{provider}.tts", "end")) == 2
    await voice.aclose()


@pytest.mark.shows("voice")
async def test_speed_and_volume_are_heard(servers: ProviderServers) -> None:
    servers.controls.tone = True
    plain = voice_of(servers, "cartesia", speed=1.0, volume=1.0)
    changed = voice_of(servers, "cartesia", speed=1.5, volume=0.5)
    before, after = await speak(plain), await speak(changed)
    assert after.duration == pytest.approx(before.duration / 1.5, rel=0.03)
    assert loudness(after) == pytest.approx(loudness(before) / 2, rel=0.03)
    assert pitch(before) == pytest.approx(440, rel=0.02)
    assert pitch(after) == pytest.approx(660, rel=0.02)
    assert servers.journal.entries("cartesia.tts", "request")[1].asked["volume"] == 0.5
    for voice in (plain, changed):
        await voice.aclose()


async def test_elevenlabs_hears_its_speed(servers: ProviderServers) -> None:
    servers.controls.tone = True
    plain, faster = voice_of(servers, "elevenlabs"), voice_of(servers, "elevenlabs", speed=1.2)
    before, after = await speak(plain), await speak(faster)
    assert after.duration == pytest.approx(before.duration / 1.2, rel=0.03)
    for voice in (plain, faster):
        await voice.aclose()


@both
async def test_a_status_at_the_door(servers: ProviderServers, provider: Provider) -> None:
    servers.controls.behave(f"{provider}.tts", Behaviour(status=429), times=1)
    voice = voice_of(servers, provider)
    with pytest.raises(APIStatusError) as refused:
        await speak(voice)
    assert refused.value.status_code == 429
    assert loudness(await speak(voice)) > 300
    await voice.aclose()


@both
async def test_an_error_on_an_open_connection(servers: ProviderServers, provider: Provider) -> None:
    servers.controls.tone = True
    voice = voice_of(servers, provider)
    await speak(voice)
    servers.controls.behave(f"{provider}.tts", Behaviour(status=500), times=1)
    with pytest.raises(APIError):
        await speak(voice)
    await voice.aclose()


@both
async def test_a_refused_key(servers: ProviderServers, provider: Provider) -> None:
    servers.controls.refuse_keys(KEY)
    voice = voice_of(servers, provider)
    with pytest.raises(APIStatusError) as refused:
        await speak(voice)
    assert refused.value.status_code == 401
    await voice.aclose()


@both
async def test_a_voice_that_hangs_is_a_timeout(
    servers: ProviderServers, provider: Provider
) -> None:
    servers.controls.behave(f"{provider}.tts", Behaviour(fault=Fault.HANG))
    voice = voice_of(servers, provider)
    with pytest.raises((APITimeoutError, APIStatusError), match=r"timed out|synthesize"):
        await speak(voice, options=HURRIED)
    await voice.aclose()


async def test_a_voice_that_stalls_is_a_timeout(servers: ProviderServers) -> None:
    servers.controls.tone = True
    servers.controls.behave("cartesia.tts", Behaviour(fault=Fault.STALL, after=2))
    voice = voice_of(servers, "cartesia")
    with pytest.raises(APITimeoutError):
        await speak(voice, options=HURRIED)
    await voice.aclose()


@both
@pytest.mark.parametrize("fault", [Fault.DISCONNECT, Fault.TRUNCATE, Fault.GARBAGE])
async def test_a_broken_voice_is_an_error(
    servers: ProviderServers, provider: Provider, fault: Fault
) -> None:
    servers.controls.tone = True
    servers.controls.behave(f"{provider}.tts", Behaviour(fault=fault))
    voice = voice_of(servers, provider)
    with pytest.raises((APIConnectionError, APIStatusError)):
        await speak(voice)
    await voice.aclose()


@both
@pytest.mark.parametrize("fault", [Fault.ZERO_BYTES, Fault.EMPTY])
async def test_a_voice_without_sound_is_an_error(
    servers: ProviderServers, provider: Provider, fault: Fault
) -> None:
    servers.controls.tone = True
    servers.controls.behave(f"{provider}.tts", Behaviour(fault=fault))
    voice = voice_of(servers, provider)
    with pytest.raises(APIError):
        await speak(voice, options=HURRIED)
    await voice.aclose()


async def test_a_wrong_sample_rate_sounds_wrong(servers: ProviderServers) -> None:
    servers.controls.tone = True
    servers.controls.behave("cartesia.tts", Behaviour(sample_rate=12_000))
    voice = voice_of(servers, "cartesia")
    assert pitch(await speak(voice)) == pytest.approx(880, rel=0.02)
    await voice.aclose()


async def test_a_huge_reply_is_a_megabyte_of_sound(servers: ProviderServers) -> None:
    servers.controls.tone = True
    servers.controls.behave("cartesia.tts", Behaviour(fault=Fault.HUGE))
    voice = voice_of(servers, "cartesia")
    assert len(bytes((await speak(voice)).data)) >= 1_000_000
    await voice.aclose()


async def test_an_endless_reply_is_cut_off(servers: ProviderServers) -> None:
    servers.controls.tone = True
    servers.controls.behave("cartesia.tts", Behaviour(fault=Fault.ENDLESS, gap_ms=1))
    voice = voice_of(servers, "cartesia")
    seconds = 0.0
    async with voice.stream(conn_options=ONCE) as stream:
        stream.push_text("Hi.")
        stream.end_input()
        async for event in stream:
            seconds += event.frame.duration
            if seconds > 30:
                break
    await voice.aclose()
    closed = await asyncio.to_thread(
        servers.journal.wait, lambda entry: entry.event == "closed", 5.0
    )
    assert closed.capability == "cartesia.tts"


@pytest.mark.parametrize("form", ["pcm", "mp3", "wav", "opus"])
async def test_openai_speaks(servers: ProviderServers, hear: Hear, form: str) -> None:
    voice = openai.TTS(
        model="gpt-4o-mini-tts", base_url=servers.openai_url, api_key=KEY, response_format=form
    )
    assert "appointment" in await hear(await voice.synthesize(SENTENCE).collect())
    await voice.aclose()


async def test_elevenlabs_speaks_mp3(servers: ProviderServers, hear: Hear) -> None:
    voice = elevenlabs.TTS(
        base_url=servers.elevenlabs_url, api_key=KEY, encoding="mp3_22050_32", voice_id="v"
    )
    assert "appointment" in await hear(await speak(voice))
    assert [one.name for one in await voice.list_voices()] == ["Sarah", "George"]
    await voice.aclose()


async def test_voices_are_listed(servers: ProviderServers) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        cartesia = await client.get(f"{servers.cartesia_url}/voices", headers={"X-API-Key": "k"})
        keyless = await client.get(f"{servers.cartesia_url}/voices")
    assert [voice["name"] for voice in cartesia.json()["data"]] == ["Katie", "Jameson"]
    assert keyless.json()["status_code"] == httpx.codes.UNAUTHORIZED
