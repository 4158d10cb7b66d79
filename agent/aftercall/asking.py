"""One turn of a model, one sentence of a voice, one heard sentence: as a call would have them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from livekit import rtc
from livekit.agents import llm, stt, tts

from agent.aftercall.remedies import NoAnswer
from speech import limits

_PROMPT = "You answer the telephone. Answer in one short sentence."
_RATE = 16_000
_STEP_S = 0.02
_PAUSE_S = 0.5
"""Of silence around the sentence that a recogniser is given."""
_LEAST_SOUND_S = 0.2
REALTIME_S = 12.0
"""For all the tries of a model that speaks by itself."""


@llm.function_tool
async def end_call() -> None:
    """Hang up, when the person says goodbye."""


async def answer(model: llm.LLM[Any]) -> str:
    """Return a model's reply to a greeting; it is offered a tool, as on a call.

    Raises:
        livekit.agents.APIError: it failed.
        NoAnswer: it neither said anything nor called the tool.
    """
    context = llm.ChatContext.empty()
    context.add_message(role="system", content=_PROMPT)
    context.add_message(role="user", content="Hello, who is speaking?")
    async with model.chat(chat_ctx=context, tools=[end_call], conn_options=limits.LLM) as stream:
        reply = await stream.collect()
    if not reply.text.strip() and not reply.tool_calls:
        raise NoAnswer("answered with no words")
    return reply.text.strip()


async def speak(voice: tts.TTS[Any], text: str) -> rtc.AudioFrame:
    """Return `text` as the voice speaks it.

    Raises:
        livekit.agents.APIError: it failed.
        NoAnswer: it gave no sound.
    """
    frames: list[rtc.AudioFrame] = []
    if voice.capabilities.streaming:
        async with voice.stream(conn_options=limits.TTS) as stream:
            stream.push_text(text)
            stream.end_input()
            frames = [event.frame async for event in stream]
    else:
        async with voice.synthesize(text, conn_options=limits.TTS) as whole:
            frames = [event.frame async for event in whole]
    if sum(frame.duration for frame in frames) < _LEAST_SOUND_S:
        raise NoAnswer("answered with no sound")
    return rtc.combine_audio_frames(frames)


async def listen(recogniser: stt.STT[Any], sound: rtc.AudioFrame) -> str:
    """Return what a recogniser makes of `sound`, which it gets as fast as from a telephone.

    Raises:
        livekit.agents.APIError: they failed.
        NoAnswer: they made nothing of it.
    """
    if recogniser.capabilities.streaming:
        heard = await _stream(recogniser, sound)
    else:
        event = await recogniser.recognize(sound, conn_options=limits.STT)
        heard = _text(event)
    if not heard:
        raise NoAnswer("heard no words in the sentence it was given")
    return heard


async def greet(model: llm.RealtimeModel) -> str:
    """Return what a model that speaks by itself says first; it must be heard too.

    Raises:
        livekit.agents.APIError, livekit.agents.llm.RealtimeError: it failed.
        NoAnswer: it gave no sound.
    """
    session = model.session()
    troubles: list[Exception] = []
    over = asyncio.Event()

    def on_error(event: llm.RealtimeModelError) -> None:
        troubles.append(event.error)
        if not event.recoverable:
            over.set()

    session.on("error", on_error)
    said = asyncio.ensure_future(_said(session))
    ended = asyncio.ensure_future(over.wait())
    try:
        await asyncio.wait([said, ended], timeout=REALTIME_S, return_when=asyncio.FIRST_COMPLETED)
        if said.done() and not said.exception():
            return said.result()
        # What the session met tells more than that its reply did not come.
        raise troubles[-1] if troubles else (said.done() and said.exception()) or TimeoutError
    finally:
        for task in (said, ended):
            task.cancel()
        await asyncio.gather(said, ended, return_exceptions=True)
        await session.aclose()


async def _said(session: llm.RealtimeSession[Any]) -> str:
    created = await session.generate_reply(instructions="Greet the person in one short sentence.")
    async for message in created.message_stream:
        words = asyncio.ensure_future(_all_of(message.text_stream))
        duration = 0.0
        async for frame in message.audio_stream:
            duration += frame.duration
        text = await words
        if duration < _LEAST_SOUND_S:
            raise NoAnswer("answered with no sound")
        return text
    raise NoAnswer("answered with no sound")


async def _all_of(pieces: Any) -> str:
    return "".join([piece async for piece in pieces]).strip()


async def _stream(recogniser: stt.STT[Any], sound: rtc.AudioFrame) -> str:
    async with recogniser.stream(conn_options=limits.STT) as stream:
        feeding = asyncio.ensure_future(_feed(stream, sound))
        try:
            async for event in stream:
                if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT and _text(event):
                    return _text(event)
        finally:
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeding
    return ""


async def _feed(stream: stt.RecognizeStream, sound: rtc.AudioFrame) -> None:
    """Give the sentence, then silence for as long as anybody listens."""
    pause = rtc.AudioFrame.create(_RATE, 1, int(_RATE * _PAUSE_S))
    resampled = _resampled(sound)
    async for frame in _paced([pause, *resampled, pause]):
        stream.push_frame(frame)
    stream.flush()  # the call's own voice detection says so too
    while True:
        async for frame in _paced([pause]):
            stream.push_frame(frame)


async def _paced(sounds: list[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
    clock = asyncio.get_running_loop().time
    due = clock()
    pcm = b"".join(bytes(each.data) for each in sounds)
    step = int(_RATE * _STEP_S) * 2
    for start in range(0, len(pcm), step):
        part = pcm[start : start + step]
        yield rtc.AudioFrame(part, _RATE, 1, len(part) // 2)
        due += _STEP_S
        await asyncio.sleep(due - clock())


def _resampled(sound: rtc.AudioFrame) -> list[rtc.AudioFrame]:
    if sound.sample_rate == _RATE:
        return [sound]
    resampler = rtc.AudioResampler(sound.sample_rate, _RATE, num_channels=1)
    return [*resampler.push(sound), *resampler.flush()]


def _text(event: stt.SpeechEvent) -> str:
    return event.alternatives[0].text.strip() if event.alternatives else ""
