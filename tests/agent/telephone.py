"""A telephone held to the agent's own line: a whole conversation without SIP, room or network."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.voice import io
from rapidfuzz import fuzz
from scipy.signal import resample_poly

from agent.answering.watch import AnswerWatch
from agent.audio.frames import SAID_RATE
from agent.audio.input import FRAME_MS, HEARD_RATE
from agent.audio.output import AudioOutput
from agent.call import Call
from agent.call_agent import CallAgent
from agent.ending import Verdict
from agent.first_sentence import prepare
from agent.opening import Opening
from agent.presence import HANG_UPS
from agent.prompt import Texts
from agent.reporter import Reporter
from agent.session import Engines, build_parts, build_session
from agent.typed import TypedTurns
from control_plane.domain.brief import CallBrief
from control_plane.domain.events import (
    CallEvent,
    EndedBy,
    EventBatch,
    EventReceipt,
    ItemSaid,
    Role,
)
from control_plane.domain.human_leg import HumanResult, HumanState, HumanView
from sip.ports import SipTrouble, TransferFailure
from speech.offline.voice import SAMPLE_RATE, Speaker
from tests.system.far_end import without_silence

LOUD = 0.02 * 32_768
"""Above this it is speech, as it is to the phones of `tests/system`."""
READY_LIMIT_S = 30.0
STOOD_STILL_S = 0.3
"""A gap shorter than this between two pieces is the machine's; no silence of the agent's is."""
_FRAME = HEARD_RATE * FRAME_MS // 1_000
_QUIET = np.zeros(_FRAME, np.int16)
Samples = npt.NDArray[np.int16]
RATE = SAID_RATE
"""Hz of what is heard of the agent."""


def alike(said: str, heard: str) -> float:
    """Return how alike words are, of 100."""
    return fuzz.partial_ratio(said.lower(), heard.lower())


def spoken(speaker: Speaker, text: str) -> Samples:
    """Return `text` at the rate at which an agent hears."""
    pcm = np.frombuffer(b"".join(speaker.stream(text)), np.int16)
    whole = resample_poly(pcm.astype(np.float64), HEARD_RATE, SAMPLE_RATE)
    return without_silence(whole.clip(-32_768, 32_767).astype(np.int16))


class Telephone(io.AudioInput):
    """What the agent hears, frame by frame in real time, and what is heard of the agent."""

    def __init__(self) -> None:
        super().__init__(label="telephone")
        self._answered_at = time.time()
        self._due_at = 0.0
        self._saying: deque[Samples] = deque()
        self._said = asyncio.Event()
        self._sounds: list[tuple[float, Samples]] = []
        self._loud_until = 0.0
        self._louder = asyncio.Event()
        self.asked: list[tuple[float, float]] = []

    @property
    def spoke_until(self) -> float:
        """When the agent's last sound was heard, in seconds since the answer."""
        return self._loud_until

    def answer(self) -> None:
        """Count from here."""
        self._answered_at = time.time()

    @property
    def now(self) -> float:
        """Seconds since the answer."""
        return time.time() - self._answered_at

    async def __anext__(self) -> rtc.AudioFrame:
        now = time.monotonic()
        if self._due_at > now:
            await asyncio.sleep(self._due_at - now)
        self._due_at = max(self._due_at, now - 1.0) + FRAME_MS / 1_000
        piece = self._saying.popleft() if self._saying else _QUIET
        if not self._saying:
            self._said.set()
        return rtc.AudioFrame(piece.tobytes(), HEARD_RATE, 1, _FRAME)

    def take(self, samples: bytes, at: float) -> None:
        """Hear the agent: int16 mono at `SAID_RATE`, from the instant `at` on."""
        piece = np.frombuffer(samples, np.int16)
        self._sounds.append((at - self._answered_at, piece))
        if np.abs(piece.astype(np.int32)).max(initial=0) > LOUD:
            self._loud_until = at - self._answered_at + len(piece) / SAID_RATE
            self._louder.set()

    def cut(self, at: float) -> None:
        """Forget what would have been heard after `at`."""
        until = at - self._answered_at
        kept = []
        for began, piece in self._sounds:
            samples = max(0, round((until - began) * SAID_RATE))
            if samples:
                kept.append((began, piece[:samples]))
        self._sounds = kept
        self._loud_until = min(self._loud_until, until)

    def heard(self) -> Samples:
        """Return what was heard since the answer, at `SAID_RATE`.

        Where this process stood still for a moment the words go on at once: whether they come
        without a gap is heard on the wire, in `tests/system`, and not beside other calls here.
        """
        placed, end = [], 0
        for began, piece in self._sounds:
            at = round(began * SAID_RATE)
            first = end if end and at - end < STOOD_STILL_S * SAID_RATE else at
            placed.append((first, piece))
            end = first + len(piece)
        whole = np.zeros(end + 1, np.int16)
        for first, piece in placed:
            if first >= 0:
                whole[first : first + len(piece)] = piece
        return whole

    async def say(self, samples: Samples) -> None:
        """Say this, at `HEARD_RATE`; returns once it is said."""
        padded = np.pad(samples, (0, -len(samples) % _FRAME))
        began = self.now
        self._said.clear()
        self._saying.extend(padded.reshape(-1, _FRAME))
        await self._said.wait()
        self.asked.append((began, self.now))

    async def hear(self) -> None:
        """Wait until the agent speaks, from now on."""
        began = self.now
        while self._loud_until <= began:
            self._louder.clear()
            await self._louder.wait()

    async def listen(self, quiet_s: float) -> None:
        """Wait until the agent has spoken, from now on, and was quiet for so long."""
        began = self.now
        while True:
            self._louder.clear()
            left = self._loud_until + quiet_s - self.now
            if self._loud_until > began and left <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left if self._loud_until > began else None):
                    await self._louder.wait()


class Handset:
    """The far end's telephone: what was done to it."""

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.is_telephone = True
        self.keys: list[tuple[float, str]] = []
        self.transfers: list[str] = []
        self.rang: list[int] = []
        self.outcome: asyncio.Future[TransferFailure | None] = asyncio.Future()
        self.asked_in: list[tuple[str, str, str]] = []
        self.human: asyncio.Future[HumanView] = asyncio.Future()
        self.asked_first: list[bool] = []
        self.noted: list[HumanResult] = []
        self.keeps = True
        self.private = Private()

    async def press(self, key: str) -> None:
        """Take a key."""
        self.keys.append((time.monotonic(), key))

    async def transfer(self, to_number: str, *, ringing_s: int) -> TransferFailure | None:
        """Be passed on; `outcome` says what comes of it."""
        self.transfers.append(to_number)
        self.rang.append(ringing_s)
        return await asyncio.shield(self.outcome)

    async def bring_in(
        self, to_number: str, *, reason: str, because: str, is_asked_first: bool = False
    ) -> HumanView:
        """Have a human called; `human` says what comes of it."""
        self.asked_in.append((to_number, reason, because))
        self.asked_first.append(is_asked_first)
        return await asyncio.shield(self.human)

    async def note(self, human_id: str, result: HumanResult) -> HumanView:
        """Keep what a human said."""
        self.noted.append(result)
        if not self.keeps:
            return HumanView(id=human_id, state=HumanState.OVER, result=HumanResult.FAILED)
        takes = result is HumanResult.ANSWERED
        state = HumanState.ANSWERED if takes else HumanState.OVER
        return HumanView(id=human_id, state=state, result=result)

    @asynccontextmanager
    async def aside(self, *_: object) -> AsyncIterator[Private]:
        """Talk to the human."""
        yield self.private


class Private:
    """The human's side, as long as the person does not hear it."""

    def __init__(self) -> None:
        self.on_words: Callable[[str], None] | None = None
        self.on_key: Callable[[str], None] | None = None
        self.on_left: Callable[[], None] | None = None
        self.done: list[str] = []
        """What was done to the human, in order."""
        self.told_s = 0.0
        self.fails = False

    def say(self, frames: Iterable[rtc.AudioFrame]) -> float:
        """Hear this; it is over at once."""
        self.told_s += sum(frame.duration for frame in frames)
        self.done.append("told")
        return 0.01

    async def isolate(self) -> None:
        """Be set apart, unless that fails."""
        if self.fails:
            raise SipTrouble("LiveKit does not answer")
        self.done.append("isolated")

    async def connect(self) -> None:
        """Be connected."""
        self.done.append("connected")

    async def put_out(self) -> None:
        """Be hung up."""
        self.done.append("put out")

    def presses(self, key: str) -> None:
        """Press a key."""
        assert self.on_key is not None
        self.on_key(key)


class Books:
    """A control plane that keeps what was said."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []
        self._grown = asyncio.Event()
        self.said: list[str] = []
        self.by: dict[Role, list[str]] = {role: [] for role in Role}
        """The same, by who said it."""

    async def post_events(self, _session_id: str, batch: EventBatch) -> EventReceipt:
        """Take events."""
        self.events += batch.events
        self._grown.set()
        for each in batch.events:
            if isinstance(each, ItemSaid):
                self.said.append(each.content)
                self.by[each.role].append(each.content)
        return EventReceipt(through=batch.events[-1].seq)

    async def until(self, wanted: Callable[[Books], bool]) -> None:
        """Return once they are as wanted."""
        while not wanted(self):
            self._grown.clear()
            await self._grown.wait()

    async def post_recording(self, *_: Any) -> int:
        """Take no recording: there is none here."""
        raise AssertionError("no recording here")


class Conversation:
    """A call that rings; then one that was answered.

    Args:
        books: what the control plane was told.
    """

    def __init__(
        self,
        call: Call,
        call_agent: CallAgent,
        telephone: Telephone,
        books: Books,
        *,
        session: AgentSession[None],
        far_end: Handset,
    ) -> None:
        self._call = call
        self._call_agent = call_agent
        self._conversing: asyncio.Task[Verdict] | None = None
        self.telephone = telephone
        self.books = books
        self.session = session
        self.far_end = far_end

    def answer(self) -> None:
        """Pick up: the agent greets."""
        self.telephone.answer()
        self._conversing = asyncio.create_task(
            self._call.converse(self._call_agent), name="conversation"
        )

    def typed(self) -> TypedTurns:
        """Return what takes the messages of a person who came by a page, as `agent.call` does."""
        return TypedTurns(
            self.session, self._call.ending, self._call_agent.receive_typed, self._call.on_typed
        )

    def person_leaves(self) -> None:
        """Their participant leaves the room, as when they hang up."""
        person = SimpleNamespace(
            identity="person", disconnect_reason=HANG_UPS[0], attributes=dict[str, str]()
        )
        self.far_end.room.emit("participant_disconnected", person)  # type: ignore[arg-type]

    def hang_up(self) -> None:
        """End it, as the person."""
        self._call.ending.end(EndedBy.USER)

    async def over(self) -> Verdict:
        """Return how it ended, once the person would be hung up."""
        assert self._conversing is not None
        return await asyncio.shield(self._conversing)

    async def aclose(self) -> None:
        """End it, unless it has ended."""
        self.hang_up()
        if self._conversing is not None:
            await self._conversing


@asynccontextmanager
async def ringing(brief: CallBrief, engines: Engines) -> AsyncIterator[Conversation]:
    """Let it ring: the agent's real parts are ready, put together as `agent.entrypoint` does.

    Raises:
        agent.first_sentence.NotPrepared: a provider failed while it would still ring.
    """
    books, telephone = Books(), Telephone()
    reporter = Reporter(books, brief.session_id, brief.epoch, heartbeat_s=60.0)
    parts, texts = build_parts(brief, engines), Texts(brief, datetime.now(UTC))
    spec = brief.assistant
    session = build_session(parts, engines, spec.turn_taking, spec.language)
    line = AudioOutput(telephone.take, telephone.cut)
    session.input.audio = telephone
    session.output.audio, session.output.transcription = line, line.transcript
    room = rtc.Room()  # nobody is in it; the call has its keys and its end from there
    far_end = Handset(room)
    answering = AnswerWatch(brief, texts, parts.adviser, engines.greetings)
    call = Call(
        brief,
        texts,
        far_end,
        session,
        reporter=reporter,
        output=line,
        parts=parts,
        answering=answering,
    )
    try:
        call_agent = CallAgent(
            brief,
            texts,
            first=Opening(await prepare(brief, texts, parts.llm, parts.tts), spec.language),
            continuation=call.continuation,
            is_speaking=lambda: line.is_speaking,
            tools=call.tools,
            may_reply=answering.may_reply,
        )
        line.start()
        await session.start(agent=call_agent, record=False)
        call.recovery.prepare()
        async with asyncio.timeout(READY_LIMIT_S):
            await call.recovery.prepared.wait()
        conversation = Conversation(
            call, call_agent, telephone, books, session=session, far_end=far_end
        )
        try:
            yield conversation
        finally:
            await conversation.aclose()
    finally:
        await line.aclose()
        await call.recovery.aclose()
        await session.aclose()
        await parts.aclose()
        await reporter.aclose(1.0)
