"""The real Cartesia, ElevenLabs and OpenAI STT against the servers, told what was spoken."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import aiohttp
import numpy as np
import pytest
from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    stt,
)
from livekit.agents.inference import VAD
from livekit.plugins import elevenlabs, openai

from control_plane.domain.providers import Stt
from process.addresses import Allowed
from speech.tables import make_stt
from tests.providers.behaviour import Behaviour, Fault
from tests.providers.conftest import next_event
from tests.providers.servers import KEY, ProviderServers
from tests.providers.sound import Sound

pytestmark = pytest.mark.system

LOOPBACK = Allowed.parse("127.0.0.0/8")

SENTENCE = "I would like to book an appointment."
ONCE = APIConnectOptions(max_retry=0, timeout=8.0)
RATE = 16_000
PAUSE = bytes(2 * RATE)  # 1 s
FINAL, INTERIM = stt.SpeechEventType.FINAL_TRANSCRIPT, stt.SpeechEventType.INTERIM_TRANSCRIPT
Kind = Literal["ink-2", "ink-whisper", "scribe-commit", "scribe-vad", "openai-realtime"]
KINDS: tuple[Kind, ...] = (
    "ink-2",
    "ink-whisper",
    "scribe-commit",
    "scribe-vad",
    "openai-realtime",
)


def recogniser_of(servers: ProviderServers, kind: Kind) -> stt.STT[Any]:
    access = servers.access()
    if kind == "scribe-vad":
        return elevenlabs.STT(
            model="scribe_v2_realtime",
            base_url=servers.elevenlabs_url,
            api_key=KEY,
            language_code="en",
            server_vad={"vad_silence_threshold_secs": 0.4},
        )
    if kind == "openai-realtime":
        return openai.STT(
            model="gpt-4o-mini-transcribe",
            use_realtime=True,
            base_url=servers.openai_url,
            api_key=KEY,
            turn_detection={"type": "server_vad", "silence_duration_ms": 350},
        )
    if kind == "scribe-commit":
        return make_stt(Stt("elevenlabs"), access, allowed=LOOPBACK)
    return make_stt(Stt("cartesia", model=kind), access, allowed=LOOPBACK)


def capability(kind: Kind) -> str:
    provider = {"ink": "cartesia", "scribe": "elevenlabs"}.get(kind.partition("-")[0], "openai")
    return f"{provider}.stt"


async def listen(
    recogniser: stt.STT[Any], pcm: bytes, kind: Kind, *, finals: int = 1, limit_s: float = 8.0
) -> list[stt.SpeechEvent]:
    """Return the events until there are `finals` final ones, or until the stream ends."""
    events: list[stt.SpeechEvent] = []
    async with recogniser.stream(conn_options=ONCE) as stream, asyncio.timeout(limit_s):
        for frame in frames_of(pcm):
            stream.push_frame(frame)
        if kind == "scribe-commit":
            stream.flush()
        async for event in stream:
            events.append(event)
            if sum(one.type is FINAL for one in events) == finals:
                break
    return events


def frames_of(pcm: bytes) -> list[rtc.AudioFrame]:
    step = RATE // 50 * 2
    parts = (pcm[at : at + step] for at in range(0, len(pcm), step))
    return [rtc.AudioFrame(part, RATE, 1, len(part) // 2) for part in parts]


def text_of(events: list[stt.SpeechEvent]) -> list[str]:
    return [event.alternatives[0].text for event in events if event.type is FINAL]


async def close(recogniser: stt.STT[Any]) -> None:
    """Close the recogniser; OpenAI's leaves its HTTP client open, which a test must not."""
    await recogniser.aclose()
    if isinstance(recogniser, openai.STT):
        await recogniser._client.close()


async def spoken(sound: Sound, *sentences: str) -> bytes:
    parts = [await sound.speak(sentence, RATE) for sentence in sentences]
    return PAUSE + PAUSE.join(parts) + PAUSE


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_spoken_is_told(servers: ProviderServers, sound: Sound, kind: Kind) -> None:
    recogniser = recogniser_of(servers, kind)
    (text,) = text_of(await listen(recogniser, await spoken(sound, SENTENCE), kind))
    assert "book an appointment" in text
    (request,) = servers.journal.entries(capability(kind), "request")
    assert request.asked["text"] == text
    await close(recogniser)


@pytest.mark.parametrize("kind", ["ink-2", "openai-realtime", "scribe-vad", "ink-whisper"])
async def test_two_utterances_are_two_turns(
    servers: ProviderServers, sound: Sound, kind: Kind
) -> None:
    recogniser = recogniser_of(servers, kind)
    pcm = await spoken(sound, SENTENCE, "On Monday, please.")
    first, second = text_of(await listen(recogniser, pcm, kind, finals=2))
    assert "appointment" in first
    assert "Monday" in second
    await close(recogniser)


@pytest.mark.parametrize("kind", KINDS)
async def test_scripted_texts_are_claimed_in_order(
    servers: ProviderServers, sound: Sound, kind: Kind
) -> None:
    servers.controls.hear(capability(kind), "First of all.", "And then.")
    recogniser = recogniser_of(servers, kind)
    pcm = await spoken(sound, SENTENCE)
    answers = [text_of(await listen(recogniser, pcm, kind)) for _ in range(2)]
    assert answers == [["First of all."], ["And then."]]
    await close(recogniser)


async def test_a_turn_starts_before_its_words(servers: ProviderServers, sound: Sound) -> None:
    recogniser = recogniser_of(servers, "ink-2")
    events = await listen(recogniser, await spoken(sound, SENTENCE), "ink-2")
    kinds = [event.type for event in events if event.alternatives or event.type is not FINAL]
    assert kinds[0] is stt.SpeechEventType.START_OF_SPEECH
    assert kinds.index(INTERIM) < kinds.index(FINAL)
    await close(recogniser)


@pytest.mark.parametrize("provider", ["openai", "elevenlabs"])
async def test_a_file_is_heard(
    servers: ProviderServers, sound: Sound, provider: Literal["openai", "elevenlabs"]
) -> None:
    model = {"openai": "gpt-4o-mini-transcribe", "elevenlabs": "scribe_v1"}[provider]
    recogniser = make_stt(Stt(provider, model=model), servers.access(), allowed=LOOPBACK)
    pcm = await spoken(sound, SENTENCE)
    event = await recogniser.recognize(frames_of(pcm), conn_options=ONCE)
    assert "appointment" in event.alternatives[0].text
    (request,) = servers.journal.entries(f"{provider}.stt", "request")
    assert model in (request.asked.get("model"), request.asked.get("model_id"))
    await close(recogniser)


@pytest.mark.parametrize("status", [401, 429, 500])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_status_at_the_door(
    servers: ProviderServers, sound: Sound, kind: Kind, status: int
) -> None:
    if status == 401:
        servers.controls.refuse_keys(KEY)
    servers.controls.behave(capability(kind), Behaviour(status=status))
    recogniser = recogniser_of(servers, kind)
    # OpenAI's plugin lets the handshake's own error through.
    refused = (APIStatusError, APIConnectionError, aiohttp.WSServerHandshakeError)
    with pytest.raises(refused) as failed:
        await listen(recogniser, PAUSE, kind)
    if isinstance(failed.value, APIStatusError):
        assert failed.value.status_code == status
    elif isinstance(failed.value, aiohttp.WSServerHandshakeError):
        assert failed.value.status == status
    await close(recogniser)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_dropped_connection_is_an_error(
    servers: ProviderServers, sound: Sound, kind: Kind
) -> None:
    servers.controls.behave(capability(kind), Behaviour(fault=Fault.DISCONNECT))
    recogniser = recogniser_of(servers, kind)
    with pytest.raises(APIError):
        await listen(recogniser, await spoken(sound, SENTENCE), kind)
    await close(recogniser)


@pytest.mark.parametrize("kind", KINDS)
async def test_garbage_and_silence_are_no_transcript(
    servers: ProviderServers, sound: Sound, kind: Kind
) -> None:
    pcm = await spoken(sound, SENTENCE)
    servers.controls.hear(capability(kind), "Heard.", "Heard.")
    recogniser = recogniser_of(servers, kind)
    for fault in (Fault.GARBAGE, Fault.SILENT):
        servers.controls.behave(capability(kind), Behaviour(fault=fault), times=1)
        with pytest.raises(TimeoutError):
            await listen(recogniser, pcm, kind, limit_s=1.0)
    await close(recogniser)


@pytest.mark.parametrize("kind", ["ink-whisper", "scribe-commit", "scribe-vad", "openai-realtime"])
async def test_duplicate_finals_come_twice(
    servers: ProviderServers, sound: Sound, kind: Kind
) -> None:
    servers.controls.hear(capability(kind), "Heard.")
    servers.controls.behave(capability(kind), Behaviour(fault=Fault.DUPLICATE_FINALS))
    recogniser = recogniser_of(servers, kind)
    events = await listen(recogniser, await spoken(sound, SENTENCE), kind, finals=2)
    assert text_of(events) == ["Heard.", "Heard."]
    await close(recogniser)


async def test_late_finals_are_late(servers: ProviderServers, sound: Sound) -> None:
    servers.controls.hear("cartesia.stt", "Heard.")
    late = Behaviour(fault=Fault.LATE_FINALS, late_ms=400)
    servers.controls.behave("cartesia.stt", late)
    recogniser = recogniser_of(servers, "ink-2")
    await listen(recogniser, await spoken(sound, SENTENCE), "ink-2")
    request, first_byte = servers.journal.entries("cartesia.stt")[1:3]
    assert first_byte.monotonic - request.monotonic >= 0.4
    await close(recogniser)


async def test_a_batch_recogniser_is_asked_before_the_turn_is_over(
    servers: ProviderServers, sound: Sound
) -> None:
    recogniser = make_stt(
        Stt("openai"), servers.access(), listening=VAD(min_silence_duration=1.0), allowed=LOOPBACK
    )
    usage: list[float] = []
    recogniser.on("metrics_collected", lambda told: usage.append(told.audio_duration))
    speech = PAUSE + await sound.speak("Hello.", RATE)
    async with recogniser.stream(conn_options=ONCE) as stream, asyncio.timeout(8.0):
        for frame in frames_of(speech + PAUSE[: len(PAUSE) // 4]):
            stream.push_frame(frame)
        guess = await anext(event async for event in stream if event.alternatives)
        assert guess.type is stt.SpeechEventType.PREFLIGHT_TRANSCRIPT
        asked = len(servers.journal.entries("openai.stt", "request"))
        for frame in frames_of(2 * PAUSE):
            stream.push_frame(frame)
        final = await anext(event async for event in stream if event.type is FINAL)
    assert final.alternatives[0].text == guess.alternatives[0].text
    assert len(servers.journal.entries("openai.stt", "request")) == asked == len(usage)
    assert all(0.3 < seconds < 2.5 for seconds in usage)
    await close(recogniser)


async def test_a_batch_recogniser_that_fails_in_a_call_gives_way_to_the_next(
    servers: ProviderServers, sound: Sound
) -> None:
    servers.controls.behave("openai.stt", Behaviour(fault=Fault.DISCONNECT))
    servers.controls.hear("cartesia.stt", "Heard by the other one.")
    recogniser = make_stt(
        Stt("openai"),
        servers.access(),
        fallbacks=[Stt("cartesia")],
        listening=VAD(),
        allowed=LOOPBACK,
    )
    gone = next_event(recogniser, "stt_availability_changed")
    speech = await spoken(sound, SENTENCE)
    async with recogniser.stream(conn_options=ONCE) as stream, asyncio.timeout(10.0):
        for frame in frames_of(speech):
            stream.push_frame(frame)
        assert (await gone).available is False
        for frame in frames_of(speech):
            stream.push_frame(frame)
        final = await anext(event async for event in stream if event.type is FINAL)
    assert final.alternatives[0].text == "Heard by the other one."
    await recogniser.aclose()


async def test_a_batch_recogniser_that_is_dropped_is_an_error(
    servers: ProviderServers, sound: Sound
) -> None:
    servers.controls.behave("openai.stt", Behaviour(fault=Fault.DISCONNECT))
    recogniser = make_stt(Stt("openai"), servers.access(), allowed=LOOPBACK)
    with pytest.raises(APIConnectionError):
        await recogniser.recognize(frames_of(PAUSE), conn_options=ONCE)
    await close(recogniser)


async def test_the_voice_is_audible_to_the_recogniser(sound: Sound) -> None:
    pcm = np.frombuffer(await sound.speak(SENTENCE, 8_000, volume=2.0), np.int16)
    half = np.frombuffer(await sound.speak(SENTENCE, 8_000, volume=1.0), np.int16)
    assert np.abs(pcm.astype(int)).mean() > 1.5 * np.abs(half.astype(int)).mean()
