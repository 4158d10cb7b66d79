"""One conversation from ready to over: greets, watches, ends, and says why."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from livekit import rtc
from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    CloseEvent,
    CloseReason,
    UserStateChangedEvent,
)

from agent.answering.watch import AnswerWatch
from agent.audio.output import AudioOutput
from agent.call_agent import CallAgent
from agent.continuation import Continuation
from agent.dtmf import KeyCollector
from agent.ending import Ending, Verdict, report_end
from agent.failure_recovery import FailureRecovery
from agent.failures import describe
from agent.false_alarms import FalseAlarms
from agent.far_end import FarEnd
from agent.limits import SilenceWatch, enforce_max_duration
from agent.masking import Masks
from agent.presence import HANG_UPS, Seen, presence_of
from agent.prompt import Texts
from agent.reporter import Reporter
from agent.session import Parts
from agent.speaker import Speaker
from agent.spoken import Spoken
from agent.tools.irrevocable import Irrevocable
from agent.tools.table import offered
from agent.tools.tool import Surroundings
from agent.transcript import Transcriber
from agent.transferring import Transferring
from agent.turn_taking import TurnJudge
from agent.typed import TypedTurns
from agent.warm.introduction import Introduction
from control_plane.domain.assistant import TELEPHONE_DELAY_MS
from control_plane.domain.brief import LOST_ATTRIBUTE, CallBrief, Direction
from control_plane.domain.events import (
    CallAnswered,
    EndedBy,
    EndReason,
    HoldBegan,
    HoldEnded,
)
from sip import leaving, line

GREET_ANYWAY_S = 2.5
"""The person spoke first, but no reply came of it (a cough): greet after this."""
HUSH_LIMIT_S = 1.0
AUDIO = rtc.TrackKind.KIND_AUDIO


class Call:
    """Runs a started session against the person's side of the call.

    `tools` are what its model may call.
    """

    def __init__(
        self,
        brief: CallBrief,
        texts: Texts,
        far_end: FarEnd,
        session: AgentSession[None],
        *,
        reporter: Reporter,
        output: AudioOutput,
        parts: Parts,
        answering: AnswerWatch,
    ) -> None:
        self._brief = brief
        self._texts = texts
        self._far_end = far_end
        self._room = far_end.room
        self._session = session
        self._reporter = reporter
        self._output = output
        self._speaker = Speaker(session)
        self.ending = Ending()
        self._answering = answering
        self.recovery = FailureRecovery(
            brief,
            session,
            self._speaker,
            output,
            ending=self.ending,
            on_said=lambda text: self._transcriber.said_aside(text),
            voice=parts.voice_aside,
            holds=lambda: answering.holds,
        )
        self._is_on_hold = False
        self._in_browser = brief.direction is Direction.BROWSER
        self._person = presence_of(brief, self.ending)
        self._irrevocable = Irrevocable(session, self._speaker)
        self._person_began = asyncio.Event()
        self._false_alarms = FalseAlarms(session)
        judge = session.turn_detection
        self.continuation = Continuation(
            session,
            judge if isinstance(judge, TurnJudge) else None,
            on_taken_back=lambda message: self._transcriber.take_back(message),
            is_pending=self._irrevocable.is_pending,
        )
        self._silence = SilenceWatch(
            brief.assistant,
            session,
            self._speaker,
            self.ending,
            is_away=lambda: self._person.is_away,
            holds=lambda: answering.holds,
            is_dealt_with=answering.is_unanswered,
        )
        masks = Masks()
        self._transcriber = Transcriber(session, reporter, self.continuation, masks)
        self._keys = KeyCollector(
            session,
            reporter,
            brief.participant_identity,
            masks=masks,
            on_pressed=self._on_pressed,
        )
        self._transferring = self._make_transferring(parts)
        self.tools = offered(self._surroundings())
        self._watch()

    def _make_transferring(self, parts: Parts) -> Transferring:
        brief, session, far_end, output = self._brief, self._session, self._far_end, self._output
        return Transferring(
            brief,
            session,
            far_end,
            reporter=self._reporter,
            ending=self.ending,
            silence=self._silence,
            output=output,
            introduction=Introduction(
                brief, self._texts, session, far_end, output=output, aside=parts.aside
            ),
        )

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            brief=self._brief,
            texts=self._texts,
            session=self._session,
            speaker=self._speaker,
            reporter=self._reporter,
            ending=self.ending,
            far_end=self._far_end,
            keys=self._keys,
            transferring=self._transferring,
            irrevocable=self._irrevocable,
        )

    async def wait_answered(self) -> bool:
        """Return whether the person's side became active before the call ended."""
        self._check()
        lost = asyncio.create_task(self._lost(), name="lease") if self._in_browser else None
        try:
            return await self._person.wait_answered()
        finally:
            if lost is not None:
                lost.cancel()

    async def converse(self, call_agent: CallAgent) -> Verdict:
        """Hold the conversation; returns how it ended. Call it once answered."""
        answered_at = time.monotonic()
        self._person.answered.set()
        if self._in_browser:  # there is a page to type in
            turns = TypedTurns(self._session, self.ending, call_agent.receive_typed, self.on_typed)
            turns.follow(self._room, self._brief.participant_identity)
        self._answering.answered(
            self._session,
            self._speaker,
            self._reporter,
            self.ending,
            call_agent.first,
            self._silence,
        )
        person = self._room.remote_participants.get(self._brief.participant_identity)
        self._reporter.report(
            CallAnswered, sip_call_id=person.attributes.get("sip.callIDFull", "") if person else ""
        )
        spec = self._brief.assistant
        watchers = [
            asyncio.create_task(
                enforce_max_duration(
                    spec.max_call_duration_secs,
                    self._texts.spoken(spec.max_duration_end_message),
                    self._speaker,
                    self.ending,
                    answered_at,
                ),
                name="max duration",
            ),
            asyncio.create_task(self._greet(call_agent), name="greeting"),
            asyncio.create_task(self._silence.run(), name="silence"),
            asyncio.create_task(self._answering.run(), name="who answered"),
            asyncio.create_task(self.recovery.run(), name="recovery"),
            asyncio.create_task(self._lost(), name="lease"),
        ]
        try:
            verdict = await self.ending.wait()
        finally:
            self._keys.close()
            for watcher in watchers:
                watcher.cancel()
            self._person.close()
            closing = (self._irrevocable.aclose(), self._transferring.aclose())
            await asyncio.gather(*watchers, *closing, return_exceptions=True)
            await self._hush()
        if verdict.by is not EndedBy.USER:
            # A telephone plays late: who hangs up with the last sound cuts it off.
            await self._output.wait_played()
        return verdict

    async def _hush(self) -> None:
        """Break off what is being said: the transcript has what was heard of it, before the end."""
        with suppress(TimeoutError):  # the voice hangs
            async with asyncio.timeout(HUSH_LIMIT_S):
                await self._speaker.hush()

    def report_end(self, verdict: Verdict) -> None:
        """Report how the call ended."""
        self._transcriber.settle()
        result = self._answering.result(person_spoke=self._transcriber.person_spoke)
        report_end(self._reporter, verdict, result)

    async def _greet(self, call_agent: CallAgent) -> None:
        """Say the first sentence after its delay; a person who speaks first gets it as reply."""
        opening = call_agent.first

        def on_agent_state(event: AgentStateChangedEvent) -> None:
            if event.new_state == "speaking":
                opening.began(self._session.current_speech)

        self._session.on("agent_state_changed", on_agent_state)
        given_ms = self._brief.assistant.first_sentence_delay_ms
        delay_s = (TELEPHONE_DELAY_MS if given_ms is None else given_ms) / 1_000
        try:
            async with asyncio.timeout(delay_s):
                await self._person_began.wait()
            await asyncio.sleep(GREET_ANYWAY_S)
        except TimeoutError:
            pass
        await self._answering.may_begin()
        await self._output.wait_listened_to()
        first = opening.pop()
        if isinstance(first, Spoken):
            opening.watch(self._speaker.play(first))
        elif first is not None:
            opening.watch(self._session.generate_reply(instructions=first))

    async def _lost(self) -> None:
        await self._reporter.lost.wait()
        why = "the session has another owner"
        self.ending.end(EndedBy.SYSTEM, EndReason.AGENT_LOST, why, is_open=self._in_browser)

    def _watch(self) -> None:
        self._room.on("participant_attributes_changed", lambda *_: self._check())
        self._room.on("participant_connected", lambda *_: self._check())
        self._room.on("participant_disconnected", self._on_left)
        self._room.on("track_subscribed", lambda *_: self._check())
        self._room.on(
            "disconnected", lambda *_: self.ending.end(EndedBy.SYSTEM, None, "the room was closed")
        )
        if not self._in_browser:  # a page has no keys, whatever it sends
            self._room.on("sip_dtmf_received", self._keys.on_key)
        self._room.on("data_received", self._on_data)
        self._session.on("close", self._on_close)
        self._session.on("user_state_changed", self._on_user_state)

    def _check(self) -> None:
        person = self._room.remote_participants.get(self._brief.participant_identity)
        if person is None:
            return
        is_sip = person.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
        is_active = not is_sip or person.attributes.get("sip.callStatus") == "active"
        tracks = (publication.track for publication in person.track_publications.values())
        is_heard = any(track is not None and track.kind == AUDIO for track in tracks)
        was_away, is_on_hold = self._person.is_away, line.is_on_hold(person.attributes)
        self._person.shows(Seen(is_active, is_heard, is_on_hold))
        if is_on_hold != self._is_on_hold:
            self._is_on_hold = is_on_hold
            self._reporter.report(HoldBegan if is_on_hold else HoldEnded)
        if was_away and not self._person.is_away:
            self._silence.stir()

    def _on_left(self, person: rtc.RemoteParticipant) -> None:
        if person.identity != self._brief.participant_identity:
            return
        reason, is_lost = person.disconnect_reason, bool(person.attributes.get(LOST_ATTRIBUTE))
        line_lost = line.why_lost(person.attributes)

        def is_gone() -> None:
            self._person.left(reason, is_lost=is_lost, line_lost=line_lost)

        if is_lost or reason not in HANG_UPS or not self._transferring.left(is_gone):
            is_gone()
        self._check()  # a second tab with the same token has taken the place of the first

    def _on_data(self, packet: rtc.DataPacket) -> None:
        if leaving.is_request(packet):
            self.ending.end(EndedBy.SYSTEM, None, "the room was closed")

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking" and self._person.answered.is_set():
            self._person_began.set()

    def on_typed(self) -> None:
        """The person has typed something, which is as good as a word."""
        self._person_began.set()
        self._on_pressed()

    def _on_pressed(self) -> None:
        self._irrevocable.person_acted()
        self._silence.stir()

    def _on_close(self, event: CloseEvent) -> None:
        if event.reason is CloseReason.ERROR:
            self.recovery.fail(describe(event.error))
        else:
            self.ending.end(EndedBy.SYSTEM, None, f"the session closed: {event.reason.value}")
