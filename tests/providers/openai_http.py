"""OpenAI over HTTP: chat completions (also for whoever copies them), transcriptions, speech."""

from __future__ import annotations

import base64
import time
from typing import Any

from aiohttp import BodyPartReader, web

from tests.providers.behaviour import chunks, deltas
from tests.providers.delivery import Answer, HttpSink, encoded, event
from tests.providers.desk import Desk, bearer
from tests.providers.script import Said, ToolCall
from tests.providers.sound import decoded, packed

MODELS = ("gpt-4.1", "gpt-4o-mini-tts", "gpt-4o-mini-transcribe", "gpt-realtime")
SPEECH_RATE = 24_000
_BROKEN_EVENT, _BROKEN_JSON = 'data: {"id": "chatcmpl-1", "choices": [\n\n', '{"id": "1", "text": '
_JSON, _EVENTS = "application/json", "text/event-stream"
_KINDS = {"mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac"}


class Chat:
    """`POST /chat/completions`, streamed or not, and what clients ask before it."""

    def __init__(self, desk: Desk, provider: str) -> None:
        self._desk = desk
        self._provider = provider
        self._capability = f"{provider}.chat"

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Return the routes under `prefix`, such as `/v1`."""
        return [
            web.get(f"{prefix}/", self.root),
            web.get(f"{prefix}/models", self.models),
            *([web.get(f"{prefix}/key", self.key)] if self._provider == "openrouter" else []),
            web.post(f"{prefix}/chat/completions", self.completions),
        ]

    async def root(self, _request: web.Request) -> web.Response:
        """Answer a client that warms its connection up."""
        return web.json_response({"message": "Welcome to the local provider server"})

    async def models(self, request: web.Request) -> web.Response:
        """List the models, OpenRouter's to anybody; any other name is answered, too."""
        if self._provider != "openrouter":
            self._desk.admit(self._capability, bearer(request))
        models = [
            {"id": name, "object": "model", "created": 1, "owned_by": "local"} for name in MODELS
        ]
        return web.json_response({"object": "list", "data": models})

    async def key(self, request: web.Request) -> web.Response:
        """Tell about the key that asks (OpenRouter)."""
        self._desk.admit(self._capability, bearer(request))
        told = {"label": "local", "usage": 0, "limit": None, "is_free_tier": False}
        return web.json_response({"data": told})

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        self._desk.admit(self._capability, bearer(request))
        body = await request.json()
        said = _said(body)
        streamed = bool(body.get("stream"))
        asked = {key: value for key, value in body.items() if key != "tools"}
        asked |= {"text": said.text, "tools": sorted(said.tools)}

        async def give(answer: Answer) -> None:
            reply = self._desk.reply(answer, said)
            if streamed:
                await _stream(answer, body, reply)
            else:
                await answer.whole(encoded(_completion(body, answer.number, reply)))

        sink = HttpSink(
            request,
            _EVENTS if streamed else _JSON,
            _BROKEN_EVENT if streamed else _BROKEN_JSON,
        )
        return await self._desk.http(request, self._capability, asked, sink, give)


class Audio:
    """`POST /audio/transcriptions` and `POST /audio/speech`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Return the routes under `prefix`, such as `/v1`."""
        return [
            web.post(f"{prefix}/audio/transcriptions", self.transcriptions),
            web.post(f"{prefix}/audio/speech", self.speech),
        ]

    async def transcriptions(self, request: web.Request) -> web.StreamResponse:
        """Say what is heard in a file."""
        self._desk.admit("openai.stt", bearer(request))
        form, file = await form_and_file(request)

        async def give(answer: Answer) -> None:
            text = answer.behaviour.text(await self._desk.hear("openai.stt", decoded(file)))
            body: dict[str, Any] = {"text": text}
            if form.get("response_format") == "verbose_json":
                body |= {"task": "transcribe", "language": form.get("language", "english")}
                body |= {"duration": 0.0, "segments": []}
            else:
                body["usage"] = {"type": "duration", "seconds": 1}
            await answer.whole(encoded(body))

        sink = HttpSink(request, _JSON, _BROKEN_JSON)
        asked = form | {"bytes": len(file)}
        return await self._desk.http(request, "openai.stt", asked, sink, give)

    async def speech(self, request: web.Request) -> web.StreamResponse:
        """Speak a text."""
        self._desk.admit("openai.tts", bearer(request))
        body = await request.json()
        form = body.get("response_format", "mp3")
        if form not in ("pcm", "wav", *_KINDS):
            raise web.HTTPBadRequest
        events = body.get("stream_format", "audio") == "sse"

        async def give(answer: Answer) -> None:
            speed = float(body.get("speed", 1.0))
            pcm = await self._desk.speak(answer, body["input"], SPEECH_RATE, speed=speed)
            rate = answer.behaviour.sample_rate or SPEECH_RATE
            parts = chunks(pcm, rate) if form == "pcm" else [packed(pcm, rate, form)]
            await answer.content([_audio_event(part) for part in parts] if events else parts)
            if events:
                usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
                await answer.frame(event({"type": "speech.audio.done", "usage": usage}))

        kind = _EVENTS if events else _KINDS.get(form, f"audio/{form}")
        sink = HttpSink(request, kind, _BROKEN_EVENT if events else _BROKEN_JSON)
        return await self._desk.http(request, "openai.tts", body, sink, give)


async def form_and_file(request: web.Request) -> tuple[dict[str, Any], bytes]:
    """Return the fields of a multipart request and the content of its `file`.

    Raises:
        HTTPBadRequest: it has no file.
    """
    fields: dict[str, Any] = {}
    content = b""
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise web.HTTPBadRequest
        if part.name == "file":
            content = bytes(await part.read())
        else:
            fields[part.name] = await part.text()
    if not content:
        raise web.HTTPBadRequest
    return fields, content


async def _stream(answer: Answer, body: dict[str, Any], reply: str | ToolCall) -> None:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(_head(body, answer.number, "chat.completion.chunk") | {"choices": [choice]})

    await answer.frame(chunk({"role": "assistant", "content": None, "refusal": None}))
    if isinstance(reply, str):
        await answer.content(chunk({"content": piece}) for piece in deltas(reply))
    else:
        await answer.content(chunk({"tool_calls": [call]}) for call in _call_deltas(answer, reply))
    await answer.frame(chunk({}, "stop" if isinstance(reply, str) else "tool_calls"))
    if (body.get("stream_options") or {}).get("include_usage"):
        head = _head(body, answer.number, "chat.completion.chunk")
        usage = _usage(body, reply)
        await answer.frame(event(head | {"choices": [], "usage": usage}))
        answer.told["usage"] = usage
    await answer.frame("data: [DONE]\n\n")


def _call_deltas(answer: Answer, call: ToolCall) -> list[dict[str, Any]]:
    function = {"name": call.name, "arguments": ""}
    first = {"index": 0, "id": f"call_{answer.number}", "type": "function", "function": function}
    text = call.encoded()
    parts = [text[start : start + 8] for start in range(0, len(text), 8)]
    return [first, *({"index": 0, "function": {"arguments": part}} for part in parts)]


def _completion(body: dict[str, Any], number: int, reply: str | ToolCall) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    if isinstance(reply, str):
        message["content"] = reply
    else:
        function = {"name": reply.name, "arguments": reply.encoded()}
        message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
    finish = "stop" if isinstance(reply, str) else "tool_calls"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    head = _head(body, number, "chat.completion")
    return head | {"choices": [choice], "usage": _usage(body, reply)}


def _head(body: dict[str, Any], number: int, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "object": kind,
        "created": int(time.time()),
        "model": body.get("model"),
        "service_tier": "default",
    }


def _usage(body: dict[str, Any], reply: str | ToolCall) -> dict[str, Any]:
    """Count words for tokens; all but the last message are in the cache."""
    words = [len(_text(message).split()) for message in body.get("messages", [])]
    asked = sum(words)
    given = len(reply.split()) if isinstance(reply, str) else len(reply.encoded().split())
    return {
        "prompt_tokens": asked,
        "prompt_tokens_details": {"cached_tokens": sum(words[:-1])},
        "completion_tokens": given,
        "total_tokens": asked + given,
    }


def _said(body: dict[str, Any]) -> Said:
    functions = (tool.get("function", {}) for tool in body.get("tools") or [])
    tools = frozenset(function.get("name", "") for function in functions)
    for message in reversed(body.get("messages", [])):
        if message.get("role") in ("user", "tool"):
            return Said(role=message["role"], text=_text(message), tools=tools)
    return Said(role=None, text="", tools=tools)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def _audio_event(part: bytes) -> str:
    return event({"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()})
