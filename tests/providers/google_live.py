"""Google's Live API: a model that hears and speaks, over a WebSocket that must be TLS."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.providers import refusals
from tests.providers.behaviour import chunks, deltas
from tests.providers.delivery import Answer, Cut, Refused, encoded
from tests.providers.desk import Desk, Line, application
from tests.providers.script import Said, ToolCall
from tests.providers.sound import Listener, Samples

_CAPABILITY = "google.realtime"
_METHOD = "GenerativeService.BidiGenerateContent"
_SPOKEN_RATE, _HEARD_RATE = 24_000, 16_000
_BAD_KEY = "API key not valid. Please pass a valid API key."
_INSTRUCTED = "."
"""What a client lets the user say when it wants the model to speak by instructions alone."""
_FROM_URL_SAFE = str.maketrans("-_", "+/")  # Google's client sends one alphabet, others the other
Json = dict[str, Any]


def app(desk: Desk) -> web.Application:
    """Return the server."""

    async def live(request: web.Request) -> web.StreamResponse:
        if not request.match_info["method"].endswith(_METHOD):
            raise web.HTTPNotFound
        async with desk.line(request, _CAPABILITY) as line:
            if desk.controls.accepts(_key(request)):
                await LiveSession(desk, line).run()
            else:
                # Google takes the connection and the setup before it looks at the key.
                await line.socket.receive()
                desk.journal.add(_CAPABILITY, "refused", desk.journal.number(), status=401)
                await line.socket.close(code=1007, message=_BAD_KEY.encode())
        return line.socket

    async def models(request: web.Request) -> web.Response:
        if not desk.controls.accepts(_key(request)):
            # Google answers a bad key 400, not 401.
            error = refusals.google(400, _BAD_KEY)
            error["error"]["details"] = [{"reason": "API_KEY_INVALID"}]
            return web.json_response(error, status=400)
        return web.json_response({"models": [{"name": "models/gemini-local"}]})

    served = application(refusals.google)
    served.router.add_get("/ws/{method}", live)
    served.router.add_get("/v1beta/models", models)
    return served


class LiveSession:
    """One conversation."""

    def __init__(self, desk: Desk, line: Line) -> None:
        self._desk = desk
        self._line = line
        self._setup: Json = {}
        self._tools: frozenset[str] = frozenset()
        self._said = Said(role=None, text="")
        self._turn: asyncio.Task[None] | None = None
        self._answer: Answer | None = None
        self._calls: list[str] = []
        self._listener = Listener(_HEARD_RATE, self._started, self._ended)

    async def run(self) -> None:
        """Serve until the client leaves."""
        self._line.spawn(self._listener.run())
        async for message in self._line.socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            for kind, body in json.loads(message.data).items():
                await self._on(kind.replace("_", "").lower(), body)

    async def _on(self, kind: str, body: Json) -> None:
        if kind == "setup":
            await self._set_up(body)
        elif kind == "realtimeinput":
            await self._input(body)
        elif kind == "clientcontent":
            self._content(body)
            if _either(body, "turnComplete", "turn_complete"):
                await self._respond()
        elif kind == "toolresponse":
            await self._results(body)

    async def _set_up(self, setup: Json) -> None:
        self._setup = setup
        self._tools = frozenset(
            function["name"]
            for tool in setup.get("tools") or []
            for function in _either(tool, "functionDeclarations", "function_declarations") or []
        )
        await self._send(setupComplete={})

    async def _input(self, body: Json) -> None:
        audio = body.get("audio")
        if audio:
            self._listener.push(base64.b64decode(audio["data"].translate(_FROM_URL_SAFE)))
        elif body.get("text"):
            self._said = Said(role="user", text=body["text"])
            await self._respond()

    def _content(self, body: Json) -> None:
        for turn in body.get("turns") or []:
            text = " ".join(part.get("text") or "" for part in turn.get("parts") or [])
            if text == _INSTRUCTED:
                continue
            role = "user" if turn.get("role") == "user" else None
            self._said = Said(role=role, text=text)

    async def _results(self, body: Json) -> None:
        results = _either(body, "functionResponses", "function_responses") or []
        for result in results:
            response = result.get("response") or {}
            text = " ".join(str(value) for value in response.values())
            self._said = Said(role="tool", text=text)
            self._calls = [call for call in self._calls if call != result.get("id")]
        if results and not self._calls:
            await self._respond()

    async def _started(self) -> None:
        await self._interrupt()

    async def _ended(self, samples: Samples) -> None:
        text = await self._desk.hear(_CAPABILITY, samples)
        seconds = samples.size / _HEARD_RATE
        self._desk.journal.add(_CAPABILITY, "audio_in", 0, text=text, seconds=seconds)
        self._said = Said(role="user", text=text)
        if "inputAudioTranscription" in self._setup:
            await self._send(serverContent={"inputTranscription": {"text": text}})
        await self._respond()

    async def _respond(self) -> None:
        await self._interrupt()
        generation = self._setup.get("generationConfig") or {}
        speech = generation.get("speechConfig") or {}
        said = Said(role=self._said.role, text=self._said.text, tools=self._tools)
        self._answer = self._line.answer(
            model=self._setup.get("model"),
            voice=_voice(speech),
            language=_either(speech, "languageCode", "language_code"),
            instructions=self._setup.get("systemInstruction"),
            tools=sorted(self._tools),
            text=said.text,
        )
        self._turn = self._line.spawn(self._give(self._answer, said))

    async def _interrupt(self) -> None:
        """Stop speaking, and say so; calls that are not answered yet are taken back."""
        if self._calls:
            ids, self._calls = self._calls, []
            await self._send(toolCallCancellation={"ids": ids})
        if self._turn is None or self._turn.done() or self._answer is None:
            return
        self._turn.cancel()
        await asyncio.wait([self._turn])
        self._answer.note("cancelled", reason="interrupted")
        await self._send(serverContent={"interrupted": True})
        await self._send(serverContent={"turnComplete": True})

    async def _give(self, answer: Answer, said: Said) -> None:
        try:
            await answer.begin()
        except Refused as refused:
            reason = refusals.google(refused.status, "")["error"]["status"]
            code = 1007 if refused.status == 401 else 1011
            await self._line.socket.close(code=code, message=reason.encode())
            raise Cut from refused
        reply = self._desk.reply(answer, said)
        if isinstance(reply, ToolCall):
            call_id = f"call-{answer.number}"
            call = {"id": call_id, "name": reply.name, "args": reply.arguments}
            self._calls = [call_id]
            await answer.content([encoded({"toolCall": {"functionCalls": [call]}})])
        else:
            await self._say(answer, reply)
            await answer.frame(encoded({"serverContent": {"generationComplete": True}}))
            usage = {"promptTokenCount": 1, "responseTokenCount": 1, "totalTokenCount": 2}
            done = {"serverContent": {"turnComplete": True}, "usageMetadata": usage}
            await answer.frame(encoded(done))
        answer.end()

    async def _say(self, answer: Answer, text: str) -> None:
        pcm = await self._desk.speak(answer, text, _SPOKEN_RATE)
        wires = []
        for part in chunks(pcm, answer.behaviour.sample_rate or _SPOKEN_RATE):
            data = base64.b64encode(part).decode()
            inline = {"mimeType": f"audio/pcm;rate={_SPOKEN_RATE}", "data": data}
            turn = {"role": "model", "parts": [{"inlineData": inline}]}
            wires.append(encoded({"serverContent": {"modelTurn": turn}}))
        await answer.content(wires[:1])
        if "outputAudioTranscription" in self._setup:
            for piece in deltas(text):
                said = {"serverContent": {"outputTranscription": {"text": piece}}}
                await answer.frame(encoded(said))
        await answer.content(wires[1:])

    async def _send(self, **message: Any) -> None:
        await self._line.send(encoded(message))


def _key(request: web.Request) -> str | None:
    return request.headers.get("x-goog-api-key") or request.query.get("key")


def _either(body: Json, camel: str, snake: str) -> Any:
    """Clients write both."""
    return body.get(camel, body.get(snake))


def _voice(speech: Json) -> str | None:
    config = _either(speech, "voiceConfig", "voice_config") or {}
    prebuilt = _either(config, "prebuiltVoiceConfig", "prebuilt_voice_config") or {}
    name: str | None = _either(prebuilt, "voiceName", "voice_name")
    return name
