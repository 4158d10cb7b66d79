"""What every server does with a request: the key, the journal, the answer, the way out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.providers import refusals
from tests.providers.controls import Controls
from tests.providers.delivery import Answer, Cut, HttpSink, Refused, SocketSink, drop
from tests.providers.journal import Journal
from tests.providers.script import Said, ToolCall
from tests.providers.sound import Samples, Sound

_LONGEST_FRAME = 16 * 1024 * 1024


class Line:
    """A WebSocket to a client: read in the handler, answered in tasks beside it."""

    def __init__(self, request: web.Request, desk: Desk, capability: str) -> None:
        self.socket = web.WebSocketResponse(max_msg_size=_LONGEST_FRAME)
        self._request = request
        self._desk = desk
        self._capability = capability
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    def answer(self, **asked: Any) -> Answer:
        """Return a new answer on this line; what was asked is written down."""
        behaviour = self._desk.controls.take(self._capability)
        sink = SocketSink(self._request, self.socket)
        answer = Answer(sink, behaviour, self._desk.journal, self._capability)
        answer.note("request", **asked)
        return answer

    async def send(self, wire: str) -> None:
        """Send a frame that belongs to no answer."""
        with contextlib.suppress(ConnectionError):
            await self.socket.send_str(wire)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do this beside reading, until it is done or the client leaves."""
        task = asyncio.create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        task.add_done_callback(lambda _: work.close())  # it may never have begun
        return task

    async def aclose(self) -> None:
        """Stop all work of the line and close it.

        Raises:
            BaseException: the first failure of a task that was none of the client's doing.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(ConnectionError):
            await self.socket.close()
        if self._failure is not None:
            raise self._failure

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failure = self._failure or failure
            drop(self._request)


class Desk:
    """What the servers share."""

    def __init__(self, controls: Controls, journal: Journal, sound: Sound) -> None:
        self.controls = controls
        self.journal = journal
        self.sound = sound

    def admit(self, capability: str, key: str | None) -> None:
        """Let a request with this key in.

        Raises:
            Refused: with 401, without a key or with a refused one.
        """
        if not self.controls.accepts(key):
            self.journal.add(capability, "refused", self.journal.number(), status=401)
            raise Refused(401)

    async def http(
        self,
        request: web.Request,
        capability: str,
        asked: dict[str, Any],
        sink: HttpSink,
        give: Callable[[Answer], Awaitable[None]],
    ) -> web.StreamResponse:
        """Answer a request over HTTP: `give` sends the answer into `sink`.

        Raises:
            Refused: the behaviour has a status.
        """
        answer = Answer(sink, self.controls.take(capability), self.journal, capability)
        answer.note("request", **asked)
        try:
            await answer.begin()
            await give(answer)
            if not sink.response.prepared:
                await sink.response.prepare(request)
            answer.end()
        except Cut:
            pass
        except (asyncio.CancelledError, ConnectionError):
            answer.note("gone")
            raise
        return sink.response

    @asynccontextmanager
    async def line(
        self, request: web.Request, capability: str, **asked: Any
    ) -> AsyncIterator[Line]:
        """Open a WebSocket; everything on it ends when the context does.

        Raises:
            Refused: the behaviour has a status.
        """
        behaviour = self.controls.peek(capability)
        if behaviour.status is not None:
            self.controls.take(capability)
            self.journal.add(
                capability, "refused", self.journal.number(), status=behaviour.status, **asked
            )
            raise Refused(behaviour.status)
        line = Line(request, self, capability)
        await line.socket.prepare(request)
        number = self.journal.number()
        self.journal.add(capability, "open", number, **asked)
        try:
            yield line
        finally:
            self.journal.add(capability, "closed", number)
            await line.aclose()

    async def speak(
        self, answer: Answer, text: str, rate: int, *, speed: float = 1.0, volume: float = 1.0
    ) -> bytes:
        """Return the audio to answer with: `text` spoken at `rate`, or what the behaviour wants."""
        wanted = answer.behaviour.sample_rate or rate
        pcm = await self.sound.speak(
            text, wanted, speed=speed, volume=volume, tone=self.controls.tone
        )
        return answer.behaviour.audio(pcm)

    async def hear(self, capability: str, samples: Samples) -> str:
        """Return what an STT answers for this utterance: the scripted text, or what was said."""
        claimed = self.controls.heard.next(capability)
        return await self.sound.hear(samples) if claimed is None else claimed

    def reply(self, answer: Answer, said: Said) -> str | ToolCall:
        """Return what a model answers, by the script and the behaviour."""
        reply = self.controls.script.answer(said)
        return answer.behaviour.text(reply) if isinstance(reply, str) else reply


def application(shape: refusals.Shape) -> web.Application:
    """Return an application that says no in this provider's `shape`."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return refusals.response(shape, refused.status)
        except web.HTTPException as failure:
            if failure.status < 400:
                raise
            return refusals.response(shape, failure.status)

    return web.Application(middlewares=[refuse], client_max_size=_LONGEST_FRAME)


def bearer(request: web.Request) -> str | None:
    """Return the key of an `Authorization: Bearer` header."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(Cut, ConnectionError):
        await work
