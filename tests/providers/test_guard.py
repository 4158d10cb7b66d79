"""Nothing that an organization may point somewhere reaches an address that is not public."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from livekit import rtc
from msgspec import Struct, structs

from agent.aftercall.probing import Probes
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.brief import ProviderAccess
from control_plane.domain.job import Job, JobKind, ProbeResult, ProviderPart
from control_plane.domain.providers import (
    CustomModel,
    DedicatedModel,
    LlmModel,
    OpenRouterModel,
    Provider,
    RealtimeModel,
    Stt,
    Voice,
)
from process.addresses import Allowed
from speech.prewarm import OfflineEngines

pytestmark = [
    pytest.mark.unit,
    # The plugin still sets what Google's own client has deprecated.
    pytest.mark.filterwarnings("ignore:Setting `LiveConnectConfig:DeprecationWarning"),
]

LOOPBACK = Allowed.parse("127.0.0.0/8")
KEY = "key-of-the-test"
TONE = rtc.AudioFrame(bytes(2 * 16_000), 16_000, 1, 16_000)

WAYS: dict[str, tuple[ProviderPart, LlmModel | Voice | Stt]] = {
    "openai": (ProviderPart.MODEL, DedicatedModel("gpt-4.1")),
    "mistral": (ProviderPart.MODEL, DedicatedModel("ministral-3-8b-instruct")),
    "openrouter": (ProviderPart.MODEL, OpenRouterModel("a/b", "")),
    "custom": (ProviderPart.MODEL, CustomModel("{url}", "tiny", KEY)),
    "openai-realtime": (ProviderPart.REALTIME, RealtimeModel("openai", "gpt-realtime")),
    "google-realtime": (ProviderPart.REALTIME, RealtimeModel("google", "gemini-live")),
    "cartesia-voice": (ProviderPart.VOICE, Voice("v", "cartesia")),
    "elevenlabs-voice": (ProviderPart.VOICE, Voice("v", "elevenlabs")),
    "openai-stt": (ProviderPart.STT, Stt("openai")),
    "openai-realtime-stt": (ProviderPart.STT, Stt("openai", "gpt-realtime-whisper")),
    "cartesia-stt": (ProviderPart.STT, Stt("cartesia")),
    "cartesia-old-stt": (ProviderPart.STT, Stt("cartesia", "ink-whisper")),
    "elevenlabs-stt": (ProviderPart.STT, Stt("elevenlabs")),
}


class Listener(Struct):
    """A server on loopback: how often it was connected to, and what it was sent."""

    port: int = 0
    connections: int = 0
    sent: bytes = b""
    answer: bytes = b""


def redirect(port: int) -> bytes:
    return (
        b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n"
        b"Location: http://127.0.0.1:%d/secret\r\n\r\n" % port
    )


@contextlib.asynccontextmanager
async def listening(answer: bytes = b"") -> AsyncIterator[Listener]:
    """Yield a listener that gives every request the same answer."""
    listener = Listener(answer=answer)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            listener.sent += await reader.readuntil(b"\r\n\r\n")
            writer.write(listener.answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


async def ask(way: str, url: str, allowed: Allowed) -> str:
    """Return what is told of a provider at `url` that is asked as a call asks it."""
    part, chosen = WAYS[way]
    if isinstance(chosen, CustomModel):
        chosen = structs.replace(chosen, api_url=url)
    told: list[list[ProbeResult]] = []
    job = Job(
        id="j",
        kind=JobKind.TEST,
        token="t",
        assistant=AssistantSpec(name="a", prompt="p"),
        providers={each: ProviderAccess(KEY, url) for each in Provider},
    )
    probes = Probes(job, told.append, engines=_no_engines, allowed=allowed)
    match chosen:
        case Voice():
            await probes.voice(0, chosen, "Hello.")
        case Stt():
            await probes.stt(0, chosen, TONE)
        case _:
            await probes.model(0, chosen)
    (result,) = told[-1]
    assert (result.part, result.ok) == (part, False)
    return str(result.error)


async def _no_engines() -> OfflineEngines:
    raise AssertionError("nothing embedded is asked")


@pytest.mark.parametrize("way", sorted(WAYS))
async def test_a_private_address_is_not_connected_to(way: str) -> None:
    async with listening() as listener:
        told = await ask(way, f"http://127.0.0.1:{listener.port}/v1", Allowed())
    assert "OFFHOOK_ALLOW_PRIVATE=127.0.0.1" in told
    assert told.startswith("was not asked: 127.0.0.1 is not a public address")
    assert listener.connections == 0


# Google's client speaks TLS alone: tests/process/test_safe_websocket.py redirects its transport.
@pytest.mark.parametrize("way", sorted(set(WAYS) - {"google-realtime"}))
async def test_a_redirect_is_not_followed(way: str) -> None:
    async with (
        listening() as inside,
        listening(redirect(inside.port)) as listener,
    ):
        await ask(way, f"http://127.0.0.1:{listener.port}/v1", LOOPBACK)
    assert listener.connections > 0
    assert KEY.encode() in listener.sent
    assert inside.connections == 0
