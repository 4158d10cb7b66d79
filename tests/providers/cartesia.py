"""Cartesia: voices (Sonic) over a WebSocket or HTTP, STT (Ink 2 and Ink Whisper)."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.providers import refusals
from tests.providers.behaviour import chunks
from tests.providers.delivery import Answer, Cut, HttpSink, Refused, encoded
from tests.providers.desk import Desk, Line, application, bearer
from tests.providers.sound import Listener, Samples

_TTS, _STT = "cartesia.tts", "cartesia.stt"
_VOICES = (
    ("f786b574-daa5-4673-aa0c-cbe3e8534c02", "Katie", "feminine"),
    ("a5136bf9-224c-4d76-b823-52bd5efcffcc", "Jameson", "masculine"),
)


def app(desk: Desk) -> web.Application:
    """Return the server."""
    served = application(refusals.cartesia)
    voices, recogniser = Voices(desk), Recogniser(desk)
    served.add_routes(
        [
            web.get("/voices", voices.listed),
            web.get("/voices/", voices.listed),
            web.get("/tts/websocket", voices.socket),
            web.post("/tts/bytes", voices.whole),
            web.get("/stt/turns/websocket", recogniser.turns),
            web.get("/stt/websocket", recogniser.whisper),
        ]
    )
    return served


class Voices:
    """Text to speech."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def listed(self, request: web.Request) -> web.Response:
        """List the voices."""
        self._desk.admit(_TTS, _key(request))
        data = [
            {
                "id": voice,
                "name": name,
                "description": f"{name}, local",
                "gender": gender,
                "language": "en",
                "is_owner": False,
                "is_public": True,
                "created_at": "2025-01-01T00:00:00Z",
            }
            for voice, name, gender in _VOICES
        ]
        return web.json_response({"data": data, "has_more": False, "next_page": None})

    async def whole(self, request: web.Request) -> web.StreamResponse:
        """Speak a text, as raw audio."""
        self._desk.admit(_TTS, _key(request))
        body = await request.json()

        async def give(answer: Answer) -> None:
            pcm, rate = await self._spoken(answer, body)
            await answer.content(chunks(pcm, rate))

        sink = HttpSink(request, "audio/pcm", '{"error": ')
        return await self._desk.http(request, _TTS, _asked(body), sink, give)

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Speak the texts of contexts, each in the order in which it came."""
        self._desk.admit(_TTS, _key(request))
        version = request.query.get("cartesia_version", "")
        contexts: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        tasks: dict[str, asyncio.Task[None]] = {}
        async with self._desk.line(request, _TTS, version=version) as line:
            async for message in line.socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                body = json.loads(message.data)
                context = body.get("context_id", "")
                if body.get("cancel"):
                    contexts.pop(context, None)
                    if context in tasks:
                        tasks.pop(context).cancel()
                    continue
                if context not in contexts:
                    contexts[context] = asyncio.Queue()
                    tasks[context] = line.spawn(self._context(line, body, contexts[context]))
                contexts[context].put_nowait(body)
                if not body.get("continue", False):
                    del contexts[context]
        return line.socket

    async def _context(
        self, line: Line, first: dict[str, Any], texts: asyncio.Queue[dict[str, Any]]
    ) -> None:
        context = first.get("context_id", "")
        answer = line.answer(**_asked(first))
        try:
            await answer.begin()
        except Refused as refused:
            shape = refusals.cartesia(refused.status, f"refused with {refused.status}")
            # Over the socket Cartesia says `error`, and that the context is done.
            error = {"type": "error", "context_id": context, "done": True, "error": shape["title"]}
            await line.send(encoded(shape | error))
            return
        spoken_s = 0.0
        while True:
            body = await texts.get()
            if body.get("transcript", "").strip():
                if body is not first:
                    answer.note("frame", text=body["transcript"])
                spoken_s += await self._sentence(answer, body, spoken_s)
            if not body.get("continue", False):
                break
        done = {"type": "done", "done": True, "context_id": context, "status_code": 200}
        await answer.frame(encoded(done))
        answer.end()

    async def _sentence(self, answer: Answer, body: dict[str, Any], start_s: float) -> float:
        """Speak one text of a context; returns how long it is."""
        pcm, rate = await self._spoken(answer, body)
        head = {"context_id": body["context_id"], "status_code": 206, "done": False}
        wires = (
            encoded(head | {"type": "chunk", "data": base64.b64encode(part).decode()})
            for part in chunks(pcm, rate)
        )
        await answer.content(wires)
        length_s = len(pcm) / 2 / rate
        if body.get("add_timestamps"):
            stamps = _timestamps(body["transcript"], start_s, length_s)
            await answer.frame(encoded(head | {"type": "timestamps", "word_timestamps": stamps}))
        return length_s

    async def _spoken(self, answer: Answer, body: dict[str, Any]) -> tuple[bytes, int]:
        settings = body.get("generation_config") or {}
        rate = int(body["output_format"]["sample_rate"])
        speed, volume = settings.get("speed"), settings.get("volume")
        pcm = await self._desk.speak(
            answer,
            body["transcript"],
            rate,
            speed=float(speed) if speed else 1.0,
            volume=1.0 if volume is None else float(volume),
        )
        return pcm, rate


class Recogniser:
    """Speech to text."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def turns(self, request: web.Request) -> web.StreamResponse:
        """Say what is heard, turn by turn (Ink 2)."""
        self._desk.admit(_STT, _key(request))
        async with self._desk.line(request, _STT, **request.query) as line:
            head = {"request_id": "req_local"}
            await line.send(encoded({"type": "connected"} | head))

            async def started() -> None:
                await line.send(encoded({"type": "turn.start"} | head))

            async def ended(samples: Samples) -> None:
                text, answer = await self._heard(line, samples)
                update, end = (
                    encoded({"type": kind, "transcript": text} | head)
                    for kind in ("turn.update", "turn.end")
                )
                await answer.transcript(update, end)
                answer.end()

            await self._listen(line, Listener(_rate(request), started, ended))
        return line.socket

    async def whisper(self, request: web.Request) -> web.StreamResponse:
        """Say what is heard, utterance by utterance (Ink Whisper)."""
        self._desk.admit(_STT, _key(request))
        async with self._desk.line(request, _STT, **request.query) as line:

            async def started() -> None:
                pass

            async def ended(samples: Samples) -> None:
                text, answer = await self._heard(line, samples)
                seconds = samples.size / 16_000
                stamps = _timestamps(text, 0.0, seconds)
                words = [
                    {"word": word, "start": start, "end": end}
                    for word, start, end in zip(*stamps.values(), strict=True)
                ]
                final = {"type": "transcript", "is_final": True, "request_id": "req_local"}
                final |= {"text": text, "duration": seconds, "words": words}
                await answer.transcript(encoded(final))
                answer.end()

            await self._listen(line, Listener(_rate(request), started, ended))
        return line.socket

    async def _heard(self, line: Line, samples: Samples) -> tuple[str, Answer]:
        heard = await self._desk.hear(_STT, samples)
        answer = line.answer(text=heard, seconds=samples.size / 16_000)
        try:
            await answer.begin()
        except Refused as refused:
            error = refusals.cartesia(refused.status, f"refused with {refused.status}")
            await line.send(encoded({"type": "error", "code": refused.status} | error))
            await line.socket.close(code=1011)
            raise Cut from refused
        return answer.behaviour.text(heard), answer

    async def _listen(self, line: Line, listener: Listener) -> None:
        hearing = line.spawn(listener.run())
        async for message in line.socket:
            if message.type is WSMsgType.BINARY:
                listener.push(message.data)
            elif message.type is WSMsgType.TEXT and message.data == "finalize":
                await line.send(encoded({"type": "flush_done", "request_id": "req_local"}))
            elif message.type is WSMsgType.TEXT and "close" in message.data:
                listener.finish()
                await asyncio.wait([hearing])
                await line.send(encoded({"type": "done", "request_id": "req_local"}))
                await line.socket.close()


def _key(request: web.Request) -> str | None:
    return request.headers.get("X-API-Key") or bearer(request) or request.query.get("api_key")


def _rate(request: web.Request) -> int:
    return int(request.query.get("sample_rate", "16000"))


def _asked(body: dict[str, Any]) -> dict[str, Any]:
    settings = body.get("generation_config") or {}
    return {
        "model": body.get("model_id"),
        "voice": (body.get("voice") or {}).get("id"),
        "language": body.get("language"),
        "text": body.get("transcript"),
        "speed": settings.get("speed"),
        "volume": settings.get("volume"),
        "sample_rate": (body.get("output_format") or {}).get("sample_rate"),
    }


def _timestamps(text: str, start_s: float, length_s: float) -> dict[str, list[Any]]:
    """Return when each word is said, as if every character took as long as any other."""
    words = text.split()
    each = length_s / max(1, sum(map(len, words)))
    starts = [start_s + each * sum(map(len, words[:index])) for index in range(len(words))]
    ends = [start + each * len(word) for start, word in zip(starts, words, strict=True)]
    return {"words": words, "start": starts, "end": ends}
