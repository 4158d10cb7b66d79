"""What a tool costs beside its own work: Offhook's conversation and a stock session, in turns.

A model at a provider server calls a tool that answers at once, and is asked again with the answer.
Measured is what lies between, where the model sees it: from the last byte of the call to the next
request. Text only: no sound waits for any of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from livekit.agents import Agent, AgentSession, function_tool, llm
from livekit.agents.utils import http_context
from livekit.plugins import openai

from agent.persona import Persona
from agent.prompt import Texts
from agent.session import Engines, Parts, build_session, load_vad
from bench import wire
from bench.arms import OURS, STOCK
from bench.beside import Cell, Found, Rows, compared, limited
from control_plane.domain.assistant import DedicatedModel
from speech.prewarm import load_offline
from speech.tables import make_llm
from tests.factories import call_brief
from tests.providers.journal import Entry
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import KEY, ProviderServers, in_background

TURNS, PER_CALL = 104, 8
MODEL = "gpt-4.1"
ASKED, FOUND, ANSWER = "Please look it up.", "It is nine o'clock.", "Nine."


@function_tool
async def look_up() -> str:
    """Look it up."""
    return FOUND


async def run() -> Rows:
    """Return the rows; takes a few seconds."""
    with in_background() as servers:
        servers.controls.rules(
            Rule(when=ASKED, tool=ToolCall(name="look_up")), Rule(when=FOUND, say=ANSWER)
        )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(http_context.open())
            sessions = {
                OURS: await stack.enter_async_context(ours(servers)),
                STOCK: await stack.enter_async_context(stock(servers)),
            }
            found: Cell = {arm: Found() for arm in sessions}
            for turn in range(TURNS):
                for arm, session in sessions.items():
                    if turn % PER_CALL == 0:
                        await session.current_agent.update_chat_ctx(llm.ChatContext.empty())
                    servers.journal.clear()
                    await session.run(user_input=ASKED)
                    found[arm].add(between_ms, servers.journal.entries("openai.chat"))
    what = "a tool's call → the next request with its answer, less the tool's own time"
    return compared("B7", what, found, {STOCK: 1}) + limited("B7", f"{what}, p95", found[OURS], 10)


def between_ms(entries: list[Entry]) -> float:
    """Return what lies between the end of the first answer and the second request."""
    ended = next((entry.monotonic for entry in entries if entry.event == "end"), None)
    asked = [entry.monotonic for entry in entries if entry.event == "request"]
    if ended is None or len(asked) != 2:
        raise wire.Discarded("no tool was called")
    return (asked[1] - ended) * 1000


@asynccontextmanager
async def ours(servers: ProviderServers) -> AsyncIterator[AgentSession[Any]]:
    """Yield a conversation as a call has it, but for its sound."""
    offline = load_offline()
    call = call_brief()
    parts = Parts(
        llm=make_llm(DedicatedModel(MODEL), servers.access()), tts=None, stt=None, voice_aside=None
    )
    session = build_session(
        parts, Engines(offline, load_vad()), call.assistant.turn_taking, call.assistant.language
    )
    persona = Persona(
        call,
        Texts(call, datetime.now(UTC)),
        first=None,
        is_speaking=lambda: False,
        on_end_call=lambda: None,
    )
    await session.start(agent=persona, record=False)
    await persona.update_tools([*persona.tools, look_up])
    yield session
    await session.aclose()
    await parts.aclose()
    offline.close()


@asynccontextmanager
async def stock(servers: ProviderServers) -> AsyncIterator[AgentSession[Any]]:
    """Yield a session as LiveKit's quick start has it."""
    model = openai.LLM(model=MODEL, api_key=KEY, base_url=servers.openai_url)
    session: AgentSession[None] = AgentSession(llm=model)
    await session.start(agent=Agent(instructions="You are the night desk.", tools=[look_up]))
    yield session
    await session.aclose()
    await model.aclose()
