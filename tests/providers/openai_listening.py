"""OpenAI's transcription sessions: `/v1/realtime?intent=transcription`."""

from __future__ import annotations

import base64
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.providers import refusals
from tests.providers.behaviour import deltas
from tests.providers.delivery import Cut, Refused, encoded
from tests.providers.desk import Desk, Line
from tests.providers.sound import Listener, Samples, samples_of

RATE = 24_000
_STT = "openai.stt"


class TranscriptionSession:
    """One session: the server's VAD cuts utterances, or the client's commits do."""

    def __init__(self, desk: Desk, line: Line) -> None:
        self._desk = desk
        self._line = line
        self._items = 0
        self._buffer = bytearray()
        self._by_vad = True
        self._model: str | None = None
        self._listener = Listener(RATE, self._started, self._ended)

    async def run(self) -> None:
        """Serve until the client leaves."""
        await self._send("session.created", session={"type": "transcription", "id": "sess_local"})
        self._line.spawn(self._listener.run())
        async for message in self._line.socket:
            if message.type is WSMsgType.TEXT:
                await self._on(json.loads(message.data))

    async def _on(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "session.update":
            settings = event["session"].get("audio", {}).get("input", {})
            self._by_vad = settings.get("turn_detection") is not None
            self._model = (settings.get("transcription") or {}).get("model")
            await self._send("session.updated", session=event["session"])
        elif kind == "input_audio_buffer.append":
            pcm = base64.b64decode(event["audio"])
            if self._by_vad:
                self._listener.push(pcm)
            else:
                self._buffer += pcm
        elif kind == "input_audio_buffer.commit":
            samples = samples_of(bytes(self._buffer), RATE)
            self._buffer.clear()
            self._items += 1
            self._line.spawn(self._transcribe(f"item_{self._items}", samples))

    async def _started(self) -> None:
        self._items += 1
        start_ms = int(self._listener.received_s * 1_000)
        item = f"item_{self._items}"
        await self._send("input_audio_buffer.speech_started", item_id=item, audio_start_ms=start_ms)

    async def _ended(self, samples: Samples) -> None:
        item = f"item_{self._items}"
        end_ms = int(self._listener.received_s * 1_000)
        await self._send("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=end_ms)
        await self._transcribe(item, samples)

    async def _transcribe(self, item: str, samples: Samples) -> None:
        await self._send("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        heard = await self._desk.hear(_STT, samples)
        answer = self._line.answer(model=self._model, text=heard, seconds=samples.size / 16_000)
        try:
            await answer.begin()
        except Refused as refused:
            error = refusals.openai(refused.status, f"refused with {refused.status}")["error"]
            await self._send("error", error=error)
            await self._line.socket.close(code=1011)
            raise Cut from refused
        text = answer.behaviour.text(heard)
        head = {"item_id": item, "content_index": 0, "event_id": f"event_{item}"}
        kind = "conversation.item.input_audio_transcription"
        wires = [encoded(head | {"type": f"{kind}.delta", "delta": part}) for part in deltas(text)]
        usage = {"type": "tokens", "input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        done = {"type": f"{kind}.completed", "transcript": text, "usage": usage}
        await answer.transcript(*wires, encoded(head | done))
        answer.end()

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._line.send(encoded({"type": kind, "event_id": "event_local"} | fields))


async def transcription(desk: Desk, request: web.Request) -> web.StreamResponse:
    """Serve a transcription session."""
    async with desk.line(request, _STT, model=request.query.get("model")) as line:
        await TranscriptionSession(desk, line).run()
    return line.socket
