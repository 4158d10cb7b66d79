"""Makes the first request of a process as fast as the second, without asking anybody.

The openai library builds its types when they are first used: a quarter of a second, which the
first caller after a start would wait.
"""

from __future__ import annotations

import httpx2
from openai import AsyncClient

from speech.providers.session import authorities

_CHUNK = (
    b'data: {"id":"0","object":"chat.completion.chunk","created":0,"model":"none",'
    b'"choices":[{"index":0,"delta":{"content":"ready"}}]}\n\ndata: [DONE]\n\n'
)


async def warm_clients() -> None:
    """Have a chat and a transcription answered from memory, and the certificates read."""
    authorities()
    transport = httpx2.MockTransport(_answer)
    async with AsyncClient(
        api_key="none",
        base_url="http://memory",
        http_client=httpx2.AsyncClient(transport=transport),
    ) as client:
        asked = await client.chat.completions.create(
            model="none", messages=[{"role": "user", "content": "ready?"}], stream=True
        )
        async for _ in asked:
            pass
        await client.audio.transcriptions.create(
            file=("none.wav", b"", "audio/wav"), model="none", response_format="json"
        )


def _answer(request: httpx2.Request) -> httpx2.Response:
    if request.url.path.endswith("/transcriptions"):
        return httpx2.Response(200, json={"text": "ready"})
    return httpx2.Response(200, content=_CHUNK, headers={"content-type": "text/event-stream"})
