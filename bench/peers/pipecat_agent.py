"""The second peer: pipecat as its LiveKit example has it, defaults and all.

It runs in a virtual environment of its own (requirements/pipecat.txt), because its pins and ours
exclude each other. A line on standard input, `ROOM TOKEN`, is a call: a bot joins that room, where
the SIP gateway's participant is the telephone, and greets once its audio is there. `ready` and
`joined ROOM` on standard output say how far it is. Its turns end by Silero's voice activity
detection and its own Smart Turn model; interruption is by voice activity: all as delivered.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.transports.livekit.transport import LiveKitParams, LiveKitTransport
from pipecat.workers.runner import WorkerRunner

GREETING = "Hello, this is the night desk."


def tell(line: str) -> None:
    """Write one line, at once."""
    print(line, flush=True)


async def converse(room: str, token: str) -> None:
    """Hold one conversation with the stub providers."""
    key, openai = os.environ["STUB_KEY"], os.environ["STUB_OPENAI"]
    voices = os.environ["STUB_CARTESIA"].replace("http", "ws", 1) + "/tts/websocket"
    transport = LiveKitTransport(
        url=os.environ["LIVEKIT_URL"],
        token=token,
        room_name=room,
        params=LiveKitParams(audio_in_enabled=True, audio_out_enabled=True),
    )
    model = OpenAILLMService(
        api_key=key,
        base_url=openai,
        settings=OpenAILLMService.Settings(
            model="gpt-4.1", system_instruction="You are the night desk."
        ),
    )
    voice = CartesiaTTSService(
        api_key=key, url=voices, settings=CartesiaTTSService.Settings(voice="voice-a")
    )
    user, assistant = LLMContextAggregatorPair(
        LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    recogniser = OpenAISTTService(api_key=key, base_url=openai)
    steps = [transport.input(), recogniser, user, model, voice, transport.output(), assistant]
    worker = PipelineWorker(Pipeline(steps), params=PipelineParams(), idle_timeout_secs=None)

    @transport.event_handler("on_connected")
    async def connected(_transport: LiveKitTransport) -> None:
        tell(f"joined {room}")

    @transport.event_handler("on_audio_track_subscribed")
    async def answered(_transport: LiveKitTransport, _participant: str) -> None:
        await worker.queue_frame(TTSSpeakFrame(GREETING))

    @transport.event_handler("on_participant_disconnected")
    async def gone(_transport: LiveKitTransport, _participant: str) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
    tell(f"left {room}")


async def main() -> None:
    """Serve the calls that standard input names, until it ends."""
    calls: set[asyncio.Task[None]] = set()
    tell("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        room, token = line.split()
        call = asyncio.create_task(converse(room, token))
        calls.add(call)
        call.add_done_callback(calls.discard)
    os._exit(0)


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stdout, level="WARNING")
    # The bench judges what was on the wire: nothing is left to close in order.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    asyncio.run(main())
