"""A human who has answered is told of the person and asked whether they take the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from livekit import rtc

from agent.answering.words import Sign, signs_in
from agent.warm.phrases import is_taken
from control_plane.domain.assistant import Language
from control_plane.domain.human_leg import HumanResult

YES_KEY, NO_KEY = "1", "2"
ASKED_AT_MOST = 3
ANSWER_WITHIN_S = 6.0
"""After the question, until it is asked again."""
LIMIT_S = 90.0
"""Whatever is said: the person hears music meanwhile."""
_VOICEMAIL = frozenset({Sign.VOICEMAIL, Sign.FULL})


class Private(Protocol):
    """Where the human alone hears and is heard; each callback is null while nobody listens."""

    on_words: Callable[[str], None] | None
    on_key: Callable[[str], None] | None
    on_left: Callable[[], None] | None

    def say(self, frames: Iterable[rtc.AudioFrame]) -> float:
        """Have the human hear this after what they hear; returns how long it is (s)."""
        ...

    async def isolate(self) -> None:
        """Return once the human and the person do not hear each other; listen to the human.

        Who has hung up by then is told of by `on_left`.

        Raises:
            sip.ports.SipTrouble: that cannot be had.
        """
        ...

    async def connect(self) -> None:
        """Have the human and the person hear each other.

        Raises:
            sip.ports.SipTrouble: that cannot be had.
        """
        ...

    async def put_out(self) -> None:
        """Hang up the human."""
        ...


class Consultation:
    """One human's. A key counts from the answer on, a word once the question has begun: many
    say "yes" when they answer."""

    def __init__(self, line: Private, language: Language) -> None:
        self._line = line
        self._language = language
        self._result: asyncio.Future[HumanResult] = asyncio.get_running_loop().create_future()
        self._is_asked = False
        self._is_unclear = asyncio.Event()
        line.on_key, line.on_words, line.on_left = self._on_key, self._on_words, self._on_left

    async def run(
        self, told: Sequence[rtc.AudioFrame], question: Sequence[rtc.AudioFrame]
    ) -> HumanResult:
        """Say `told`, then ask; return what came of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_S):
                await self._said(told)
                for _ in range(ASKED_AT_MOST):
                    self._is_asked = True
                    await self._said(question)
                    self._is_unclear.clear()
                    await self._answered()
        return self._result.result() if self._result.done() else HumanResult.NOT_TAKEN

    async def _said(self, frames: Sequence[rtc.AudioFrame]) -> None:
        """Return once it was heard, or is not needed any more."""
        if not self._result.done():
            await asyncio.wait([self._result], timeout=self._line.say(frames))

    async def _answered(self) -> None:
        """Return once there is an answer, or they must be asked again."""
        unclear = asyncio.ensure_future(self._is_unclear.wait())
        wanted: list[asyncio.Future[Any]] = [self._result, unclear]
        try:
            await asyncio.wait(
                wanted,
                timeout=ANSWER_WITHIN_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            unclear.cancel()

    def _on_key(self, digit: str) -> None:
        if digit == YES_KEY:
            self._be(HumanResult.ANSWERED)
        elif digit == NO_KEY:
            self._be(HumanResult.DECLINED)

    def _on_words(self, words: str) -> None:
        if _VOICEMAIL & signs_in(words, self._language).keys():
            self._be(HumanResult.VOICEMAIL)
        elif self._is_asked:
            taken = is_taken(words, self._language)
            if taken is None:
                self._is_unclear.set()
            else:
                self._be(HumanResult.ANSWERED if taken else HumanResult.DECLINED)

    def _on_left(self) -> None:
        self._be(HumanResult.LEFT)

    def _be(self, result: HumanResult) -> None:
        if not self._result.done():
            self._result.set_result(result)
