"""OpenAI's realtime speech model: `/v1/realtime?model=`, with its own VAD, tools and voice."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.providers import refusals
from tests.providers.behaviour import chunks, deltas
from tests.providers.delivery import Answer, Refused, encoded
from tests.providers.desk import Desk, Line
from tests.providers.script import Said, ToolCall
from tests.providers.sound import SILENCE_S, Listener, Samples, samples_of

RATE = 24_000
_CAPABILITY = "openai.realtime"
_LEAST_COMMIT = RATE // 10 * 2
Json = dict[str, Any]


class RealtimeSession:
    """One conversation."""

    def __init__(self, desk: Desk, line: Line, model: str) -> None:
        self._desk = desk
        self._line = line
        self._session: Json = {"type": "realtime", "model": model, "tools": []}
        self._items: dict[str, Json] = {}
        self._said = Said(role=None, text="")
        self._buffer = bytearray()
        self._response: _Response | None = None
        self._listener = Listener(RATE, self._started, self._ended, SILENCE_S)
        self._hearing: asyncio.Task[None] | None = None
        self._numbers = 0
        self._item = ""  # of the utterance that is going on
        self._handlers = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    async def run(self) -> None:
        """Serve until the client leaves."""
        await self.send("session.created", session=self._session)
        self._line.spawn(self._listener.run())
        async for message in self._line.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            handler = self._handlers.get(event.get("type", ""))
            if handler is None:
                await self._error(event, "unknown_event_type", f"no event {event.get('type')!r}")
            else:
                await handler(event)

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event that is part of no response."""
        await self._line.send(self.event(kind, **fields))

    def event(self, kind: str, **fields: Any) -> str:
        """Return an event as it goes over the wire."""
        return encoded({"type": kind, "event_id": self.number("event")} | fields)

    def number(self, kind: str) -> str:
        """Return a new id."""
        self._numbers += 1
        return f"{kind}_{self._numbers}"

    def add(self, item: Json) -> str | None:
        """Put an item at the end of the conversation; returns which one it follows."""
        previous = next(reversed(self._items), None)
        self._items[item["id"]] = item
        return previous

    def _input(self) -> Json:
        settings: Json = self._session.get("audio", {}).get("input", {})
        return settings

    def _turns(self) -> Json | None:
        detection: Json | None = self._input().get("turn_detection")
        return detection

    async def _error(self, event: Json, code: str, message: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
        await self.send("error", error=error | {"event_id": event.get("event_id")})

    async def _update(self, event: Json) -> None:
        self._session |= event["session"]
        self._desk.journal.add(_CAPABILITY, "session", 0, **event["session"])
        await self.send("session.updated", session=self._session)

    async def _append(self, event: Json) -> None:
        pcm = base64.b64decode(event["audio"])
        if self._turns() is None:
            self._buffer += pcm
        else:
            self._listener.push(pcm)

    async def _clear(self, _event: Json) -> None:
        self._buffer.clear()
        await self.send("input_audio_buffer.cleared")

    async def _commit(self, event: Json) -> None:
        if len(self._buffer) < _LEAST_COMMIT:
            message = "Error committing input audio buffer: buffer too small."
            await self._error(event, "input_audio_buffer_commit_empty", message)
            return
        samples = samples_of(bytes(self._buffer), RATE)
        self._buffer.clear()
        self._hearing = self._line.spawn(self._heard(self.number("item"), samples))

    async def _started(self) -> None:
        self._item = self.number("item")
        at_ms = int(self._listener.received_s * 1_000)
        await self.send(
            "input_audio_buffer.speech_started", item_id=self._item, audio_start_ms=at_ms
        )
        turns = self._turns() or {}
        if turns.get("interrupt_response", True) and self._response is not None:
            await self._response.cancel("turn_detected")

    async def _ended(self, samples: Samples) -> None:
        at_ms = int(self._listener.received_s * 1_000)
        item = self._item
        await self.send("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=at_ms)
        await self._heard(item, samples)
        if (self._turns() or {}).get("create_response", True):
            await self._respond({})

    async def _heard(self, item_id: str, samples: Samples) -> None:
        content = [{"type": "input_audio", "transcript": None}]
        item = {"id": item_id, "type": "message", "role": "user", "status": "completed"}
        previous = self.add(item | {"content": content})
        await self.send("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous)
        await self.send(
            "conversation.item.added", previous_item_id=previous, item=item | {"content": content}
        )
        text = await self._desk.hear(_CAPABILITY, samples)
        self._said = Said(role="user", text=text)
        self._desk.journal.add(_CAPABILITY, "audio_in", 0, text=text, seconds=samples.size / 16_000)
        if self._input().get("transcription"):
            kind = "conversation.item.input_audio_transcription"
            head = {"item_id": item_id, "content_index": 0}
            await self.send(f"{kind}.delta", delta=text, **head)
            usage = {"type": "duration", "seconds": samples.size / 16_000}
            await self.send(f"{kind}.completed", transcript=text, usage=usage, **head)

    async def _create_item(self, event: Json) -> None:
        item = {"id": self.number("item"), "status": "completed"} | event["item"]
        if item["type"] == "function_call_output":
            self._said = Said(role="tool", text=str(item.get("output", "")))
        elif item.get("role") == "user":
            parts = item.get("content") or []
            text = " ".join(part.get("text") or part.get("transcript") or "" for part in parts)
            self._said = Said(role="user", text=text)
        before = event.get("previous_item_id")
        last = self.add(item)
        previous = last if before is None else None if before == "root" else before
        await self.send("conversation.item.added", previous_item_id=previous, item=item)
        await self.send("conversation.item.done", previous_item_id=previous, item=item)

    async def _delete_item(self, event: Json) -> None:
        if self._items.pop(event["item_id"], None) is None:
            await self._error(event, "item_delete_invalid_item_id", "no such item")
        else:
            await self.send("conversation.item.deleted", item_id=event["item_id"])

    async def _truncate_item(self, event: Json) -> None:
        cut = {key: event[key] for key in ("item_id", "content_index", "audio_end_ms")}
        self._desk.journal.add(_CAPABILITY, "truncate", 0, **cut)
        if event["item_id"] in self._items:
            await self.send("conversation.item.truncated", **cut)
        else:
            await self._error(event, "item_truncate_invalid_item_id", "no such item")

    async def _create_response(self, event: Json) -> None:
        if self._response is not None and self._response.active:
            message = "Conversation already has an active response in progress."
            await self._error(event, "conversation_already_has_active_response", message)
        else:
            if self._hearing is not None:  # the answer is to what was committed before
                await asyncio.wait([self._hearing])
            await self._respond(event.get("response") or {})

    async def _cancel_response(self, event: Json) -> None:
        if self._response is None or not self._response.active:
            message = "Cancellation failed: no active response found"
            await self._error(event, "response_cancel_not_active", message)
        else:
            await self._response.cancel("client_cancelled")

    async def _respond(self, wanted: Json) -> None:
        settings = self._session | {key: value for key, value in wanted.items() if value}
        choice = wanted.get("tool_choice", self._session.get("tool_choice"))
        tools = [] if choice == "none" else settings.get("tools") or []
        names = frozenset(tool.get("name", "") for tool in tools)
        said = Said(role=self._said.role, text=self._said.text, tools=names)
        if wanted.get("instructions"):  # of this response alone, after those of the session
            order = wanted["instructions"].splitlines()[-1]
            said = Said(role=None, text=order, tools=names)
        self._response = _Response(self._desk, self._line, self, settings)
        self._response.start(said)


class _Response:
    """One response of the model: speech, text or a call."""

    def __init__(self, desk: Desk, line: Line, session: RealtimeSession, settings: Json) -> None:
        self._desk = desk
        self._line = line
        self._session = session
        self._settings = settings
        self._output = settings.get("audio", {}).get("output", {})
        self._id = session.number("resp")
        self._item: Json | None = None
        self._created = False
        self._task: asyncio.Task[None] | None = None
        self._answer: Answer | None = None

    @property
    def active(self) -> bool:
        """Whether it is still being given."""
        return self._task is not None and not self._task.done()

    def start(self, said: Said) -> None:
        """Begin to answer what was said."""
        self._answer = self._line.answer(
            model=self._settings.get("model"),
            voice=self._output.get("voice"),
            speed=self._output.get("speed"),
            instructions=self._settings.get("instructions"),
            tools=sorted(said.tools),
            text=said.text,
        )
        self._task = self._line.spawn(self._give(self._answer, said))

    async def cancel(self, reason: str) -> None:
        """Stop, and say so."""
        if self._task is None or self._task.done() or self._answer is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        self._answer.note("cancelled", reason=reason)
        if not self._created:
            await self._session.send("response.created", response=self._described("in_progress"))
        if self._item is not None:
            item = self._item | {"status": "incomplete"}
            await self._session.send("response.output_item.done", item=item, **self._head())
        details = {"type": "cancelled", "reason": reason}
        await self._session.send(
            "response.done", response=self._described("cancelled", status_details=details)
        )

    def _head(self) -> Json:
        return {"response_id": self._id, "output_index": 0}

    def _described(self, status: str, **fields: Any) -> Json:
        return {
            "id": self._id,
            "object": "realtime.response",
            "status": status,
            "status_details": None,
            "output": [] if self._item is None else [self._item],
            "metadata": self._settings.get("metadata"),
            "usage": None,
        } | fields

    async def _give(self, answer: Answer, said: Said) -> None:
        try:
            await answer.begin()
        except Refused as refused:
            await self._fail(refused.status)
            return
        await self._frame(answer, "response.created", response=self._described("in_progress"))
        self._created = True
        reply = self._desk.reply(answer, said)
        if isinstance(reply, ToolCall):
            await self._call(answer, reply)
        else:
            await self._say(answer, reply)
        item, self._item = self._item, None
        details = {"text_tokens": 1, "audio_tokens": 1}
        usage = {"total_tokens": 4, "input_tokens": 2, "output_tokens": 2}
        usage_of = usage | {"input_token_details": details, "output_token_details": details}
        done = self._described("completed", output=[item], usage=usage_of)
        await self._frame(answer, "response.done", response=done)
        answer.end()

    async def _fail(self, status: int) -> None:
        error = refusals.openai(status, f"refused with {status}")["error"]
        details = {"type": "failed", "error": {"type": error["type"], "code": error["code"]}}
        await self._session.send("response.created", response=self._described("in_progress"))
        await self._session.send(
            "response.done", response=self._described("failed", status_details=details)
        )

    async def _frame(self, answer: Answer, kind: str, **fields: Any) -> None:
        await answer.frame(self._session.event(kind, **fields))

    async def _open(self, answer: Answer, item: Json) -> None:
        self._item = item
        previous = self._session.add(item)
        await self._frame(answer, "response.output_item.added", item=item, **self._head())
        await self._frame(answer, "conversation.item.added", previous_item_id=previous, item=item)

    async def _close(self, answer: Answer, **fields: Any) -> None:
        assert self._item is not None
        self._item |= {"status": "completed"} | fields
        await self._frame(answer, "response.output_item.done", item=self._item, **self._head())

    async def _call(self, answer: Answer, call: ToolCall) -> None:
        item = {"id": self._session.number("item"), "type": "function_call", "name": call.name}
        item |= {"call_id": self._session.number("call"), "status": "in_progress"}
        await self._open(answer, item | {"arguments": ""})
        kind, head = "response.function_call_arguments", self._head() | {"item_id": item["id"]}
        await answer.content([self._session.event(f"{kind}.delta", delta=call.encoded(), **head)])
        await self._frame(answer, f"{kind}.done", arguments=call.encoded(), **head)
        await self._close(answer, arguments=call.encoded())

    async def _say(self, answer: Answer, text: str) -> None:
        item = {"id": self._session.number("item"), "type": "message", "role": "assistant"}
        await self._open(answer, item | {"status": "in_progress", "content": []})
        head = self._head() | {"item_id": item["id"], "content_index": 0}
        if "audio" not in (self._settings.get("output_modalities") or ["audio"]):
            part = {"type": "text", "text": ""}
            await self._frame(answer, "response.content_part.added", part=part, **head)
            kind = "response.output_text"
            await answer.content(
                self._session.event(f"{kind}.delta", delta=piece, **head) for piece in deltas(text)
            )
            await self._frame(answer, f"{kind}.done", text=text, **head)
            await self._close(answer, content=[{"type": "output_text", "text": text}])
            return
        part = {"type": "audio", "transcript": ""}
        await self._frame(answer, "response.content_part.added", part=part, **head)
        await self._speak(answer, text, head)
        await self._frame(answer, "response.output_audio.done", **head)
        kind = "response.output_audio_transcript"
        await self._frame(answer, f"{kind}.done", transcript=text, **head)
        await self._close(answer, content=[{"type": "output_audio", "transcript": text}])

    async def _speak(self, answer: Answer, text: str, head: Json) -> None:
        speed = float(self._output.get("speed") or 1.0)
        pcm = await self._desk.speak(answer, text, RATE, speed=speed)
        kind = "response.output_audio_transcript.delta"
        for piece in deltas(text):
            await self._frame(answer, kind, delta=piece, **head)
        audio = (
            base64.b64encode(part).decode()
            for part in chunks(pcm, answer.behaviour.sample_rate or RATE)
        )
        await answer.content(
            self._session.event("response.output_audio.delta", delta=part, **head) for part in audio
        )


async def conversation(desk: Desk, request: web.Request) -> web.StreamResponse:
    """Serve a conversation."""
    model = request.query.get("model", "")
    async with desk.line(request, _CAPABILITY, model=model) as line:
        await RealtimeSession(desk, line, model).run()
    return line.socket
