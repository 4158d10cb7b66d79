"""A model that navigates a menu: keys sent once and in order, or told why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from livekit.agents.utils import http_context

from agent.session import Engines
from agent.tools.send_dtmf import STEP_S
from control_plane.domain.events import EndReason, KeysSent, Role
from control_plane.domain.providers import DedicatedModel, Provider, RealtimeModel
from tests.agent.asked import Asked, asked
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers, serving

pytestmark = pytest.mark.system

REALTIME = RealtimeModel(provider=Provider.OPENAI, realtime_model_id="gpt-realtime")
MENU = "For sales, press one. For billing, press two."


@pytest.fixture
async def servers() -> AsyncIterator[ProviderServers]:
    async with serving() as started, http_context.open():
        yield started


def presses(keys: str, when: str = "press") -> Rule:
    return Rule(when=when, tool=ToolCall(name="send_dtmf", arguments={"keys": keys}))


async def sent(call: Asked, count: int = 1) -> None:
    """Wait until keys were sent so often."""
    await call.told(lambda events: len([e for e in events if isinstance(e, KeysSent)]) == count)


async def pressed(call: Asked, keys: str) -> list[float]:
    """Return when these keys were pressed, and no others, once the last one is."""
    async with asyncio.timeout(10):
        while len(call.far_end.keys) < len(keys):
            await asyncio.sleep(0.05)
    assert "".join(key for _, key in call.far_end.keys) == keys
    return [at for at, _ in call.far_end.keys]


@pytest.mark.parametrize("model", [DedicatedModel("gpt-4.1"), REALTIME], ids=["text", "realtime"])
async def test_keys_and_pauses(
    servers: ProviderServers, engines: Engines, model: DedicatedModel | RealtimeModel
) -> None:
    servers.controls.rules(presses("2w1D#"), Rule(say="Yes."))
    async with asked(servers, engines, ivr_navigation_enabled=True, llm_model=model) as call:
        await call.says(MENU)
        await sent(call)
        # The other side speaks on, and every key is sent all the same.
        await call.says("Thank you.")
        times = await pressed(call, "21d#")
        gaps = [after - before for before, after in pairwise(times)]
        for gap, least_s in zip(gaps, (2 * STEP_S, STEP_S, STEP_S), strict=True):
            assert gap >= least_s - 0.05
        (tool,) = call.tools()
        assert (tool.tool_name, tool.tool_is_error) == ("send_dtmf", False)
        assert tool.tool_arguments == '{"keys": "2w1D#"}'


async def test_what_is_no_key_is_refused(servers: ProviderServers, engines: Engines) -> None:
    servers.controls.rules(
        Rule(when="is not made of keys", say="One moment, I say it in words."),
        presses("12x"),
    )
    async with asked(servers, engines, ivr_navigation_enabled=True) as call:
        await call.says(MENU)
        await call.told(
            lambda _: "in words" in " ".join(call.conversation.books.by[Role.ASSISTANT])
        )
        (tool,) = call.tools()
        assert tool.tool_is_error
        assert "'12x' is not made of keys" in (tool.tool_output or "")
        assert call.far_end.keys == []


async def test_a_browser_has_no_keypad(servers: ProviderServers, engines: Engines) -> None:
    servers.controls.rules(Rule(when="no telephone", say="In words, then."), presses("1"))
    async with asked(servers, engines, ivr_navigation_enabled=True) as call:
        call.far_end.is_telephone = False
        await call.says(MENU)
        await call.told(lambda _: bool(call.conversation.books.by[Role.ASSISTANT]))
        assert call.far_end.keys == []


async def test_a_loop_is_told(servers: ProviderServers, engines: Engines) -> None:
    servers.controls.rules(
        Rule(when="they came again", say="I would like to speak to somebody."), presses("9")
    )
    async with asked(servers, engines, ivr_navigation_enabled=True) as call:
        for count in (1, 2):
            await call.says(MENU)
            await sent(call, count)
        await call.says(MENU.replace("billing", "billings"))
        await call.told(lambda _: bool(call.conversation.books.by[Role.ASSISTANT]))
        assert [tool.tool_is_error for tool in call.tools()] == [False, False, True]
        await pressed(call, "99")


async def test_a_turn_is_skipped_without_a_word(servers: ProviderServers, engines: Engines) -> None:
    servers.controls.rules(
        Rule(when="please hold", tool=ToolCall(name="skip_turn")),
        Rule(when="goodbye", tool=ToolCall(name="end_call")),
    )
    async with asked(servers, engines, ivr_navigation_enabled=True) as call:
        await call.says("Please hold the line.")
        await call.told(lambda _: len(call.tools()) == 1)
        assert call.conversation.books.by[Role.ASSISTANT] == []
        await call.says("Nobody is here. Goodbye.")
        verdict = await call.conversation.over()
        assert verdict.reason is EndReason.TOOL_END_CALL
