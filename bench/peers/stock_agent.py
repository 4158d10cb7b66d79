"""The peer of the agent worker: livekit-agents as its own quick start has it, defaults and all."""

from __future__ import annotations

import asyncio
import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli
from livekit.plugins import cartesia, openai

NAME = "stock"
GREETING = "Hello, this is the night desk."
# The one default that is changed: neither it nor livekit-server, to which it tells its load, would
# let it take a call while the bench itself keeps the CPU busy.
server = AgentServer(port=0, load_fnc=lambda _server: 0.0)


@server.rtc_session(agent_name=NAME)
async def entrypoint(context: JobContext) -> None:
    """Hold one conversation with the stub providers."""
    key = os.environ["STUB_KEY"]
    session: AgentSession[None] = AgentSession(
        llm=openai.LLM(model="gpt-4.1", api_key=key, base_url=os.environ["STUB_OPENAI"]),
        stt=openai.STT(api_key=key, base_url=os.environ["STUB_OPENAI"]),
        tts=cartesia.TTS(voice="voice-a", api_key=key, base_url=os.environ["STUB_CARTESIA"]),
    )
    await session.start(agent=Agent(instructions="You are the night desk."), room=context.room)
    person = await context.wait_for_participant()
    answered = asyncio.Event()

    def look(*_: object) -> None:
        if person.attributes.get("sip.callStatus") == "active":
            answered.set()

    context.room.on("participant_attributes_changed", look)
    look()
    await answered.wait()
    await session.say(GREETING)


if __name__ == "__main__":
    cli.run_app(server)
