"""What a tool costs beside its own work: Offhook's conversation and a stock session, in turns.

A model at a provider server calls a tool that answers at once, and is asked again with the answer.
Measured is what lies between, where the model sees it: from the last byte of the call to the next
request. Text only: no sound waits for any of it. Each arm is a process of its own, which makes a
turn for each line on its standard input (`python -m bench.tools ARM URL`).
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from livekit.agents import Agent, AgentSession, function_tool, llm
from livekit.agents.utils import http_context
from livekit.plugins import openai

from agent.call_agent import CallAgent
from agent.continuation import Continuation
from agent.opening import Opening
from agent.prompt import Texts
from agent.session import Engines, Parts, build_session, load_vad
from bench import wire
from bench.arms import OURS, STOCK
from bench.beside import Cell, Found, Rows, compared, limited
from control_plane.domain.brief import ProviderAccess
from control_plane.domain.providers import DedicatedModel, Provider
from speech.prewarm import load_offline
from speech.tables import make_llm
from tests.factories import call_brief
from tests.providers.journal import Entry
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import KEY, in_background

TURNS, PER_CALL = 104, 8  # a conversation that goes on has more to send
LIMIT_S = 60.0  # for a turn, the loading before the first one included
MODEL = "gpt-4.1"
ASKED, FOUND, ANSWER = "Please look it up.", "It is nine o'clock.", "Nine."
_DONE = b"turn done\n"


@function_tool
async def look_up() -> str:
    """Look it up."""
    return FOUND


async def run() -> Rows:
    """Return the rows; takes half a minute."""
    found: Cell = {OURS: Found(), STOCK: Found()}
    with in_background() as servers:
        servers.controls.rules(
            Rule(when=ASKED, tool=ToolCall(name="look_up")), Rule(when=FOUND, say=ANSWER)
        )
        async with AsyncExitStack() as stack:
            arms = {
                arm: await stack.enter_async_context(child(arm, servers.openai_url))
                for arm in found
            }
            for arm in arms.values():
                await turn(arm)  # the first one makes the connection
            for _ in range(TURNS):
                for name, arm in arms.items():
                    servers.journal.clear()
                    await turn(arm)
                    found[name].add(between_ms, servers.journal.entries("openai.chat"))
    what = "a tool's call → the next request with its answer, less the tool's own time"
    return compared("B7", what, found, {STOCK: 1}) + limited("B7", f"{what}, p95", found[OURS], 10)


@asynccontextmanager
async def child(arm: str, url: str) -> AsyncIterator[Process]:
    """Run an arm until the block is left."""
    command = [sys.executable, "-m", "bench.tools", arm, url]
    started = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        yield started
    finally:
        started.terminate()
        await started.wait()


async def turn(arm: Process) -> None:
    """Have an arm make a turn."""
    assert arm.stdin is not None
    assert arm.stdout is not None
    arm.stdin.write(b"\n")
    async with asyncio.timeout(LIMIT_S):
        while (line := await arm.stdout.readline()) != _DONE:
            if not line:
                raise RuntimeError(f"an arm ended with {await arm.wait()}")


def between_ms(entries: list[Entry]) -> float:
    """Return what lies between the end of the first answer and the second request."""
    ended = next((entry.monotonic for entry in entries if entry.event == "end"), None)
    asked = [entry.monotonic for entry in entries if entry.event == "request"]
    if ended is None or len(asked) != 2:
        raise wire.Discarded("no tool was called")
    return (asked[1] - ended) * 1000


async def serve(arm: str, url: str) -> None:
    """Make turns until the input ends."""
    made = {OURS: ours, STOCK: stock}[arm]
    async with http_context.open(), made(url) as session:
        count = 0
        while await asyncio.to_thread(sys.stdin.buffer.readline):
            if count % PER_CALL == 0:
                await session.current_agent.update_chat_ctx(llm.ChatContext.empty())
            await session.run(user_input=ASKED)
            count += 1
            sys.stdout.buffer.write(_DONE)
            sys.stdout.buffer.flush()


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[AgentSession[Any]]:
    """Yield a conversation as a call has it, but for its sound."""
    offline, call = load_offline(), call_brief()
    model = make_llm(DedicatedModel(MODEL), {Provider.OPENAI: ProviderAccess(KEY, url)})
    parts = Parts(llm=model, tts=None, stt=None, voice_aside=None)
    session = build_session(
        parts, Engines(offline, load_vad()), call.assistant.turn_taking, call.assistant.language
    )
    call_agent = CallAgent(
        call,
        Texts(call, datetime.now(UTC)),
        first=Opening(None, call.assistant.language),
        continuation=Continuation(session, None, on_taken_back=lambda _: None, is_pending=bool),
        is_speaking=lambda: False,
        tools=[],
    )
    await session.start(agent=call_agent, record=False)
    await call_agent.update_tools([*call_agent.tools, look_up])
    yield session
    await session.aclose()
    await parts.aclose()
    offline.close()


@asynccontextmanager
async def stock(url: str) -> AsyncIterator[AgentSession[Any]]:
    """Yield a session as LiveKit's quick start has it."""
    model = openai.LLM(model=MODEL, api_key=KEY, base_url=url)
    session: AgentSession[None] = AgentSession(llm=model)
    await session.start(agent=Agent(instructions="You are the night desk.", tools=[look_up]))
    yield session
    await session.aclose()
    await model.aclose()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:3]))
