"""The real OpenAI plugin against the chat server: text, tools, and every way to fail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    llm,
)

from control_plane.domain.providers import CustomModel, DedicatedModel, OpenRouterModel
from process.addresses import Allowed
from speech.tables import make_llm
from tests.providers.behaviour import HUGE_BYTES, Behaviour, Fault
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers

pytestmark = pytest.mark.system

ONCE = APIConnectOptions(max_retry=0, timeout=5.0)
HURRIED = APIConnectOptions(max_retry=0, timeout=0.3)
LOOPBACK = Allowed.parse("127.0.0.0/8")
MODEL = DedicatedModel("gpt-4.1")


@llm.function_tool
async def book(day: str) -> str:
    """Book a day."""
    return f"booked {day}"


@pytest.fixture
async def model(servers: ProviderServers) -> AsyncIterator[llm.LLM[Any]]:
    made: Any = make_llm(MODEL, servers.access(), allowed=LOOPBACK)
    yield made
    await made.aclose()


@pytest.fixture
def plugin(model: Any) -> llm.LLM[Any]:
    """Return the provider's plugin alone, which takes every answer on trust."""
    inner: llm.LLM[Any] = model.inner
    return inner


def said(text: str) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="Be brief.")
    context.add_message(role="user", content=text)
    return context


async def ask(
    model: llm.LLM[Any], context: llm.ChatContext, options: APIConnectOptions = ONCE
) -> llm.CollectedResponse:
    return await model.chat(chat_ctx=context, tools=[book], conn_options=options).collect()


async def test_what_was_said_is_repeated_in_pieces(
    servers: ProviderServers, model: llm.LLM[Any]
) -> None:
    texts = []
    usage = None
    async with model.chat(chat_ctx=said("I am late."), conn_options=ONCE) as stream:
        async for chunk in stream:
            usage = chunk.usage or usage
            if chunk.delta and chunk.delta.content:
                texts.append(chunk.delta.content)
    assert "".join(texts) == "You said: I am late."
    assert len(texts) == 5
    assert usage is not None
    assert usage.completion_tokens == 5
    request, first_byte, end = servers.journal.entries("openai.chat")
    assert (request.event, first_byte.event, end.event) == ("request", "first_byte", "end")
    assert (request.asked["model"], request.asked["text"]) == ("gpt-4.1", "I am late.")
    assert request.time <= first_byte.time <= end.time
    assert request.monotonic <= first_byte.monotonic <= end.monotonic


async def test_a_tool_is_called_and_its_result_answered(
    servers: ProviderServers, model: llm.LLM[Any]
) -> None:
    servers.controls.rules(
        Rule(when="booked Monday", say="It is done."),
        Rule(when="monday", tool=ToolCall(name="book", arguments={"day": "Monday"})),
    )
    context = said("On Monday, please.")
    (call,) = (await ask(model, context)).tool_calls
    assert (call.name, json.loads(call.arguments)) == ("book", {"day": "Monday"})
    result = await llm.execute_function_call(call, llm.ToolContext([book]))
    assert result.fnc_call_out is not None
    context.insert([result.fnc_call, result.fnc_call_out])
    assert (await ask(model, context)).text == "It is done."


async def test_a_rule_is_used_up_and_a_tool_that_is_not_offered_is_not_called(
    servers: ProviderServers, model: llm.LLM[Any]
) -> None:
    servers.controls.rules(
        Rule(tool=ToolCall(name="unknown")), Rule(say="Once.", times=1), Rule(say="Ever after.")
    )
    answers = [(await ask(model, said("Hello."))).text for _ in range(3)]
    assert answers == ["Once.", "Ever after.", "Ever after."]


async def test_each_provider_is_told_apart(servers: ProviderServers) -> None:
    access = servers.access()
    for wanted, capability, name in (
        (OpenRouterModel("meta-llama/llama-4", "groq"), "openrouter.chat", "meta-llama/llama-4"),
        (DedicatedModel("ministral-3-8b-instruct"), "mistral.chat", "ministral-8b-2512"),
        (CustomModel(servers.custom_url, "tiny", "secret"), "custom.chat", "tiny"),
    ):
        made: Any = make_llm(wanted, access, allowed=LOOPBACK)
        assert (await ask(made, said("Hi"))).text == "You said: Hi."
        (request,) = servers.journal.entries(capability, "request")
        assert request.asked["model"] == name
        await made.aclose()
    (routed,) = servers.journal.entries("openrouter.chat", "request")
    assert routed.asked["provider"] == {"order": ["groq"], "allow_fallbacks": False}


async def test_no_key_is_written_down(servers: ProviderServers, model: llm.LLM[Any]) -> None:
    await ask(model, said("Hi"))
    key = servers.access()[next(iter(servers.access()))].api_key
    async with httpx.AsyncClient(trust_env=False) as client:
        log = (await client.get(f"{servers.control_url}/log")).text
    assert "openai.chat" in log
    assert key not in log


async def test_a_refused_key_is_told_in_the_providers_words(
    servers: ProviderServers, model: llm.LLM[Any]
) -> None:
    servers.controls.refuse_keys(next(iter(servers.access().values())).api_key)
    with pytest.raises(APIStatusError) as refused:
        await ask(model, said("Hi"))
    assert refused.value.status_code == 401
    assert not refused.value.retryable
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["code"] == "invalid_api_key"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_status_is_a_retryable_error_and_passes(
    servers: ProviderServers, model: llm.LLM[Any], status: int
) -> None:
    servers.controls.behave("openai.chat", Behaviour(status=status), times=1)
    with pytest.raises(APIStatusError) as failed:
        await ask(model, said("Hi"))
    assert (failed.value.status_code, failed.value.retryable) == (status, True)
    assert (await ask(model, said("Hi"))).text == "You said: Hi."


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.STALL])
async def test_silence_is_a_timeout_and_ends_with_the_client(
    servers: ProviderServers, model: llm.LLM[Any], fault: Fault
) -> None:
    servers.controls.behave("openai.chat", Behaviour(fault=fault))
    with pytest.raises(APITimeoutError):
        await ask(model, said("Hi"), HURRIED)
    gone = servers.journal.entries("openai.chat", "gone")
    assert [entry.answer for entry in gone] == [
        entry.answer for entry in servers.journal.entries("openai.chat", "request")
    ]
    first_bytes = servers.journal.entries("openai.chat", "first_byte")
    assert len(first_bytes) == (1 if fault is Fault.STALL else 0)


@pytest.mark.parametrize("fault", [Fault.DISCONNECT, Fault.TRUNCATE, Fault.GARBAGE])
async def test_a_broken_answer_is_a_connection_error(
    servers: ProviderServers, model: llm.LLM[Any], fault: Fault
) -> None:
    servers.controls.behave("openai.chat", Behaviour(fault=fault))
    with pytest.raises(APIConnectionError):
        await ask(model, said("Hi"))


async def test_an_answer_ends_after_so_many_bytes(
    servers: ProviderServers, model: llm.LLM[Any]
) -> None:
    behaviour = Behaviour(fault=Fault.TRUNCATE, after_bytes=700)
    servers.controls.behave("openai.chat", behaviour)
    with pytest.raises(APIError):
        await ask(model, said("one two three four five six seven eight nine ten"))
    (end,) = servers.journal.entries("openai.chat", "end")
    assert end.asked["cut"]
    assert end.asked["bytes"] <= 700


@pytest.mark.parametrize("fault", [Fault.EMPTY, Fault.ZERO_BYTES])
async def test_an_empty_answer_says_nothing(
    servers: ProviderServers, plugin: llm.LLM[Any], fault: Fault
) -> None:
    servers.controls.behave("openai.chat", Behaviour(fault=fault))
    collected = await ask(plugin, said("Hi"))
    assert (collected.text, collected.tool_calls) == ("", [])


async def test_a_huge_answer_is_a_megabyte(servers: ProviderServers, plugin: llm.LLM[Any]) -> None:
    servers.controls.behave("openai.chat", Behaviour(fault=Fault.HUGE))
    assert len((await ask(plugin, said("Hi"))).text) >= HUGE_BYTES


async def test_an_endless_answer_ends_with_the_client(
    servers: ProviderServers, plugin: llm.LLM[Any]
) -> None:
    servers.controls.behave("openai.chat", Behaviour(fault=Fault.ENDLESS))
    got = 0
    stream = plugin.chat(chat_ctx=said("Hi"), conn_options=ONCE)
    async for _ in stream:
        got += 1
        if got == 500:
            break
    await stream.aclose()
    assert got == 500


async def test_latencies_are_kept(servers: ProviderServers, model: llm.LLM[Any]) -> None:
    servers.controls.behave("openai.chat", Behaviour(latency_ms=150, gap_ms=40))
    await ask(model, said("Hi"))
    request, first_byte, end = servers.journal.entries("openai.chat")
    assert first_byte.monotonic - request.monotonic >= 0.15
    assert end.monotonic - first_byte.monotonic >= 2 * 0.04


async def test_an_answer_that_is_not_streamed(servers: ProviderServers) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": "Bearer k"}
    async with httpx.AsyncClient(base_url=servers.openai_url, trust_env=False) as client:
        answer = await client.post("/chat/completions", json=body, headers=headers)
        models = await client.get("/models", headers=headers)
        keyless = await client.get("/models")
    assert answer.json()["choices"][0]["message"]["content"] == "You said: Hi."
    assert "gpt-4.1" in [model["id"] for model in models.json()["data"]]
    assert keyless.status_code == httpx.codes.UNAUTHORIZED
