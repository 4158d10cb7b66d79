"""One call, from its brief to its last event."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
from livekit import rtc
from livekit.agents import AutoSubscribe, JobContext

from agent.answering.watch import AnswerWatch
from agent.audio.input import AudioInput
from agent.audio.output import AudioOutput
from agent.audio.recording import StereoRecorder
from agent.audio.short_way import ShortWay, Told
from agent.audio.sounds import Sounds
from agent.briefing import NobodyThere, get_brief
from agent.call import Call
from agent.call_agent import CallAgent
from agent.captions import connect_output
from agent.ending import Verdict, report_end
from agent.far_end import RoomFarEnd
from agent.first_sentence import NotPrepared, prepare
from agent.humans import Humans
from agent.internal_api import InternalApi, Refused, Taken, Unreachable
from agent.opening import Opening
from agent.place import Place
from agent.prompt import Texts
from agent.reporter import Reporter
from agent.session import Engines, build_parts, build_session
from agent.telemetry import conversation
from agent.turn_taking import TurnJudge
from agent.usage import UsageMeter
from control_plane.domain.brief import CallBrief, Direction
from control_plane.domain.events import (
    AgentReady,
    AttemptResult,
    EndedBy,
    EndReason,
    RecordingFinished,
    SoundRouted,
    SoundWay,
)
from process.logs import get_logger, of_call
from process.short_way.offers import Folder
from sip.settings import LiveKitSettings
from speech.providers.access import ProviderKeyMissing

log = get_logger(__name__)

REPORT_LIMIT_S = 15.0
RECORDING_LIMIT_S = 10.0
JOIN_LIMIT_S = 10.0


async def run_call(
    context: JobContext,
    engines: Engines,
    internal_url: str,
    livekit: LiveKitSettings,
    offers: Folder | None = None,
) -> None:
    """Hold the conversation that `context` was dispatched for; the room is gone afterwards.

    Args:
        offers: where SIP gateways of this machine offer the short way; null: it is not taken.
    """
    of_call(room=context.job.room.name)
    place = Place(context)
    try:
        brief = await get_brief(context, internal_url)
    except (msgspec.DecodeError, Refused, Unreachable, NobodyThere) as exc:
        log.warning("no brief for this job", why=exc)
        if isinstance(exc, Taken):  # who waits long for an agent is sent another (scheduler)
            place.is_anothers()
        await _leave(context, place)
        return
    of_call(attempt_id=brief.session_id)
    log.info("a call begins", direction=brief.direction)  # room and id side by side, for greps
    # For the lines of the SDK's own tasks, which began before this one.
    context.log_context_fields = {"room": context.job.room.name, "attempt_id": brief.session_id}
    session_api = InternalApi(internal_url, brief.token)
    reporter = Reporter(
        session_api, brief.session_id, brief.epoch, heartbeat_s=brief.heartbeat_secs
    )
    recorder = StereoRecorder(
        session_api, brief.session_id, full_mix=brief.assistant.recording_full_mix
    )
    usage = UsageMeter()
    if brief.direction is Direction.BROWSER:
        offers = None  # no gateway carries it
    try:
        with conversation(brief.session_id):
            far_end = RoomFarEnd(
                context.room,
                brief.participant_identity,
                livekit,
                Humans(session_api, brief.session_id),
                refer_to=brief.refer_to,
            )
            await _run(context, brief, engines, reporter, recorder, usage, offers, place, far_end)
    except (ProviderKeyMissing, NotPrepared) as exc:
        log.warning("a provider failed before the call", why=exc)
        place.conversation_is_over()
        verdict = Verdict(EndedBy.SYSTEM, EndReason.PROVIDER_FAILED, str(exc))
        usage.report(reporter)
        report_end(reporter, verdict, AttemptResult.UNKNOWN)
    except Exception as exc:
        place.conversation_is_over()
        verdict = Verdict(EndedBy.SYSTEM, EndReason.AGENT_LOST, type(exc).__name__)
        usage.report(reporter)
        report_end(reporter, verdict, AttemptResult.UNKNOWN)
        raise
    finally:
        await _leave(context, place)
        await reporter.aclose(REPORT_LIMIT_S)
        await session_api.aclose()


async def _run(
    context: JobContext,
    brief: CallBrief,
    engines: Engines,
    reporter: Reporter,
    recorder: StereoRecorder,
    usage: UsageMeter,
    offers: Folder | None,
    place: Place,
    far_end: RoomFarEnd,
) -> None:
    """Get ready, say so, wait for the answer, converse."""
    parts = build_parts(brief, engines)
    usage.listen(parts, brief)
    texts = Texts(brief, datetime.now(UTC))
    spec = brief.assistant
    session = build_session(parts, engines, spec.turn_taking, spec.language)
    usage.listen_to_session(session)
    answering = AnswerWatch(brief, texts, parts.adviser, engines.greetings)
    audio_input = AudioInput(answering.tapped(recorder.heard))
    audio_output = AudioOutput(recorder.said, recorder.cut)
    session.input.audio = audio_input
    if isinstance(judge := session.turn_detection, TurnJudge):
        judge.sooner_by = audio_input.sooner_by
    connect_output(session, audio_output, context.room, brief)
    sounds = Sounds(spec, audio_output)
    told = _routed(reporter)
    short_way = ShortWay(offers, brief.participant_identity, audio_input, audio_output.source, told)
    joining = asyncio.ensure_future(_join(context, brief, audio_input, audio_output, short_way))
    try:
        preparing = prepare(brief, texts, parts.llm, parts.tts)
        first, *_ = await asyncio.gather(preparing, joining, sounds.load())
    finally:
        # Not broken off when something else fails: the SDK would panic, and every call with it.
        await asyncio.wait([joining], timeout=JOIN_LIMIT_S)
    call = Call(
        brief,
        texts,
        far_end,
        session,
        reporter=reporter,
        output=audio_output,
        parts=parts,
        answering=answering,
    )
    agent = _call_agent(brief, texts, Opening(first, spec.language), call, audio_output, answering)
    try:
        # Without the room, to which it would send every word and change of state: the gateway
        # throws them away, and with several calls at once they delay the sound.
        await session.start(agent=agent, record=False)
        reporter.report(AgentReady)
        call.recovery.prepare()
        if await call.wait_answered():
            short_way.answered()
            if spec.recording_enabled:
                recorder.start()
            sounds.begin(session)
            await call.converse(agent)
        verdict = place.left_by(await call.ending.wait())
        usage.report(reporter)
        call.report_end(verdict)
    finally:
        # The room goes first: it hangs up the person's side, which waits for nothing of ours.
        await place.leave()
        short_way.close()
        audio_input.close()
        await audio_output.aclose()
        await _finish_recording(recorder, reporter)
        await call.recovery.aclose()
        await session.aclose()
        await parts.aclose()
        usage.report(reporter)  # a recogniser tells its last seconds when it is closed


def _call_agent(
    brief: CallBrief,
    texts: Texts,
    opening: Opening,
    call: Call,
    output: AudioOutput,
    answering: AnswerWatch,
) -> CallAgent:
    return CallAgent(
        brief,
        texts,
        first=opening,
        continuation=call.continuation,
        is_speaking=lambda: output.is_speaking,
        tools=call.tools,
        may_reply=answering.may_reply,
    )


def _routed(reporter: Reporter) -> Told:
    def report(way: SoundWay, why: str) -> None:
        log.info("sound takes its way", way=way.value, why=why)
        reporter.report(SoundRouted, way=way, reason=why)

    return report


async def _join(
    context: JobContext,
    brief: CallBrief,
    audio_input: AudioInput,
    audio_output: AudioOutput,
    short_way: ShortWay,
) -> None:
    await context.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
    _listen(context.room, brief.participant_identity, audio_input)
    short_way.follow(context.room)
    await audio_output.publish(context.room)


def _listen(room: rtc.Room, identity: str, audio_input: AudioInput) -> None:
    """Connect the line to the person's audio track, now or once it is there."""

    def on_track(track: rtc.Track, _: object, person: rtc.RemoteParticipant) -> None:
        if person.identity == identity and track.kind == rtc.TrackKind.KIND_AUDIO:
            audio_input.connect(track)

    room.on("track_subscribed", on_track)
    person = room.remote_participants.get(identity)
    if person is None:
        return
    for publication in person.track_publications.values():
        if publication.track is not None:
            on_track(publication.track, publication, person)


async def _finish_recording(recorder: StereoRecorder, reporter: Reporter) -> None:
    finished = await recorder.finish(RECORDING_LIMIT_S)
    if finished is not None:
        reporter.report(
            RecordingFinished,
            size_bytes=finished.size_bytes,
            duration_ms=finished.duration_ms,
            sha256=finished.sha256,
            mix_sha256=finished.mix_sha256,
        )


async def _leave(context: JobContext, place: Place) -> None:
    await place.leave()
    context.shutdown(reason="the call is over")
