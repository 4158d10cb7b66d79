"""The real Google Live plugin against the server: speech both ways, tools, interruptions."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.genai.types import HttpOptions
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, llm
from livekit.plugins import google

from process.addresses import Allowed
from process.safe_websocket import connection_to
from tests.providers.behaviour import Behaviour, Fault
from tests.providers.conftest import Hear, next_event
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import KEY, ProviderServers
from tests.providers.sound import Sound

pytestmark = [
    pytest.mark.system,
    # The plugin still sets what Google's own client has deprecated.
    pytest.mark.filterwarnings("ignore:Setting `LiveConnectConfig:DeprecationWarning"),
]

LIMIT_S = 8.0
LOOPBACK = Allowed.parse("127.0.0.0/8")
HEARD_RATE = 16_000


@llm.function_tool
async def book(day: str) -> str:
    """Book a day."""
    return f"booked {day}"


def model_at(servers: ProviderServers) -> google.realtime.RealtimeModel:
    tls = ssl.create_default_context(cafile=str(servers.ca_file))
    return google.realtime.RealtimeModel(
        model="gemini-2.5-flash-native-audio-preview-12-2025",
        api_key=KEY,
        voice="Kore",
        language="en-US",
        conn_options=APIConnectOptions(max_retry=1, retry_interval=0.05, timeout=5.0),
        http_options=HttpOptions(
            base_url=servers.google_url,
            async_client_args={"ssl": tls, "create_connection": connection_to(LOOPBACK)},
        ),
    )


@pytest.fixture
async def session(servers: ProviderServers) -> AsyncIterator[Any]:
    model = model_at(servers)
    opened = model.session()
    yield opened
    await opened.aclose()
    await model.aclose()


async def message_of(created: llm.GenerationCreatedEvent) -> tuple[str, list[rtc.AudioFrame]]:
    async with asyncio.timeout(LIMIT_S):
        async for message in created.message_stream:
            frames = [frame async for frame in message.audio_stream]
            return "".join([piece async for piece in message.text_stream]), frames
    raise AssertionError("the model said nothing")


async def push(session: Any, sound: Sound, text: str) -> None:
    silence = bytes(2 * HEARD_RATE)
    data = silence + await sound.speak(text, HEARD_RATE) + silence
    step = HEARD_RATE // 50 * 2
    for at in range(0, len(data), step):
        part = data[at : at + step]
        session.push_audio(rtc.AudioFrame(part, HEARD_RATE, 1, len(part) // 2))


async def test_it_speaks_by_instructions(
    servers: ProviderServers, session: Any, hear: Hear
) -> None:
    servers.controls.rules(Rule(when="greet", say="Good morning, this is the clinic."))
    text, frames = await message_of(await session.generate_reply(instructions="Greet them."))
    assert text == "Good morning, this is the clinic."
    assert "clinic" in await hear(rtc.combine_audio_frames(frames))
    (request,) = servers.journal.entries("google.realtime", "request")
    assert (request.asked["voice"], request.asked["language"]) == ("Kore", "en-US")
    assert request.asked["model"].endswith("gemini-2.5-flash-native-audio-preview-12-2025")


async def test_what_is_spoken_is_transcribed_and_answered(
    servers: ProviderServers, session: Any, sound: Sound
) -> None:
    created = next_event(session, "generation_created")
    transcribed = next_event(session, "input_audio_transcription_completed")
    await push(session, sound, "I would like to book an appointment.")
    async with asyncio.timeout(LIMIT_S):
        text, _frames = await message_of(await created)
        assert "appointment" in (await transcribed).transcript
    assert text.startswith("You said: ")
    assert "appointment" in text


async def test_a_tool_round_trip(servers: ProviderServers) -> None:
    servers.controls.tone = True
    model = model_at(servers)
    session: Any = model.session()  # not the fixture's: new tools on an open session reopen it
    servers.controls.rules(
        Rule(when="booked Monday", say="It is done."),
        Rule(when="greet", tool=ToolCall(name="book", arguments={"day": "Monday"})),
    )
    await session.update_tools([book])
    created = await session.generate_reply(instructions="Greet them.")
    async with asyncio.timeout(LIMIT_S):
        calls = [call async for call in created.function_stream]
    assert [(call.name, call.arguments) for call in calls] == [("book", '{"day": "Monday"}')]
    answered = next_event(session, "generation_created")
    context = session.chat_ctx.copy()
    result = llm.FunctionCallOutput(
        call_id=calls[0].call_id, name="book", output="booked Monday", is_error=False
    )
    context.items.extend([calls[0], result])
    await session.update_chat_ctx(context)
    async with asyncio.timeout(LIMIT_S):
        text, _frames = await message_of(await answered)
    assert text == "It is done."
    await session.aclose()
    await model.aclose()


async def test_a_voice_cuts_an_answer_off(
    servers: ProviderServers, session: Any, sound: Sound
) -> None:
    servers.controls.tone = True
    servers.controls.rules(Rule(say="A long story. " * 5, times=1))
    servers.controls.behave("google.realtime", Behaviour(gap_ms=200), times=1)
    created = await session.generate_reply()
    message = await anext(aiter(created.message_stream))
    await anext(aiter(message.audio_stream))
    interrupted = next_event(session, "input_speech_started")
    await push(session, sound, "Stop, please.")
    async with asyncio.timeout(LIMIT_S):
        await interrupted
    assert servers.journal.entries("google.realtime", "cancelled")


async def test_a_lost_connection_is_told_and_opened_again(
    servers: ProviderServers, session: Any
) -> None:
    servers.controls.tone = True
    await message_of(await session.generate_reply())
    servers.controls.behave("google.realtime", Behaviour(fault=Fault.DISCONNECT), times=1)
    failed = next_event(session, "error")
    session.generate_reply().add_done_callback(lambda done: done.cancelled() or done.exception())
    async with asyncio.timeout(LIMIT_S):
        assert (await failed).recoverable
    await asyncio.to_thread(
        servers.journal.wait,
        lambda _: len(servers.journal.entries("google.realtime", "open")) == 2,
        LIMIT_S,
    )


@pytest.mark.parametrize("status", [401, 503])
async def test_a_refusal_at_the_door_is_final(servers: ProviderServers, status: int) -> None:
    if status == 401:
        servers.controls.refuse_keys(KEY)
    else:
        servers.controls.behave("google.realtime", Behaviour(status=status))
    model = model_at(servers)
    session = model.session()
    failed = next_event(session, "error")
    async with asyncio.timeout(LIMIT_S):
        assert not (await failed).recoverable
    with pytest.raises(APIConnectionError):
        await session._main_atask
    await session.aclose()
    await model.aclose()
