"""What cannot be taken back is done once the person has finished: never on half of a turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from livekit.agents import (
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.voice import SpeechHandle
from msgspec import Struct

from agent.limits import played
from process.logs import get_logger

log = get_logger(__name__)

PLAYOUT_LIMIT_S = 20.0
QUIET_S = 0.65
"""Silence before the agent's own sentence and before the deed, counted from where voice activity
detection has ended the person's speech: about 0.9 s after their last sound."""
WORDS_LIMIT_S = 2.0
"""By then what the person said has been written down, or it was no word."""

INSIST_S = 15.0
"""A request that comes again so soon after it was taken back is the same one."""


class Talk(Protocol):
    """What is looked at of a session."""

    @property
    def user_state(self) -> str: ...
    def on(self, event: Any, callback: Callable[..., Any], /) -> Any:
        """Call `callback` with every event of this name."""


class Says(Protocol):
    """Who says a sentence that no model made up."""

    def say(self, text: str) -> SpeechHandle:
        """Say `text`."""
        ...


class Deed(Struct, frozen=True, kw_only=True):
    """What the model wants done.

    Attributes:
        do: does it; what it raises is logged, and nothing else comes of it.
        told: what the model is told meanwhile; null: nothing, and it says nothing more.
        sentence: said before; none where the agent has spoken in that reply.
        fallback: said in its place, when the agent has not spoken either.
        insists_by: what it is for; a request for the same that comes again after the person went on
            waits no longer: the model has heard all of it. Null: every one waits.
    """

    do: Callable[[], Awaitable[None]]
    told: str | None = None
    sentence: str = ""
    fallback: str = ""
    insists_by: str | None = None


class ToolRequest(Struct, frozen=True):
    """A deed, with the id of the tool's call and the reply that this is part of."""

    call_id: str
    speech: SpeechHandle
    deed: Deed


class Irrevocable:
    """Waits with each request until the person has finished too.

    Whatever the person says in between takes the requests back: the model is asked anew with all of
    it, and wants the same again or something else. Those of one reply are carried out in order; the
    first of a later reply takes the place of what still waits.
    """

    def __init__(self, session: Talk, speaker: Says) -> None:
        self._session = session
        self._speaker = speaker
        self._said: set[str] = set()  # heard to their end, before what was taken back after it
        self._stirred = asyncio.Event()
        self._quiet_since = time.monotonic()
        self._unwritten = False  # the person spoke, and no words have come of it
        self._went_on = False  # they said something since the latest request
        self._open: set[str] = set()
        self._withdrawn: tuple[str | None, float] = (None, 0.0)  # what of, and when
        self._speech: SpeechHandle | None = None
        self._waiting: list[ToolRequest] = []
        self._is_doing = False
        self._task: asyncio.Task[None] | None = None
        session.on("user_state_changed", self._on_user_state)
        session.on("user_input_transcribed", self._on_words)
        session.on("conversation_item_added", self._on_item)

    def begin(self, request: ToolRequest) -> None:
        """The model wants this."""
        if request.speech is not self._speech:
            self._drop()
        self._speech = request.speech
        self._went_on, self._unwritten = False, self._session.user_state == "speaking"
        self._open.add(request.call_id)
        self._waiting.append(request)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._carry_out(), name="irrevocable")

    def is_pending(self, call_id: str) -> bool:
        """Whether a tool's call is a request that was not carried out: it goes with its turn."""
        return call_id in self._open

    def person_acted(self) -> None:
        """The person did something that is no speech, such as pressing a key."""
        self._went_on = True
        self._stirred.set()

    async def aclose(self) -> None:
        """Think no more of it."""
        task, self._is_doing = self._task, False
        self._drop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def _drop(self) -> None:
        """Forget what waits; what is being done is done to its end."""
        self._waiting.clear()
        if self._task is not None and not self._is_doing:
            self._task.cancel()
            self._task = None

    async def _carry_out(self) -> None:
        while self._waiting:
            request = self._waiting[0]
            if not await self._is_settled(request):
                self._withdrawn = (request.deed.insists_by, time.monotonic())
                self._waiting.clear()
                return
            self._waiting.remove(request)
            self._said.clear()  # another request has its own sentence, also for the same again
            self._open.discard(request.call_id)
            self._is_doing = True
            try:
                await request.deed.do()
            except Exception:
                log.exception("what the model wanted could not be done")
            finally:
                self._is_doing = False

    async def _is_settled(self, request: ToolRequest) -> bool:
        """Return once the request may be carried out, and whether it still stands."""
        await played(request.speech, PLAYOUT_LIMIT_S)
        if self._insists(request):
            return True
        if request.speech.interrupted:
            return False
        spoke = any(item.type == "message" for item in request.speech.chat_items)
        sentence = request.deed.sentence or ("" if spoke else request.deed.fallback)
        if sentence and sentence not in self._said:
            if not await self._person_is_done():
                return False
            handle = self._speaker.say(sentence)
            await played(handle, PLAYOUT_LIMIT_S)
            if handle.interrupted:
                return False
            self._said.add(sentence)
        return await self._person_is_done()

    def _insists(self, request: ToolRequest) -> bool:
        withdrawn, at = self._withdrawn
        is_same = withdrawn is not None and request.deed.insists_by == withdrawn
        return is_same and time.monotonic() - at <= INSIST_S

    async def _person_is_done(self) -> bool:
        """Return once the person is quiet, and whether they have said nothing new."""
        while not self._went_on:
            self._stirred.clear()
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._stirred.wait()
            except TimeoutError:
                return not self._went_on
        return False

    def _wait_s(self) -> float | None:
        if self._session.user_state == "speaking":
            return None
        limit_s = WORDS_LIMIT_S if self._unwritten else QUIET_S
        return max(0.0, self._quiet_since + limit_s - time.monotonic())

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._unwritten = True
        else:
            self._quiet_since = time.monotonic()
        self._stirred.set()

    def _on_words(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final and event.transcript.strip():
            self._wrote()

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if event.item.type == "message" and event.item.role == "user":
            self._wrote()

    def _wrote(self) -> None:
        # A model that hears by itself writes down late: words without a sound before them in
        # this while belong to what made it want this.
        if self._unwritten:
            self._unwritten, self._went_on = False, True
            self._stirred.set()
