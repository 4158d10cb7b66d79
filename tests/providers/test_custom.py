"""A custom model is reached through the guard: refused, silent, slow and plain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APITimeoutError, llm

from control_plane.domain.providers import CustomModel
from process.addresses import AddressRefused, Allowed
from speech.tables import make_llm
from tests.providers.behaviour import Behaviour, Fault
from tests.providers.servers import KEY, ProviderServers

pytestmark = pytest.mark.system

LOOPBACK = Allowed.parse("127.0.0.0/8")
HURRIED = APIConnectOptions(max_retry=0, timeout=0.4)
ONCE = APIConnectOptions(max_retry=0, timeout=5.0)


async def ask(
    url: str, allowed: Allowed = LOOPBACK, options: APIConnectOptions = ONCE
) -> llm.CollectedResponse:
    model: Any = make_llm(CustomModel(url, "tiny", KEY), {}, allowed=allowed)
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hi")
    try:
        return await model.chat(chat_ctx=context, conn_options=options).collect()
    finally:
        await model.aclose()


async def test_an_address_that_is_allowed_answers(servers: ProviderServers) -> None:
    assert (await ask(servers.custom_url)).text == "You said: Hi."


async def test_a_private_address_is_refused_and_says_what_would_allow_it(
    servers: ProviderServers,
) -> None:
    with pytest.raises(APIConnectionError) as failed:
        await ask(servers.custom_url, Allowed())
    causes: list[BaseException] = [failed.value]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    (refused,) = [each for each in causes if isinstance(each, AddressRefused)]
    assert "OFFHOOK_ALLOW_PRIVATE=127.0.0.1" in str(refused)
    assert servers.journal.entries("custom.chat") == []


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.STALL])
async def test_silence_is_noticed_before_and_within_an_answer(
    servers: ProviderServers, fault: Fault
) -> None:
    servers.controls.behave("custom.chat", Behaviour(fault=fault))
    with pytest.raises(APITimeoutError):
        await ask(servers.custom_url, options=HURRIED)
    await asyncio.to_thread(servers.journal.wait, lambda entry: entry.event == "gone", 10.0)


async def test_an_answer_may_take_longer_than_its_silences(servers: ProviderServers) -> None:
    servers.controls.behave("custom.chat", Behaviour(gap_ms=700))
    options = APIConnectOptions(max_retry=0, timeout=2.0)
    assert (await ask(servers.custom_url, options=options)).text == "You said: Hi."


async def test_nobody_there_is_a_connection_error() -> None:
    with pytest.raises(APIConnectionError):
        await ask("http://127.0.0.1:9/v1")
