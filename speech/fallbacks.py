"""LiveKit's fallback adapters, which close what they are made of when they are closed."""

from __future__ import annotations

from typing import Any

from livekit.agents import llm, stt, tts


class _Whole:
    """Before an adapter among the bases: keeps its `members`, to close them with it."""

    def __init__(self, members: list[Any], **options: Any) -> None:
        super().__init__(members, **options)  # type: ignore[call-arg]
        self.members = members

    async def aclose(self) -> None:
        await super().aclose()  # type: ignore[misc]
        for member in self.members:
            await member.aclose()


class FallbackLLM(_Whole, llm.FallbackAdapter):
    """Models that step in for each other."""


class FallbackTTS(_Whole, tts.FallbackAdapter):
    """Voices that step in for each other."""


class FallbackSTT(_Whole, stt.FallbackAdapter):
    """Recognisers that step in for each other."""
