"""The message for a voicemail: after its greeting and beep, whole, and once."""

from __future__ import annotations

import asyncio

from agent.answering.listening import AnswerListener
from agent.speaker import Speaker

GREETING_LIMIT_S = 60.0
"""A greeting without an end is left without a message."""
QUIET_S = 2.0
"""Silence after a greeting that has no beep."""
AFTER_BEEP_S = 0.3
MESSAGES = 2
"""A beep into the message begins it once more: what came before it was not recorded."""
MESSAGE_LIMIT_S = 60.0


async def leave(message: str, listener: AnswerListener, speaker: Speaker) -> None:
    """Say `message` once it is recorded, until a person picks up; not, when that never comes."""
    if not await _is_recorded(listener):
        return
    for _ in range(MESSAGES):
        if await _say(message, listener, speaker):
            return


async def _is_recorded(listener: AnswerListener) -> bool:
    """Return once what is said is recorded; false, when that never comes."""
    detector, limit_s = listener.detector, listener.now_s + GREETING_LIMIT_S
    while listener.now_s < limit_s:
        if detector.beep_s is not None and not detector.speaks:
            await asyncio.sleep(AFTER_BEEP_S)
            return True
        if listener.quiet_s >= QUIET_S:
            return True
        await listener.stirs_within(QUIET_S - listener.quiet_s)
    return False


async def _say(message: str, listener: AnswerListener, speaker: Speaker) -> bool:
    """Return whether the message was heard whole, or a person came."""
    beep_s, listener.is_told = listener.detector.beep_s, True
    speech = speaker.say(message, allow_interruptions=False)
    speech.add_done_callback(lambda _: listener.stir())
    until_s = listener.now_s + MESSAGE_LIMIT_S
    while not speech.done() and (left_s := until_s - listener.now_s) > 0:
        await listener.stirs_within(left_s)
        if listener.picked_up or listener.detector.beep_s != beep_s:
            await speaker.hush()
            break
    listener.is_told = False
    return listener.picked_up or listener.detector.beep_s == beep_s
