"""What a call used: once each, by who did the work, whoever asked for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AgentSession, llm
from livekit.agents.metrics import RealtimeModelMetrics, STTMetrics
from livekit.agents.metrics.base import Metadata
from livekit.agents.utils import http_context

from agent.first_sentence import prepare
from agent.prompt import Texts
from agent.session import Parts
from agent.usage import UsageMeter
from control_plane.domain.assistant import FirstSentenceMode
from control_plane.domain.events import UsageCounted
from control_plane.domain.providers import CustomModel, DedicatedModel, RealtimeModel, Stt, Voice
from control_plane.domain.usage import Capability, ProviderUsage
from process.addresses import Allowed
from speech import limits
from speech.prewarm import load_offline
from speech.tables import make_llm, make_stt, make_tts
from tests.factories import call_brief
from tests.providers.behaviour import Behaviour
from tests.providers.script import Rule
from tests.providers.servers import KEY, ProviderServers, serving

pytestmark = pytest.mark.system

LOOPBACK = Allowed.parse("127.0.0.0/8")
SENTENCE = "We open at nine in the morning."


class Told:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[list[ProviderUsage]] = []

    def report(self, kind: Callable[..., Any], **facts: Any) -> None:
        event = kind(seq=1, at=0.0, **facts)
        assert isinstance(event, UsageCounted)
        self.told.append(event.parts)


@pytest.fixture
async def servers() -> AsyncIterator[ProviderServers]:
    """Return running provider servers, and give the plugins the HTTP session of a job."""
    async with serving() as started, http_context.open():
        started.controls.tone = True
        yield started


@pytest.fixture
async def made() -> AsyncIterator[list[Parts]]:
    """Return a list of parts that are closed with the test."""
    parts: list[Parts] = []
    yield parts
    for each in parts:
        await each.aclose()


def sums(servers: ProviderServers, capability: str) -> dict[str, int]:
    """Return the tokens that a model's answers told."""
    told = [entry.asked["usage"] for entry in servers.journal.entries(capability, "end")]
    return {
        "input_tokens": sum(each["prompt_tokens"] for each in told),
        "cached_input_tokens": sum(each["prompt_tokens_details"]["cached_tokens"] for each in told),
        "output_tokens": sum(each["completion_tokens"] for each in told),
    }


async def ask(model: llm.LLM[Any], text: str) -> None:
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are the night desk.")
    context.add_message(role="user", content=text)
    async with model.chat(chat_ctx=context, conn_options=limits.LLM) as stream:
        await stream.collect()


async def test_a_request_before_the_call_and_one_voice_in_two_parts_count_once(
    servers: ProviderServers, made: list[Parts]
) -> None:
    servers.controls.rules(Rule(say=SENTENCE))
    brief = call_brief(
        llm_model=DedicatedModel("gpt-4.1"),
        voice=Voice("voice-1", "cartesia"),
        first_sentence_mode=FirstSentenceMode.GENERATED,
    )
    model = make_llm(brief.assistant.llm_model, servers.access(), allowed=LOOPBACK)
    voice = make_tts(brief.assistant.voice, servers.access(), allowed=LOOPBACK)
    made.append(Parts(llm=model, tts=voice, stt=None, voice_aside=voice))
    usage, told = UsageMeter(), Told()
    usage.listen(made[0], brief)
    usage.report(told)  # nothing yet
    await prepare(brief, Texts(brief, datetime(2026, 3, 2, tzinfo=UTC)), model, voice)
    usage.report(told)
    usage.report(told)
    [nothing, (chat, speech)] = told.told
    assert nothing == []
    expected = sums(servers, "openai.chat")
    assert expected["output_tokens"] == len(SENTENCE.split())
    assert expected["cached_input_tokens"] > 0
    assert chat == ProviderUsage(
        capability=Capability.LLM, provider="openai", model="gpt-4.1", **expected
    )
    assert (speech.capability, speech.provider, speech.model) == ("tts", "cartesia", "sonic-3")
    assert speech.characters == len(SENTENCE)
    assert speech.audio_seconds > 0


async def test_the_one_that_answered_is_named(servers: ProviderServers, made: list[Parts]) -> None:
    custom = CustomModel(servers.custom_url, "mine", KEY)
    servers.controls.behave("openai.chat", Behaviour(status=500))
    servers.controls.behave("cartesia.tts", Behaviour(status=500))
    settings: dict[str, Any] = {
        "llm_model": DedicatedModel("gpt-4.1"),
        "llm_fallbacks": [custom],
        "voice": Voice("voice-1", "cartesia"),
        "voice_fallbacks": [Voice("voice-2", "elevenlabs")],
    }
    brief, access = call_brief(**settings), servers.access()
    model = make_llm(settings["llm_model"], access, fallbacks=[custom], allowed=LOOPBACK)
    voice = make_tts(
        settings["voice"], access, fallbacks=settings["voice_fallbacks"], allowed=LOOPBACK
    )
    assert isinstance(model, llm.LLM)
    made.append(Parts(llm=model, tts=voice, stt=None, voice_aside=voice))
    usage = UsageMeter()
    usage.listen(made[0], brief)
    await ask(model, "When do you open?")
    async with voice.synthesize(SENTENCE) as stream:
        await stream.collect()
    chat, speech = usage.counted()
    assert chat == ProviderUsage(
        capability=Capability.LLM, provider="custom", model="mine", **sums(servers, "custom.chat")
    )
    assert chat.output_tokens > 0
    assert (speech.provider, speech.model) == ("elevenlabs", "eleven_turbo_v2_5")
    assert speech.characters == len(SENTENCE)


async def test_a_recogniser_tells_seconds(servers: ProviderServers, made: list[Parts]) -> None:
    servers.controls.heard.replace("openai.stt", ["Hello."])
    recogniser = make_stt(Stt("openai"), servers.access(), allowed=LOOPBACK)
    model = make_llm(DedicatedModel("gpt-4.1"), servers.access(), allowed=LOOPBACK)
    made.append(Parts(llm=model, tts=None, stt=recogniser, voice_aside=None))
    usage = UsageMeter()
    usage.listen(made[0], call_brief())
    frame = rtc.AudioFrame(bytes(2 * 24_000), 16_000, 1, 24_000)  # 1.5 s
    await recogniser.recognize([frame])
    assert usage.counted() == [
        ProviderUsage(
            capability=Capability.STT,
            provider="openai",
            model="gpt-4o-mini-transcribe",
            audio_seconds=1.5,
        )
    ]


async def test_the_embedded_engines_count(made: list[Parts]) -> None:
    engines = load_offline()
    model, voice = make_llm(None, {}, engines=engines), make_tts(None, {}, engines=engines)
    assert isinstance(model, llm.LLM)
    made.append(Parts(llm=model, tts=voice, stt=None, voice_aside=voice))
    usage = UsageMeter()
    usage.listen(made[0], call_brief())
    await ask(model, "Hello.")
    async with voice.synthesize("Hello there.") as stream:
        await stream.collect()
    assert [(part.provider, part.model) for part in usage.counted()] == [
        ("offline", "scripted"),
        ("offline", "hibari-heart"),
    ]
    assert usage.counted()[1].characters == len("Hello there.")


async def test_a_realtime_model_tells_through_the_session(
    servers: ProviderServers, made: list[Parts]
) -> None:
    chosen = RealtimeModel("openai", "gpt-realtime")
    model = make_llm(chosen, servers.access(), allowed=LOOPBACK)
    made.append(Parts(llm=model, tts=None, stt=None, voice_aside=None))
    usage = UsageMeter()
    usage.listen(made[0], call_brief(llm_model=chosen))
    session: AgentSession[None] = AgentSession(llm=model, vad=None)
    usage.listen_to_session(session)
    assert usage.counted() == []
    host = Metadata(model_name="gpt-realtime", model_provider="127.0.0.1:1")
    response = RealtimeModelMetrics(
        request_id="1",
        timestamp=0.0,
        input_tokens=100,
        output_tokens=50,
        total_tokens=150,
        input_token_details=RealtimeModelMetrics.InputTokenDetails(
            audio_tokens=70,
            text_tokens=30,
            cached_tokens=40,
            cached_tokens_details=RealtimeModelMetrics.CachedTokenDetails(
                audio_tokens=25, text_tokens=15
            ),
        ),
        output_token_details=RealtimeModelMetrics.OutputTokenDetails(
            audio_tokens=45, text_tokens=5
        ),
        metadata=host,
    )
    heard = STTMetrics(
        label="",
        request_id="2",
        timestamp=0.0,
        duration=0.0,
        audio_duration=0.0,
        streamed=True,
        input_tokens=12,
        input_audio_tokens=11,
        output_tokens=3,
        metadata=Metadata(model_name="gpt-4o-mini-transcribe", model_provider="127.0.0.1:1"),
    )
    for metrics in (response, response, heard):
        session._usage_collector.collect(metrics)
    assert usage.counted() == [
        ProviderUsage(
            capability=Capability.REALTIME,
            provider="openai",
            model="gpt-realtime",
            input_tokens=200,
            cached_input_tokens=80,
            audio_input_tokens=140,
            cached_audio_input_tokens=50,
            output_tokens=100,
            audio_output_tokens=90,
        ),
        ProviderUsage(
            capability=Capability.STT,
            provider="openai",
            model="gpt-4o-mini-transcribe",
            input_tokens=12,
            audio_input_tokens=11,
            output_tokens=3,
        ),
    ]
