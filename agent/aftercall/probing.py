"""Jobs done by the real plugins: each provider of an assistant is asked once, as a call asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from livekit import rtc
from livekit.agents import APIError

from agent.aftercall import asking
from agent.aftercall.remedies import Subject, remedy
from agent.stock_phrases import stock_phrases
from control_plane.domain.assistant import Language
from control_plane.domain.declared import Secret, spots
from control_plane.domain.job import Job, JobKind, ProbeResult, ProviderPart
from control_plane.domain.masks import secret_parts
from control_plane.domain.providers import (
    CustomModel,
    DedicatedModel,
    EmbeddedModel,
    LlmModel,
    OpenRouterModel,
    RealtimeModel,
    Stt,
    Voice,
)
from process.addresses import Allowed
from process.logs import get_logger
from speech.prewarm import OfflineEngines
from speech.providers.session import Guarded
from speech.tables import make_llm, make_stt, make_tts, provider_name

log = get_logger(__name__)

Tell = Callable[[list[ProbeResult]], None]
Load = Callable[[], Awaitable[OfflineEngines]]
LIMITS_S = {
    ProviderPart.MODEL: 10.0,
    ProviderPart.VOICE: 10.0,
    ProviderPart.STT: 15.0,
    ProviderPart.REALTIME: 15.0,
}
_MOST_SAID = 300


async def carry_out(job: Job, tell: Tell, *, engines: Load, allowed: Allowed) -> bytes | None:
    """Do `job`, telling all results so far with each; returns the WAV of a preview that worked."""
    probes = Probes(job, tell, engines=engines, allowed=allowed)
    if job.kind is JobKind.PREVIEW:
        sound = await probes.voice(0, job.assistant.voice, job.text or "")
        return sound.to_wav_bytes() if sound is not None else None
    await probes.everything()
    return None


class Probes:
    """The questions to the providers of one assistant, and their results."""

    def __init__(self, job: Job, tell: Tell, *, engines: Load, allowed: Allowed) -> None:
        self._spec = job.assistant
        self._keys = job.providers
        self._tell = tell
        self._engines = engines
        self._allowed = allowed
        self._results: dict[tuple[ProviderPart, int], ProbeResult] = {}
        self._secrets = tuple(_secrets(job))

    async def everything(self) -> None:
        """Ask models and voices at the same time, then have recognisers hear a voice."""
        spec = self._spec
        itself = isinstance(spec.llm_model, RealtimeModel)
        models = [
            self.model(index, each)
            for index, each in enumerate((spec.llm_model, *spec.llm_fallbacks))
        ]
        voices: tuple[Voice | None, ...] = (spec.voice, *spec.voice_fallbacks)
        if itself and spec.voice is None:
            voices = ()  # it has one of its own
        sentence = sentence_in(spec.language)
        speaking = [self.voice(index, each, sentence) for index, each in enumerate(voices)]
        _, sounds = await asyncio.gather(asyncio.gather(*models), asyncio.gather(*speaking))
        if not itself:
            sound = next(filter(None, sounds), None)
            recognisers = enumerate((spec.stt, *spec.stt_fallbacks))
            await asyncio.gather(*[self.stt(index, each, sound) for index, each in recognisers])

    async def model(self, index: int, chosen: LlmModel | None) -> None:
        """Have a model answer."""

        async def request() -> dict[str, str]:
            made: Any = make_llm(
                chosen,
                self._keys,
                language=self._spec.language,
                engines=await self._engines() if chosen is None else None,
                allowed=self._allowed,
            )
            try:
                if isinstance(chosen, RealtimeModel):
                    return {"said": await asking.greet(made)}
                return {"said": await asking.answer(made)}
            finally:
                await made.aclose()

        part = ProviderPart.REALTIME if isinstance(chosen, RealtimeModel) else ProviderPart.MODEL
        await self._try(part, index, provider_name(chosen), _name(chosen), request)

    async def voice(self, index: int, chosen: Voice | None, text: str) -> rtc.AudioFrame | None:
        """Have a voice speak; returns what it said."""
        spoken: list[rtc.AudioFrame] = []

        async def request() -> dict[str, str]:
            made = make_tts(
                chosen,
                self._keys,
                language=self._spec.language,
                engines=await self._engines() if chosen is None else None,
                allowed=self._allowed,
            )
            try:
                spoken.append(await asking.speak(made, text))
            except APIError as exc:
                # Cartesia's voice says of a failed connection its type alone.
                if isinstance(made, Guarded) and made.refused is not None:
                    raise made.refused from exc
                raise
            finally:
                await made.aclose()
            return {"said": text}

        provider = chosen.provider if chosen is not None else "offline"
        await self._try(ProviderPart.VOICE, index, provider, chosen.id if chosen else "", request)
        return spoken[0] if spoken else None

    async def stt(self, index: int, chosen: Stt, sound: rtc.AudioFrame | None) -> None:
        """Have a recogniser hear `sound`, or the embedded voice where no other spoke."""

        async def request() -> dict[str, str]:
            offline = chosen.provider == "offline"
            engines = await self._engines() if offline or sound is None else None
            made = make_stt(
                chosen,
                self._keys,
                language=self._spec.language,
                engines=engines,
                allowed=self._allowed,
            )
            try:
                given = sound
                if given is None:
                    own = make_tts(None, {}, engines=engines)
                    given = await asking.speak(own, sentence_in(Language.EN_US))
                return {"heard": await asking.listen(made, given)}
            finally:
                await made.aclose()

        await self._try(ProviderPart.STT, index, chosen.provider, chosen.model or "", request)

    async def _try(
        self,
        part: ProviderPart,
        index: int,
        provider: str,
        name: str,
        request: Callable[[], Awaitable[dict[str, str]]],
    ) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        facts: dict[str, str] = {}
        error = None
        try:
            if provider == "offline":
                await self._engines()
                began = clock()  # loading is none of the provider's time
            async with asyncio.timeout(LIMITS_S[part]):
                facts = await request()
        except Exception as exc:  # noqa: BLE001 - whatever a plugin raises is its result
            error = remedy(exc, Subject(part, provider, name, LIMITS_S[part], self._secrets))
            # Not the exception: what it says may repeat a key, and what was asked.
            failure = type(exc).__name__
            log.info(
                "a provider was found wanting",
                provider=provider,
                part=part,
                failure=failure,
                pii_why=error,
            )
        self._results[part, index] = ProbeResult(
            part=part,
            provider=provider,
            fallback=index > 0,
            ok=error is None,
            took_ms=round((clock() - began) * 1_000),
            error=error,
            **{key: value[:_MOST_SAID] for key, value in facts.items()},
        )
        order = list(LIMITS_S)
        ranked = sorted(self._results, key=lambda each: (order.index(each[0]), each[1]))
        self._tell([self._results[each] for each in ranked])


def sentence_in(language: Language) -> str:
    """Return one sentence that voices speak and recognisers hear."""
    return stock_phrases(language).fillers[0]


def _name(model: LlmModel | None) -> str:
    match model:
        case None | EmbeddedModel():
            return ""
        case DedicatedModel():
            return model.name
        case OpenRouterModel():
            return model.openrouter_model_id
        case CustomModel():
            return model.model_name
        case RealtimeModel():
            return model.realtime_model_id


def _secrets(job: Job) -> Iterator[str]:
    for access in job.providers.values():
        yield access.api_key
        yield from secret_parts(access.api_url or "")
    for each in spots(job.assistant, Secret):
        if each.mark.is_url:
            yield from secret_parts(each.value)
        elif each.mark.of_pairs is None:
            yield each.value
