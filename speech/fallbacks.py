"""LiveKit's fallback adapters, which close what they are made of when they are closed."""

from __future__ import annotations

from typing import Any

from livekit.agents import llm, stt, tts


class Models(llm.FallbackAdapter):
    """Models that step in for each other."""

    def __init__(self, models: list[llm.LLM[Any]], **options: Any) -> None:
        super().__init__(models, **options)
        self._members = models

    async def aclose(self) -> None:
        await super().aclose()
        for member in self._members:
            await member.aclose()


class Voices(tts.FallbackAdapter):
    """Voices that step in for each other."""

    def __init__(self, voices: list[tts.TTS[Any]], **options: Any) -> None:
        super().__init__(voices, **options)
        self._members = voices

    async def aclose(self) -> None:
        await super().aclose()
        for member in self._members:
            await member.aclose()


class Ears(stt.FallbackAdapter):
    """Recognisers that step in for each other."""

    def __init__(self, ears: list[stt.STT[Any]], **options: Any) -> None:
        super().__init__(ears, **options)
        self._members = ears

    async def aclose(self) -> None:
        await super().aclose()
        for member in self._members:
            await member.aclose()
