"""The real OpenAI realtime plugin against the server: speech both ways, tools, interruptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import APIError, llm
from livekit.plugins import openai
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad

from control_plane.domain import providers as domain
from control_plane.domain.brief import ProviderAccess
from process.addresses import Allowed
from speech.tables import make_llm
from tests.providers.behaviour import Behaviour, Fault
from tests.providers.conftest import Hear, next_event
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import KEY, ProviderServers
from tests.providers.sound import Sound

pytestmark = pytest.mark.system

RATE = 24_000
LIMIT_S = 8.0
VAD = ServerVad(type="server_vad", create_response=True, interrupt_response=True)


@llm.function_tool
async def book(day: str) -> str:
    """Book a day."""
    return f"booked {day}"


@pytest.fixture
async def model(servers: ProviderServers) -> AsyncIterator[openai.realtime.RealtimeModel]:
    made = openai.realtime.RealtimeModel(
        base_url=servers.openai_url, api_key=KEY, voice="cedar", turn_detection=VAD
    )
    yield made
    await made.aclose()


@pytest.fixture
async def session(model: openai.realtime.RealtimeModel) -> AsyncIterator[Any]:
    opened = model.session()
    yield opened
    await opened.aclose()


class Heard:
    """What one message of the model's was."""

    def __init__(self, text: str, frames: list[rtc.AudioFrame]) -> None:
        self.text = text
        self.frames = frames


async def message_of(created: llm.GenerationCreatedEvent) -> Heard:
    async with asyncio.timeout(LIMIT_S):
        async for message in created.message_stream:
            text = "".join([piece async for piece in message.text_stream])
            return Heard(text, [frame async for frame in message.audio_stream])
    raise AssertionError("the model said nothing")


async def push(session: Any, sound: Sound, text: str) -> None:
    pcm = await sound.speak(text, RATE)
    silence = bytes(RATE * 2)
    data = silence + pcm + silence
    step = RATE // 50 * 2
    for at in range(0, len(data), step):
        part = data[at : at + step]
        session.push_audio(rtc.AudioFrame(part, RATE, 1, len(part) // 2))


async def test_it_greets_aloud(servers: ProviderServers, session: Any, hear: Hear) -> None:
    servers.controls.rules(Rule(say="Good morning, this is the clinic."))
    await session.update_instructions("You are a clinic.")
    said = await message_of(await session.generate_reply(instructions="Greet."))
    assert said.text == "Good morning, this is the clinic."
    assert "clinic" in await hear(rtc.combine_audio_frames(said.frames))
    (request,) = servers.journal.entries("openai.realtime", "request")
    assert request.asked["voice"] == "cedar"
    assert "Greet." in request.asked["instructions"]


async def test_what_is_spoken_is_transcribed_and_answered(
    servers: ProviderServers, session: Any, sound: Sound
) -> None:
    started = next_event(session, "input_speech_started")
    stopped = next_event(session, "input_speech_stopped")
    transcribed = next_event(session, "input_audio_transcription_completed")
    created = next_event(session, "generation_created")
    await push(session, sound, "I would like to book an appointment.")
    async with asyncio.timeout(LIMIT_S):
        await started
        await stopped
        assert "appointment" in (await transcribed).transcript
        said = await message_of(await created)
    assert said.text.startswith("You said: ")
    assert "appointment" in said.text


async def test_a_tool_round_trip(servers: ProviderServers, session: Any) -> None:
    servers.controls.rules(
        Rule(when="booked Monday", say="It is done."),
        Rule(when="monday", tool=ToolCall(name="book", arguments={"day": "Monday"})),
    )
    await session.update_tools([book])
    context = session.chat_ctx.copy()
    context.add_message(role="user", content="On Monday, please.")
    await session.update_chat_ctx(context)
    created = await session.generate_reply()
    async with asyncio.timeout(LIMIT_S):
        calls = [call async for call in created.function_stream]
    assert [(call.name, call.arguments) for call in calls] == [("book", '{"day": "Monday"}')]
    context = session.chat_ctx.copy()
    context.insert(
        llm.FunctionCallOutput(
            call_id=calls[0].call_id, name="book", output="booked Monday", is_error=False
        )
    )
    await session.update_chat_ctx(context)
    assert (await message_of(await session.generate_reply())).text == "It is done."


async def test_a_voice_cuts_an_answer_off(
    servers: ProviderServers, session: Any, sound: Sound
) -> None:
    servers.controls.tone = True
    servers.controls.rules(Rule(say="A long story. " * 5, times=1))
    servers.controls.behave("openai.realtime", Behaviour(gap_ms=200), times=1)
    created = await session.generate_reply()
    message = await anext(aiter(created.message_stream))
    await anext(aiter(message.audio_stream))
    await push(session, sound, "Stop, please.")
    cancelled = await asyncio.to_thread(
        servers.journal.wait, lambda entry: entry.event == "cancelled", LIMIT_S
    )
    assert cancelled.asked["reason"] == "turn_detected"
    session.truncate(message_id=message.message_id, modalities=["audio"], audio_end_ms=400)
    truncated = await asyncio.to_thread(
        servers.journal.wait, lambda entry: entry.event == "truncate", LIMIT_S
    )
    assert truncated.asked == {
        "item_id": message.message_id,
        "content_index": 0,
        "audio_end_ms": 400,
    }


async def test_the_client_cancels(servers: ProviderServers, session: Any) -> None:
    servers.controls.tone = True
    servers.controls.behave("openai.realtime", Behaviour(gap_ms=200))
    servers.controls.rules(Rule(say="A long story. " * 5))
    created = await session.generate_reply()
    message = await anext(aiter(created.message_stream))
    await anext(aiter(message.audio_stream))
    session.interrupt()
    cancelled = await asyncio.to_thread(
        servers.journal.wait, lambda entry: entry.event == "cancelled", LIMIT_S
    )
    assert cancelled.asked["reason"] == "client_cancelled"
    async with asyncio.timeout(LIMIT_S):
        assert len([frame async for frame in message.audio_stream]) < 30


async def test_a_failed_response_is_an_error(servers: ProviderServers, session: Any) -> None:
    servers.controls.tone = True
    await message_of(await session.generate_reply())
    servers.controls.behave("openai.realtime", Behaviour(status=500), times=1)
    failed = next_event(session, "error")
    await session.generate_reply()
    async with asyncio.timeout(LIMIT_S):
        assert (await failed).recoverable
    assert (await message_of(await session.generate_reply())).text


async def test_a_key_refused_during_the_session_ends_it(
    servers: ProviderServers, model: openai.realtime.RealtimeModel
) -> None:
    session = model.session()
    servers.controls.tone = True
    await message_of(await session.generate_reply())
    servers.controls.behave("openai.realtime", Behaviour(status=401), times=1)
    failed = next_event(session, "error")
    await session.generate_reply()
    async with asyncio.timeout(LIMIT_S):
        assert not (await failed).recoverable
    with pytest.raises(APIError):
        await session.aclose()


async def test_a_lost_connection_is_reconnected(servers: ProviderServers, session: Any) -> None:
    servers.controls.tone = True
    servers.controls.behave("openai.realtime", Behaviour(fault=Fault.DISCONNECT), times=1)
    session.generate_reply().add_done_callback(lambda done: done.cancelled() or done.exception())
    again = await asyncio.to_thread(
        servers.journal.wait,
        lambda _: len(servers.journal.entries("openai.realtime", "open")) == 2,
        LIMIT_S,
    )
    assert again.provider == "openai"


async def test_garbage_ends_the_session(
    servers: ProviderServers, model: openai.realtime.RealtimeModel
) -> None:
    """The plugin does not reconnect after a frame that is no JSON: it fails where it is closed."""
    session = model.session()
    servers.controls.behave("openai.realtime", Behaviour(fault=Fault.GARBAGE), times=1)
    await session.generate_reply()
    await asyncio.to_thread(servers.journal.wait, lambda entry: entry.event == "closed", LIMIT_S)
    with pytest.raises(json.JSONDecodeError):
        await session.aclose()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (None, None),
        (
            domain.ServerVad(threshold=0.5, prefix_padding_ms=250, silence_duration_ms=300),
            {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 250,
                "silence_duration_ms": 300,
            },
        ),
        (domain.ServerVad(silence_duration_ms=0), {"type": "server_vad", "silence_duration_ms": 0}),
        (domain.SemanticVad("low"), {"type": "semantic_vad", "eagerness": "low"}),
    ],
)
async def test_an_assistants_settings_reach_the_session(
    servers: ProviderServers, asked: Any, told: dict[str, Any] | None
) -> None:
    chosen = domain.RealtimeModel(
        "openai", "gpt-realtime", "coral", asked, 1.2, "far_field", max_output_tokens=400
    )
    keys = {domain.Provider.OPENAI: ProviderAccess(KEY, servers.openai_url)}
    made = make_llm(chosen, keys, allowed=Allowed.parse("127.0.0.0/8"))
    assert isinstance(made, llm.RealtimeModel)
    session = made.session()
    try:
        entry = await asyncio.to_thread(
            servers.journal.wait, lambda each: each.event == "session", LIMIT_S
        )
    finally:
        await session.aclose()
        await made.aclose()
    heard, spoken = entry.asked["audio"]["input"], entry.asked["audio"]["output"]
    answers = {"create_response": True, "interrupt_response": True}
    assert heard["turn_detection"] == (told | answers if told else None)
    assert heard["noise_reduction"] == {"type": "far_field"}
    assert (spoken["voice"], spoken["speed"]) == ("coral", 1.2)
    assert entry.asked["max_output_tokens"] == 400
    # Who tells turns: OpenAI, or the agent, which then commits them itself.
    assert made.capabilities.turn_detection is (told is not None)
