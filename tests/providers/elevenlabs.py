"""ElevenLabs: voices over a WebSocket of contexts or HTTP, STT (Scribe) streaming or batch."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.providers import refusals
from tests.providers.behaviour import chunks
from tests.providers.delivery import Answer, Cut, HttpSink, Refused, encoded
from tests.providers.desk import Desk, Line, application
from tests.providers.openai_http import form_and_file
from tests.providers.sound import SILENCE_S, Listener, Samples, decoded, packed, samples_of

_TTS, _STT = "elevenlabs.tts", "elevenlabs.stt"
_VOICES = (("EXAVITQu4vr4xnSDxMaL", "Sarah"), ("JBFqnCBsd6RMkjVDRZzb", "George"))


def app(desk: Desk) -> web.Application:
    """Return the server."""
    served = application(refusals.elevenlabs)
    voices, recogniser = Voices(desk), Recogniser(desk)
    speech = "/v1/text-to-speech/{voice}"
    served.add_routes(
        [
            web.get("/v1/voices", voices.listed),
            web.get("/v2/voices", voices.paged),
            web.get(f"{speech}/multi-stream-input", voices.socket),
            web.post(f"{speech}/stream", voices.whole),
            web.get("/v1/speech-to-text/realtime", recogniser.realtime),
            web.post("/v1/speech-to-text", recogniser.batch),
        ]
    )
    return served


class Voices:
    """Text to speech."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def listed(self, request: web.Request) -> web.Response:
        """List the voices, all at once."""
        self._desk.admit(_TTS, _key(request))
        return web.json_response({"voices": _voices()})

    async def paged(self, request: web.Request) -> web.Response:
        """List the voices, as the newer API does; there is one page."""
        self._desk.admit(_TTS, _key(request))
        voices = _voices()
        page = {"has_more": False, "total_count": len(voices), "next_page_token": None}
        return web.json_response({"voices": voices} | page)

    async def whole(self, request: web.Request) -> web.StreamResponse:
        """Speak a text, as audio."""
        self._desk.admit(_TTS, _key(request))
        body = await request.json()
        kind, rate = _format(request)
        asked = _asked(request, body) | {"text": body["text"]}

        async def give(answer: Answer) -> None:
            wires = await self._audio(answer, body["text"], body, kind, rate)
            await answer.content(wires[0])

        sink = HttpSink(request, "audio/mpeg" if kind == "mp3" else "audio/pcm", '{"detail": ')
        return await self._desk.http(request, _TTS, asked, sink, give)

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Speak the texts of contexts, each in the order in which it came."""
        self._desk.admit(_TTS, _key(request))
        _format(request)
        contexts: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        async with self._desk.line(request, _TTS, voice=request.match_info["voice"]) as line:
            async for message in line.socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                body = json.loads(message.data)
                if body.get("close_socket"):
                    break
                context = body.get("context_id", "default")
                if context not in contexts:
                    contexts[context] = asyncio.Queue()
                    line.spawn(self._context(request, line, body, contexts[context]))
                contexts[context].put_nowait(body)
                if body.get("close_context"):
                    del contexts[context]
        return line.socket

    async def _context(
        self,
        request: web.Request,
        line: Line,
        first: dict[str, Any],
        parts: asyncio.Queue[dict[str, Any]],
    ) -> None:
        context = first.get("context_id", "default")
        answer: Answer | None = None
        waiting = ""
        while True:
            body = await parts.get()
            waiting += body.get("text", "")
            flush = body.get("flush") or body.get("close_context")
            if flush and waiting.strip():
                text, waiting = waiting.strip(), ""
                if answer is None:
                    # Not with the first message: that opens the context, before there is a text.
                    answer = await self._begun(request, line, first | {"text": text})
                    if answer is None:
                        return
                else:
                    answer.note("frame", text=text)
                await self._sentence(request, answer, first | {"text": text})
            if body.get("close_context"):
                break
        final = encoded({"contextId": context, "isFinal": True})
        if answer is None:
            await line.send(final)
            return
        await answer.frame(final)
        answer.end()

    async def _begun(self, request: web.Request, line: Line, body: dict[str, Any]) -> Answer | None:
        answer = line.answer(**_asked(request, body))
        try:
            await answer.begin()
        except Refused as refused:
            detail = refusals.elevenlabs(refused.status, f"refused with {refused.status}")["detail"]
            error = {"contextId": body.get("context_id"), "code": refused.status}
            named = {"error": detail["status"], "message": detail["message"]}
            await line.send(encoded(error | named))
            return None
        return answer

    async def _sentence(self, request: web.Request, answer: Answer, body: dict[str, Any]) -> None:
        kind, rate = _format(request)
        text = f"{body['text']} "
        parts, length_s = await self._audio(answer, text, body, kind, rate)
        each = int(length_s * 1_000 / len(text))
        alignment = {
            "chars": list(text),
            "charStartTimesMs": [each * index for index in range(len(text))],
            "charDurationsMs": [each] * len(text),
        }
        wires = []
        for index, part in enumerate(parts):
            aligned = alignment if index == 0 else None
            wires.append(
                encoded(
                    {
                        "audio": base64.b64encode(part).decode(),
                        "contextId": body.get("context_id"),
                        "alignment": aligned,
                        "normalizedAlignment": aligned,
                    }
                )
            )
        await answer.content(wires)

    async def _audio(
        self, answer: Answer, text: str, body: dict[str, Any], kind: str, rate: int
    ) -> tuple[list[bytes], float]:
        speed = (body.get("voice_settings") or {}).get("speed") or 1.0
        pcm = await self._desk.speak(answer, text, rate, speed=float(speed))
        parts = chunks(pcm, rate) if kind == "pcm" else [packed(pcm, rate, kind)]
        return parts, len(pcm) / 2 / rate


class Recogniser:
    """Speech to text."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def batch(self, request: web.Request) -> web.StreamResponse:
        """Say what is heard in a file."""
        self._desk.admit(_STT, _key(request))
        form, file = await form_and_file(request)

        async def give(answer: Answer) -> None:
            samples = decoded(file)
            text = answer.behaviour.text(await self._desk.hear(_STT, samples))
            body = {"language_code": form.get("language_code", "eng"), "language_probability": 1.0}
            words = _words(text, samples.size / 16_000)
            await answer.whole(encoded(body | {"text": text, "words": words}))

        sink = HttpSink(request, "application/json", '{"text": ')
        asked = form | {"bytes": len(file)}
        return await self._desk.http(request, _STT, asked, sink, give)

    async def realtime(self, request: web.Request) -> web.StreamResponse:
        """Say what is heard: at each commit of the client's, or by the server's VAD."""
        self._desk.admit(_STT, _key(request))
        async with self._desk.line(request, _STT, **request.query) as line:
            await line.send(
                encoded({"message_type": "session_started", "session_id": "s_local", "config": {}})
            )
            if request.query.get("commit_strategy", "manual") == "vad":
                await self._by_vad(request, line)
            else:
                await self._by_commit(request, line)
        return line.socket

    async def _by_vad(self, request: web.Request, line: Line) -> None:
        async def started() -> None:
            pass

        async def ended(samples: Samples) -> None:
            await self._commit(request, line, samples)

        silence_s = float(request.query.get("vad_silence_threshold_secs", SILENCE_S))
        listener = Listener(_audio_rate(request), started, ended, silence_s)
        line.spawn(listener.run())
        async for message in line.socket:
            if message.type is WSMsgType.TEXT:
                listener.push(_pcm(json.loads(message.data)))

    async def _by_commit(self, request: web.Request, line: Line) -> None:
        rate = _audio_rate(request)
        heard = bytearray()
        commits: asyncio.Queue[bytes] = asyncio.Queue()

        async def answered() -> None:
            while True:
                await self._commit(request, line, samples_of(await commits.get(), rate))

        line.spawn(answered())
        async for message in line.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            body = json.loads(message.data)
            heard += _pcm(body)
            if body.get("commit"):
                commits.put_nowait(bytes(heard))
                heard.clear()

    async def _commit(self, request: web.Request, line: Line, samples: Samples) -> None:
        heard = await self._desk.hear(_STT, samples)
        seconds = samples.size / 16_000
        answer = line.answer(model=request.query.get("model_id"), text=heard, seconds=seconds)
        try:
            await answer.begin()
        except Refused as refused:
            kind = {401: "auth_error", 429: "quota_exceeded"}.get(refused.status, "error")
            await line.send(encoded({"message_type": kind, "error": f"status {refused.status}"}))
            await line.socket.close(code=1011)
            raise Cut from refused
        text = answer.behaviour.text(heard)
        language = request.query.get("language_code", "en")
        stamped = {"text": text, "language_code": language, "words": _words(text, seconds)}
        await answer.transcript(
            encoded({"message_type": "partial_transcript", "text": text}),
            encoded({"message_type": "committed_transcript", "text": text}),
            encoded({"message_type": "committed_transcript_with_timestamps"} | stamped),
        )
        answer.end()


def _key(request: web.Request) -> str | None:
    return request.headers.get("xi-api-key")


def _voices() -> list[dict[str, Any]]:
    return [
        {"voice_id": voice, "name": name, "category": "premade", "labels": {}, "preview_url": None}
        for voice, name in _VOICES
    ]


def _format(request: web.Request) -> tuple[str, int]:
    """`pcm_24000` → ("pcm", 24000); `mp3_22050_32` → ("mp3", 22050).

    Raises:
        HTTPBadRequest: this server has no such format.
    """
    kind, _, rest = request.query.get("output_format", "mp3_44100_128").partition("_")
    if kind not in ("pcm", "mp3"):
        raise web.HTTPBadRequest
    return kind, int(rest.partition("_")[0])


def _asked(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": body.get("model_id") or request.query.get("model_id"),
        "voice": request.match_info["voice"],
        "language": body.get("language_code") or request.query.get("language_code"),
        "text": body.get("text"),
        "speed": (body.get("voice_settings") or {}).get("speed"),
        "output_format": request.query.get("output_format"),
    }


def _audio_rate(request: web.Request) -> int:
    return int(request.query.get("audio_format", "pcm_16000").partition("_")[2])


def _pcm(body: dict[str, Any]) -> bytes:
    return base64.b64decode(body.get("audio_base_64") or "")


def _words(text: str, length_s: float) -> list[dict[str, Any]]:
    words = text.split()
    each = length_s / max(1, len(words))
    return [
        {"text": word, "start": each * index, "end": each * (index + 1), "type": "word"}
        for index, word in enumerate(words)
    ]
