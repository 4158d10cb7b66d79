"""The other side of a talking call: speaks with the embedded voice, hears with the phrase bank."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from sip.carrier.senses import Senses
from tests.carrier.uac import Uac
from tests.listener.phrase_bank import Utterance, utterances

RATE = 8_000
_QUIET_S = 0.5


class Agent:
    """Talks over one raw call."""

    def __init__(self, phone: Uac, senses: Senses) -> None:
        self.phone = phone
        self._senses = senses
        self.overlaps = 0

    async def say(self, text: str) -> None:
        """Say `text` and return when it has been sent."""
        self.phone.sound.say(await self._senses.speak(text))
        await self._until(lambda: not self.phone.sound.outgoing, 20.0)

    async def hear(self, count: int, seconds: float = 20.0) -> list[Utterance]:
        """Return what was heard so far, once it is at least `count` whole utterances."""
        await self._until(lambda: len(self._heard()) >= count, seconds)
        return self._heard()

    async def until_bye(self, seconds: float = 20.0) -> None:
        """Wait until the other side hangs up."""
        async with asyncio.timeout(seconds):
            await self.phone.bye.wait()

    def _heard(self) -> list[Utterance]:
        """Utterances that are over: quiet has followed them."""
        pcm = self.phone.sound.pcm
        if pcm.size < RATE or np.abs(pcm).max() < 500:
            return []
        found = utterances(pcm.astype(np.float64), RATE)
        return [part for part in found if part.end + _QUIET_S < pcm.size / RATE]

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not done():  # sound has no event to wait for
                await asyncio.sleep(0.25)
