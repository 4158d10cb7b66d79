"""Who answered: the answer detector on a labelled set, fed as a call feeds it, without a call.

The real voice activity detection, embedded STT, tone detector, judge of turns and answer detector;
what is not real is the clock, so that a busy machine changes nothing, and that the recogniser's
words come `WORDS_AFTER_S` after the end of what they were, as they do on a quiet one. The caller of
a machine says nothing here: a call interrupts whoever it takes for a person.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from livekit import rtc
from livekit.agents import vad
from msgspec import Struct

from agent.answering.answer import Answer
from agent.answering.detector import AnswerDetector
from agent.answering.greetings import GreetingComparison
from agent.answering.tones import ToneDetector
from agent.continuation import END_LAG_S, START_LAG_S
from agent.session import load_vad
from agent.turn_taking import PROFILES, Ending, ending_of
from bench.amd_clips import HUMAN, RATE, SEEN, UNKNOWN, UNSEEN, VOICEMAIL, Clip, Studio
from bench.rows import percentile
from control_plane.domain.assistant import Language, TurnTaking
from control_plane.domain.events import AttemptResult
from speech.offline.meaning import Meaning
from speech.offline.stt import OfflineSTT
from speech.offline.voice import Speaker
from speech.offline.whisper import Whisper

PEOPLE = 1_000
HELLO_S = 1.2
"""A hello, and not a sentence."""
WORDS_AFTER_S = 0.5
FRAME_S = 0.02
LANGUAGE = Language.EN_US
AT_ONCE = 2


class Judged(Struct, frozen=True):
    """What the detector made of a clip."""

    clip: Clip
    answer: Answer | None
    heard: str

    @property
    def result(self) -> AttemptResult:
        """Who answered, as the call's row would say."""
        return UNKNOWN if self.answer is None else self.answer.result


class Line:
    """One clip on its way to the detector, on a clock of its own (s since the answer)."""

    def __init__(self, comparison: GreetingComparison) -> None:
        self.detector = AnswerDetector(LANGUAGE)
        self._comparison = comparison
        self.heard: list[str] = []
        self._queue: list[tuple[float, int, str, Any]] = []
        self._order = itertools.count()
        self._turn_at: float | None = None
        self._settles_at: float | None = None
        self._ended_s = 0.0
        self._unsaid = ""

    def put(self, at_s: float, kind: str, what: Any = None) -> None:
        """Have something happen at an instant."""
        heapq.heappush(self._queue, (at_s, next(self._order), kind, what))

    def run(self, until_s: float) -> Answer | None:
        """Let everything happen, and return who it is in the end."""
        while (due := self._next()) is not None and due[0] <= until_s:
            self._happen(*due)
        return self.detector.answer

    def _next(self) -> tuple[float, str, Any] | None:
        timers = [
            (at_s, kind, None)
            for at_s, kind in ((self._turn_at, "turn"), (self._settles_at, "silence"))
            if at_s is not None
        ]
        first = min(timers, default=None, key=lambda each: each[0])
        if self._queue and (first is None or self._queue[0][0] <= first[0]):
            at_s, _, kind, what = heapq.heappop(self._queue)
            return at_s, kind, what
        return first

    def _happen(self, at_s: float, kind: str, what: Any) -> None:
        detector = self.detector
        if kind == "began":
            self._turn_at = self._settles_at = None
            detector.speech_began(at_s - START_LAG_S)
        elif kind == "ended":
            self._ended_s = at_s - END_LAG_S
            detector.speech_ended(self._ended_s)
            self._end_turn(at_s)
        elif kind == "words":
            self.heard.append(what)
            self._unsaid = f"{self._unsaid} {what}".strip()
            detector.heard(what, at_s, is_final=True)
            self._end_turn(at_s)
        elif kind == "tone":
            detector.tone(what, at_s)
        elif kind == "turn":
            self._turn_at = None
            detector.turn(at_s, asks=self._unsaid.endswith("?"))
            self._unsaid = ""
            self._settle(at_s)
        else:
            self._settles_at = None
            detector.silence(at_s)

    def _end_turn(self, at_s: float) -> None:
        if not self._unsaid or self.detector.speaks:
            return
        profile = PROFILES[TurnTaking.BALANCED]
        wait_s = {
            Ending.CERTAIN: profile.finished_s,
            Ending.WHOLE: profile.whole_s,
            Ending.OPEN: profile.open_s,
            Ending.HELD: profile.unfinished_s,
        }[ending_of(self._unsaid, LANGUAGE)]
        self._turn_at = max(at_s, self._ended_s + wait_s)

    def _settle(self, at_s: float) -> None:
        if self.detector.answer is None and not self.detector.speaks:
            if self.detector.is_unclear(at_s):
                self.detector.compared(self._comparison.likeness(self.detector.greeting))
            self._settles_at = at_s + self.detector.settles_in(at_s)


class Hearing:
    """Voice activity detection and recogniser, shared by all clips."""

    def __init__(self) -> None:
        self._vad = load_vad()
        self._decoding = ThreadPoolExecutor(1)
        self._stt = OfflineSTT(Whisper.load(), self._decoding)
        self._comparison = GreetingComparison(Meaning.load(), self._decoding)

    async def judge(self, clip: Clip) -> Judged:
        """Return what the detector makes of a clip."""
        line = Line(self._comparison)
        size = round(FRAME_S * RATE)
        tones, stream = ToneDetector(RATE), self._vad.stream()
        for at in range(0, len(clip.samples) - size + 1, size):
            piece = clip.samples[at : at + size].tobytes()
            stream.push_frame(rtc.AudioFrame(piece, RATE, 1, size))
            for tone in tones.hear(piece):
                line.put((at + size) / RATE, "tone", tone)
        stream.end_input()
        async for event in stream:
            await self._take(line, event)
        await stream.aclose()
        answer = line.run(len(clip.samples) / RATE)
        return Judged(clip, answer, " ".join(line.heard))

    async def _take(self, line: Line, event: vad.VADEvent) -> None:
        if event.type is vad.VADEventType.START_OF_SPEECH:
            line.put(event.timestamp, "began")
        elif event.type is vad.VADEventType.END_OF_SPEECH:
            line.put(event.timestamp, "ended")
            said = await self._stt.recognize(event.frames)
            if words := said.alternatives[0].text:
                ended_s = event.timestamp - event.silence_duration
                line.put(max(event.timestamp, ended_s + WORDS_AFTER_S), "words", words)

    def close(self) -> None:
        """Stop decoding."""
        self._decoding.shutdown()


async def judged(clips: Iterable[Clip]) -> list[Judged]:
    """Judge clips, a few at a time."""
    hearing, seats = Hearing(), asyncio.Semaphore(AT_ONCE)

    async def seated(clip: Clip) -> Judged:
        async with seats:
            return await hearing.judge(clip)

    try:
        return list(await asyncio.gather(*(seated(clip) for clip in clips)))
    finally:
        hearing.close()


def _delay_s(each: Judged) -> float:
    """Return how long after the last word it was known who answers."""
    assert each.answer is not None
    return max(0.0, each.answer.at_s - each.clip.speech_ends_s)


def _share(found: list[Judged], *, right: bool) -> float:
    return 100 * sum((each.result is each.clip.is_) is right for each in found) / len(found)


def _table(name: str, found: list[Judged]) -> Iterator[dict[str, Any]]:
    """Yield a row for each kind of clip: how many of it were taken for what."""
    for kind in dict.fromkeys(each.clip.kind for each in found):
        of_kind = [each for each in found if each.clip.kind == kind]
        counted = Counter(each.result.value for each in of_kind).most_common()
        taken = ", ".join(f"{result} {count}" for result, count in counted)
        yield {
            "id": "AMD",
            "measure": f"{name}: {kind} taken for: {taken}; right",
            "value": round(_share(of_kind, right=True), 1),
            "unit": "%",
            "n": len(of_kind),
        }


def _figures(name: str, found: list[Judged]) -> Iterator[dict[str, Any]]:
    people = [each for each in found if each.clip.is_ is HUMAN]
    voicemails = [each for each in found if each.clip.is_ is VOICEMAIL]
    false = _share(people, right=False)
    missed = 100 * sum(each.result is HUMAN for each in voicemails) / len(voicemails)
    hellos = [_delay_s(each) for each in people if each.clip.speech_s <= HELLO_S and each.answer]
    left = [_delay_s(each) for each in voicemails if each.result is VOICEMAIL]
    late, after = percentile(hellos, 0.95), percentile(left, 0.95)
    goals: tuple[tuple[str, float, str, int, float], ...] = (
        ("people taken for machines", false, "%", len(people), 0.5),
        ("voicemails taken for people", missed, "%", len(voicemails), 5.0),
        ("end of a short hello → known to be a person, p95", late, "s", len(hellos), 1.0),
        ("end of a voicemail's words → known, p95", after, "s", len(left), 2.0),
    )
    for measure, value, unit, count, goal in goals:
        yield {
            "id": "AMD",
            "measure": f"{name}: {measure}",
            "value": round(value, 2),
            "unit": unit,
            "n": count,
            "goal": f"≤ {goal:g} {unit}",
            "met": value <= goal,
        }


async def run() -> list[dict[str, Any]]:
    """Judge both scripts: the one that the detector was changed after, and the one it was not."""
    speaker, rows = Speaker.load(), []
    for name, script, seed, people, rounds in (
        ("seen sentences", SEEN, 20_261_129, PEOPLE, 4),
        ("unseen sentences", UNSEEN, 7, PEOPLE // 5, 6),
    ):
        studio = Studio(speaker, script, seed)
        found = await judged([*studio.people(people), *studio.machines(rounds)])
        rows += [*_figures(name, found), *_table(name, found)]
    return rows
