"""A second sign of life, through LiveKit: it is seen when the control plane cannot be reached.

LiveKit shows a dead agent in its room for some twenty seconds; a beat that stands still tells
the scheduler sooner, and a beat that goes on keeps the call when only the event stream is stuck.
"""

from __future__ import annotations

import asyncio
import itertools

from livekit import rtc

from control_plane.domain.brief import BEAT_ATTRIBUTE


async def beat(room: rtc.Room, every_s: float) -> None:
    """Change our participant's beat every `every_s` seconds, until cancelled."""
    for count in itertools.count(1):
        await room.local_participant.set_attributes({BEAT_ATTRIBUTE: str(count)})
        await asyncio.sleep(every_s)
