"""The provider tables: what is built, and OpenAI's wire shape against a loopback server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, get_args

import pytest
from aiohttp import web
from livekit.agents import llm

from control_plane.domain.brief import ProviderAccess
from control_plane.domain.providers import (
    SERVICES,
    VOICE_PROVIDERS,
    CustomModel,
    DedicatedModel,
    OpenRouterModel,
    Provider,
    RealtimeProvider,
    Stt,
    SttProvider,
    Voice,
)
from process.addresses import Allowed
from speech.providers.access import ProviderKeyMissing
from speech.tables import OfflineNotLoaded, make_llm, make_stt, make_tts

pytestmark = pytest.mark.unit

SERVING = [
    *((name, "voice") for name in VOICE_PROVIDERS),
    *((name, "transcriber") for name in get_args(SttProvider) if name != "offline"),
    *((name, "realtime") for name in get_args(RealtimeProvider)),
]
LOOPBACK = Allowed.parse("127.0.0.0/8")
Chunks = list[dict[str, Any]]


@pytest.mark.parametrize(("name", "what"), SERVING)
def test_who_may_be_named_has_a_file_with_what_is_asked_for(name: str, what: str) -> None:
    assert callable(getattr(import_module(f"speech.providers.{name}"), what))


def test_who_has_voices_lists_them_and_no_other() -> None:
    listing = {provider.value for provider, row in SERVICES.items() if row.voices}
    assert listing == set(VOICE_PROVIDERS)


class Endpoint:
    """A loopback chat-completions server that streams `chunks` and keeps what it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.chunks: Chunks = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.keys.append(request.headers["Authorization"])
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for chunk in self.chunks:
            await answer.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await answer.write(b"data: [DONE]\n\n")
        return answer


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    served = Endpoint()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", served.chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    served.url = f"http://{host}:{port}/v1"
    yield served
    await runner.cleanup()


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def keys(*names: Provider, url: str | None = None) -> dict[Provider, ProviderAccess]:
    return {name: ProviderAccess(f"key-of-{name.value}", url) for name in names}


@llm.function_tool
async def book(day: str) -> str:
    """Book a day."""
    return day


async def ask(model: llm.LLM[Any]) -> llm.CollectedResponse:
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="Be brief.")
    context.add_message(role="user", content="Hello?")
    return await model.chat(chat_ctx=context, tools=[book]).collect()


async def test_text_is_streamed_from_a_custom_endpoint(endpoint: Endpoint) -> None:
    endpoint.chunks = [
        chunk({"role": "assistant", "content": "Good "}),
        chunk({"content": "day."}),
        chunk({}, "stop"),
    ]
    model = make_llm(CustomModel(endpoint.url, "tiny", "secret"), {}, allowed=LOOPBACK)
    assert (await ask(model)).text == "Good day."
    assert endpoint.keys == ["Bearer secret"]
    sent = endpoint.requests[0]
    assert (sent["model"], sent["stream"]) == ("tiny", True)
    assert [message["content"] for message in sent["messages"]] == ["Be brief.", "Hello?"]
    await model.aclose()


async def test_a_tool_call_is_assembled_from_its_pieces(endpoint: Endpoint) -> None:
    call = {
        "index": 0,
        "id": "t1",
        "type": "function",
        "function": {"name": "book", "arguments": ""},
    }
    endpoint.chunks = [
        chunk({"role": "assistant", "tool_calls": [call]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"day":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Monday"}'}}]}),
        chunk({}, "tool_calls"),
    ]
    model = make_llm(
        DedicatedModel("gpt-4.1"), keys(Provider.OPENAI, url=endpoint.url), allowed=LOOPBACK
    )
    called = (await ask(model)).tool_calls
    assert [(one.name, json.loads(one.arguments)) for one in called] == [
        ("book", {"day": "Monday"})
    ]
    assert endpoint.keys == ["Bearer key-of-openai"]
    await model.aclose()


async def test_openrouter_without_an_upstream_provider_takes_any(endpoint: Endpoint) -> None:
    endpoint.chunks = [chunk({"content": "Yes."}), chunk({}, "stop")]
    model = make_llm(
        OpenRouterModel("meta-llama/llama-4", ""),
        keys(Provider.OPENROUTER, url=endpoint.url),
        allowed=LOOPBACK,
    )
    await ask(model)
    assert endpoint.requests[0]["provider"] == {}
    await model.aclose()


async def test_openrouter_is_held_to_the_upstream_provider(endpoint: Endpoint) -> None:
    endpoint.chunks = [chunk({"content": "Yes."}), chunk({}, "stop")]
    model = make_llm(
        OpenRouterModel("meta-llama/llama-4", "groq"),
        keys(Provider.OPENROUTER, url=endpoint.url),
        allowed=LOOPBACK,
    )
    await ask(model)
    sent = endpoint.requests[0]
    assert sent["model"] == "meta-llama/llama-4"
    assert sent["provider"] == {"order": ["groq"], "allow_fallbacks": False}
    await model.aclose()


async def test_ministral_is_asked_of_mistral(endpoint: Endpoint) -> None:
    endpoint.chunks = [chunk({"content": "Oui."}), chunk({}, "stop")]
    model = make_llm(
        DedicatedModel("ministral-3-8b-instruct"),
        keys(Provider.MISTRAL, url=endpoint.url),
        allowed=LOOPBACK,
    )
    await ask(model)
    assert endpoint.keys == ["Bearer key-of-mistral"]
    assert endpoint.requests[0]["model"].startswith("ministral")
    await model.aclose()


async def test_without_an_override_each_goes_to_its_own_endpoint() -> None:
    for model, name, host in (
        (DedicatedModel("gpt-4.1"), Provider.OPENAI, "api.openai.com"),
        (DedicatedModel("ministral-3-8b-instruct"), Provider.MISTRAL, "api.mistral.ai"),
        (OpenRouterModel("a/b", "c"), Provider.OPENROUTER, "openrouter.ai"),
    ):
        built = make_llm(model, keys(name))
        assert built.provider == host
        await built.aclose()


@pytest.mark.parametrize(("provider", "rate"), [("cartesia", 24_000), ("elevenlabs", 24_000)])
async def test_cloud_voices_are_built(provider: Any, rate: int) -> None:
    built = make_tts(Voice("v1", provider, speed=1.1), keys(Provider(provider)))
    assert (built.sample_rate, built.capabilities.streaming) == (rate, True)
    await built.aclose()


@pytest.mark.parametrize("provider", ["openai", "cartesia", "elevenlabs"])
async def test_cloud_recognisers_are_built(provider: Any) -> None:
    built = make_stt(Stt(provider), keys(Provider(provider)))
    assert provider in built.label
    await built.aclose()


def test_a_missing_key_names_its_remedy() -> None:
    with pytest.raises(ProviderKeyMissing, match="offhook provider set cartesia") as missing:
        make_tts(Voice("v1", "cartesia"), {})
    assert missing.value.provider is Provider.CARTESIA
    with pytest.raises(ProviderKeyMissing, match="offhook provider set mistral"):
        make_llm(DedicatedModel("ministral-3-8b-instruct"), keys(Provider.OPENAI))
    with pytest.raises(ProviderKeyMissing, match="offhook provider set openai"):
        make_stt(Stt("openai"), {})


def test_offline_needs_the_engines_loaded() -> None:
    for build in (
        lambda: make_llm(None, {}),
        lambda: make_tts(None, {}),
        lambda: make_stt(Stt(), {}),
    ):
        with pytest.raises(OfflineNotLoaded):
            build()
