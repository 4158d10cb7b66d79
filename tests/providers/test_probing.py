"""The after-call worker's test of an assistant, by the real plugins against the servers."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs

from agent.aftercall.probing import carry_out
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.brief import ProviderAccess
from control_plane.domain.job import Job, JobKind, ProbeResult, ProviderPart
from control_plane.domain.providers import (
    CustomModel,
    DedicatedModel,
    OpenRouterModel,
    Provider,
    RealtimeModel,
    Stt,
    Voice,
)
from process.addresses import Allowed
from speech.prewarm import OfflineEngines, load_offline
from tests.providers.behaviour import Behaviour, Fault
from tests.providers.script import Rule
from tests.providers.servers import KEY, ProviderServers
from tests.providers.sound import Sound, samples_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

LOOPBACK = Allowed.parse("127.0.0.0/8")
CARTESIA, ELEVENLABS = Voice("v1", "cartesia"), Voice("v2", "elevenlabs")
GPT = DedicatedModel("gpt-4.1")
SENTENCE = "One moment, please."


@pytest.fixture(scope="module")
def engines() -> Iterator[OfflineEngines]:
    loaded = load_offline()
    yield loaded
    loaded.close()


class Probing:
    """Probes assistants, with the keys of the provider servers."""

    def __init__(self, servers: ProviderServers, engines: OfflineEngines) -> None:
        self.keys = servers.access()
        self.engines = engines
        self.loads = 0
        self.told: list[list[ProbeResult]] = []
        self.sound: bytes | None = None

    async def load(self) -> OfflineEngines:
        self.loads += 1
        return self.engines

    async def probe(
        self, *, allowed: Allowed = LOOPBACK, text: str | None = None, **spec: Any
    ) -> list[ProbeResult]:
        job = Job(
            id="j",
            kind=JobKind.TEST if text is None else JobKind.PREVIEW,
            token="t",
            assistant=AssistantSpec(name="A", prompt="Be kind.", **spec),
            text=text,
            providers=self.keys,
        )
        self.told.clear()
        self.sound = await carry_out(job, self.told.append, engines=self.load, allowed=allowed)
        return self.told[-1]

    async def fault_of(self, part: ProviderPart, **spec: Any) -> str:
        """Return what is wrong with the first provider of a part."""
        result = next(each for each in await self.probe(**spec) if each.part is part)
        assert not result.ok
        assert result.error is not None
        assert KEY not in result.error
        return result.error


@pytest.fixture
def probing(servers: ProviderServers, engines: OfflineEngines) -> Probing:
    return Probing(servers, engines)


async def test_every_provider_and_fallback_is_tested_as_a_call_uses_it(
    probing: Probing, servers: ProviderServers
) -> None:
    servers.controls.rules(Rule(say="This is the clinic."))
    results = await probing.probe(
        llm_model=GPT,
        llm_fallbacks=(
            OpenRouterModel("m/l", "groq"),
            CustomModel(servers.custom_url, "tiny", KEY),
            DedicatedModel("ministral-3-8b-instruct"),
        ),
        voice=CARTESIA,
        voice_fallbacks=(ELEVENLABS,),
        stt=Stt("openai"),
        stt_fallbacks=(Stt("cartesia"), Stt("elevenlabs"), Stt("offline")),
    )
    assert [each for each in results if not each.ok] == []
    assert [(each.part.value, each.provider, each.fallback) for each in results] == [
        ("model", "openai", False),
        ("model", "openrouter", True),
        ("model", "custom", True),
        ("model", "mistral", True),
        ("voice", "cartesia", False),
        ("voice", "elevenlabs", True),
        ("stt", "openai", False),
        ("stt", "cartesia", True),
        ("stt", "elevenlabs", True),
        ("stt", "offline", True),
    ]
    assert {each.said for each in results if each.part is ProviderPart.MODEL} == {
        "This is the clinic."
    }
    assert {each.said for each in results if each.part is ProviderPart.VOICE} == {SENTENCE}
    for each in results:
        if each.part is ProviderPart.STT:
            assert "moment" in (each.heard or "").lower(), each
    assert [len(each) for each in probing.told] == list(range(1, len(results) + 1))


@pytest.mark.parametrize(
    ("part", "spec", "provider"),
    [
        (ProviderPart.MODEL, {"llm_model": GPT, "voice": CARTESIA}, "openai"),
        (ProviderPart.VOICE, {"voice": CARTESIA}, "cartesia"),
        (ProviderPart.VOICE, {"voice": ELEVENLABS}, "elevenlabs"),
        (ProviderPart.STT, {"stt": Stt("openai")}, "openai"),
        (ProviderPart.STT, {"stt": Stt("cartesia")}, "cartesia"),
        (ProviderPart.STT, {"stt": Stt("elevenlabs")}, "elevenlabs"),
        (ProviderPart.REALTIME, {"llm_model": RealtimeModel("openai", "gpt-realtime")}, "openai"),
    ],
)
async def test_a_refused_key_names_the_command_that_sets_another(
    probing: Probing,
    servers: ProviderServers,
    part: ProviderPart,
    spec: dict[str, Any],
    provider: str,
) -> None:
    servers.controls.refuse_keys(KEY)
    error = await probing.fault_of(part, **spec)
    remedy = f"the key was refused; set it with `offhook provider set {provider}`"
    assert error in (f"answered 401: {remedy}", f"answered 403: {remedy}")


async def test_a_custom_models_key_is_the_assistants_own(
    probing: Probing, servers: ProviderServers
) -> None:
    servers.controls.refuse_keys(KEY)
    custom = CustomModel(servers.custom_url, "tiny", KEY)
    error = await probing.fault_of(ProviderPart.MODEL, llm_model=custom)
    assert error == "answered 401: the key was refused; give the assistant's model another api_key"


@pytest.mark.parametrize(
    ("part", "spec", "capability", "words"),
    [
        (ProviderPart.MODEL, {"llm_model": GPT}, "openai.chat", "it has no model 'gpt-4.1'"),
        (ProviderPart.VOICE, {"voice": ELEVENLABS}, "elevenlabs.tts", "it has no voice 'v2'"),
    ],
)
async def test_an_unknown_model_or_voice_is_named(
    probing: Probing,
    servers: ProviderServers,
    part: ProviderPart,
    spec: dict[str, Any],
    capability: str,
    words: str,
) -> None:
    servers.controls.behave(capability, Behaviour(status=404))
    assert await probing.fault_of(part, **spec) == f"answered 404: {words}"


async def test_a_custom_model_that_is_not_there(probing: Probing, servers: ProviderServers) -> None:
    servers.controls.behave("custom.chat", Behaviour(status=404))
    custom = CustomModel(servers.custom_url, "tiny", KEY)
    error = await probing.fault_of(ProviderPart.MODEL, llm_model=custom)
    assert error == "answered 404: it has no model 'tiny', or its api_url is wrong"
    nobody = CustomModel("http://127.0.0.1:9/v1", "tiny", KEY)
    error = await probing.fault_of(ProviderPart.MODEL, llm_model=nobody)
    assert error.startswith("could not be reached: the connection failed")


async def test_a_private_address_is_not_asked(probing: Probing, servers: ProviderServers) -> None:
    custom = CustomModel(servers.custom_url, "tiny", KEY)
    error = await probing.fault_of(ProviderPart.MODEL, llm_model=custom, allowed=Allowed())
    assert error == (
        "was not asked: 127.0.0.1 is not a public address; OFFHOOK_ALLOW_PRIVATE=127.0.0.1 would "
        "allow it on this installation"
    )
    assert servers.journal.entries("custom.chat") == []


@pytest.mark.parametrize(
    ("part", "spec", "capability"),
    [
        (ProviderPart.MODEL, {"llm_model": GPT}, "openai.chat"),
        (ProviderPart.MODEL, {"llm_model": "custom"}, "custom.chat"),
        (ProviderPart.VOICE, {"voice": CARTESIA}, "cartesia.tts"),
    ],
)
async def test_a_provider_that_hangs_is_given_up(
    probing: Probing,
    servers: ProviderServers,
    part: ProviderPart,
    spec: dict[str, Any],
    capability: str,
) -> None:
    servers.controls.behave(capability, Behaviour(fault=Fault.HANG))
    if spec.get("llm_model") == "custom":
        spec = {"llm_model": CustomModel(servers.custom_url, "tiny", KEY)}
    error = await probing.fault_of(part, **spec)
    assert error.startswith("did not answer in time")


async def test_an_account_without_quota_and_a_fault_of_the_providers(
    probing: Probing, servers: ProviderServers
) -> None:
    servers.controls.behave("openai.chat", Behaviour(status=429))
    assert "quota is used up" in await probing.fault_of(ProviderPart.MODEL, llm_model=GPT)
    servers.controls.behave("openai.chat", Behaviour(status=503))
    assert "503: the fault is the provider's own" in await probing.fault_of(
        ProviderPart.MODEL, llm_model=GPT
    )


async def test_a_missing_key_is_told_without_asking_anybody(
    probing: Probing, servers: ProviderServers
) -> None:
    probing.keys = {Provider.OPENAI: ProviderAccess(KEY, servers.openai_url)}
    error = await probing.fault_of(ProviderPart.VOICE, voice=CARTESIA)
    assert error == "no key for cartesia: run `offhook provider set cartesia`"


async def test_a_recogniser_is_tested_although_the_voice_failed(
    probing: Probing, servers: ProviderServers
) -> None:
    servers.controls.behave("cartesia.tts", Behaviour(status=500))
    _model, voice, recogniser = await probing.probe(voice=CARTESIA, stt=Stt("openai"))
    assert (voice.ok, recogniser.ok, recogniser.provider) == (False, True, "openai")
    assert "moment" in (recogniser.heard or "").lower()


async def test_a_silent_recogniser_is_found_wanting(
    probing: Probing, servers: ProviderServers
) -> None:
    servers.controls.behave("openai.stt", Behaviour(fault=Fault.EMPTY))
    error = await probing.fault_of(ProviderPart.STT, stt=Stt("openai"))
    assert error == "heard no words in the sentence it was given"


async def test_a_model_that_speaks_by_itself(probing: Probing, servers: ProviderServers) -> None:
    servers.controls.rules(Rule(say="Good morning."))
    model = RealtimeModel("openai", "gpt-realtime", "marin")
    (result,) = await probing.probe(llm_model=model)
    assert structs.replace(result, took_ms=0) == ProbeResult(
        part=ProviderPart.REALTIME, provider="openai", ok=True, took_ms=0, said="Good morning."
    )
    assert probing.loads == 0


async def test_the_embedded_stack_is_tested_too(probing: Probing) -> None:
    results = await probing.probe()
    assert [(each.part, each.provider, each.ok) for each in results] == [
        (ProviderPart.MODEL, "offline", True),
        (ProviderPart.VOICE, "offline", True),
        (ProviderPart.STT, "offline", True),
    ]


async def test_nothing_embedded_is_loaded_for_cloud_providers(probing: Probing) -> None:
    await probing.probe(llm_model=GPT, voice=CARTESIA, stt=Stt("openai"))
    assert probing.loads == 0


async def test_a_preview_is_a_wav_file(probing: Probing, sound: Sound) -> None:
    (result,) = await probing.probe(voice=CARTESIA, text="Your appointment is on Monday.")
    assert (result.ok, result.said) == (True, "Your appointment is on Monday.")
    assert probing.sound is not None
    with wave.open(io.BytesIO(probing.sound)) as file:
        rate, pcm = file.getframerate(), file.readframes(file.getnframes())
    assert "appointment" in await sound.hear(samples_of(pcm, rate))
    assert probing.loads == 0
