"""An agent worker with no STT, no voice and nothing to say: the contract alone, for many calls.

It serves each dispatch with a participant that only signals: in the room for whoever looks, with
no media at all. The call's agent takes the brief, reports ready, waits for the person, stays as
many seconds as the order's variable `stay` says, and reports the end.

`python -m tests.faults.light_agent` needs the environment of `python -m agent`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from livekit import api
from livekit.protocol import agent as jobs
from livekit.protocol import models, rtc

from agent.ending import Ending, report_end
from agent.internal_api import InternalApi, Refused, Taken, Unreachable
from agent.reporter import Reporter
from agent.settings import AgentSettings
from control_plane.domain.brief import AGENT_NAME, CallBrief, decode_metadata
from control_plane.domain.events import (
    AgentReady,
    AttemptResult,
    CallAnswered,
    EndedBy,
    EndReason,
)
from process.logs import configure, get_logger
from process.settings import load

REPORT_LIMIT_S = 15.0
PING_S = 5.0
PROTOCOL = "16"
STAY = "stay"
"""The order's variable that says how many seconds the agent stays on the line."""

log = get_logger(__name__)


class LightCall:
    """One call: what the room shows of the person, and how it ends."""

    def __init__(self, brief: CallBrief, reporter: Reporter) -> None:
        self._brief = brief
        self._reporter = reporter
        self._answered = asyncio.Event()
        self._sip_call_id = ""
        self.ending = Ending()

    @property
    def result(self) -> AttemptResult:
        """What answered: whoever answers the light agent is a human."""
        return AttemptResult.HUMAN if self._answered.is_set() else AttemptResult.UNKNOWN

    def see(self, people: Any) -> None:
        """Take what the server says of those in the room."""
        for person in people:
            if person.identity != self._brief.participant_identity:
                continue
            if person.state == models.ParticipantInfo.State.DISCONNECTED:
                reason = None if self._answered.is_set() else EndReason.NOT_ANSWERED
                self.ending.end(EndedBy.USER, reason)
            elif person.attributes.get("sip.callStatus") == "active":
                self._sip_call_id = person.attributes.get("sip.callIDFull", "")
                self._answered.set()

    async def hold(self) -> None:
        """Report ready, wait for the answer, stay for a while; returns once the call is over."""
        self._reporter.report(AgentReady)
        tasks = [asyncio.create_task(self._converse()), asyncio.create_task(self._lost())]
        try:
            await self.ending.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        report_end(self._reporter, await self.ending.wait(), self.result)

    async def _converse(self) -> None:
        try:
            await asyncio.wait_for(self._answered.wait(), self._brief.answer_timeout_secs)
        except TimeoutError:
            self.ending.end(EndedBy.SYSTEM, EndReason.NOT_ANSWERED)
            return
        self._reporter.report(CallAnswered, sip_call_id=self._sip_call_id)
        await asyncio.sleep(float(self._brief.prompt_variables.get(STAY, "0")))
        self.ending.end(EndedBy.AGENT, EndReason.TOOL_END_CALL)

    async def _lost(self) -> None:
        await self._reporter.lost.wait()
        self.ending.end(EndedBy.SYSTEM, EndReason.AGENT_LOST, "the session has another owner")


class LightWorker:
    """Takes every job that livekit-server offers."""

    def __init__(
        self, settings: AgentSettings, http: aiohttp.ClientSession, client: api.LiveKitAPI
    ):
        self._settings = settings
        self._http = http
        self._client = client
        self._calls: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the server closes the connection."""
        token = (
            api.AccessToken(self._settings.livekit_api_key, self._settings.livekit_api_secret)
            .with_grants(api.VideoGrants(agent=True))
            .to_jwt()
        )
        async with self._http.ws_connect(
            f"{self._settings.livekit_url}/agent", headers={"Authorization": f"Bearer {token}"}
        ) as socket:
            register = jobs.RegisterWorkerRequest(
                type=jobs.JobType.JT_ROOM,
                agent_name=AGENT_NAME,
                allowed_permissions=models.ParticipantPermission(agent=True),
            )
            await socket.send_bytes(jobs.WorkerMessage(register=register).SerializeToString())
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    await self._take(socket, jobs.ServerMessage.FromString(message.data))

    async def _take(
        self, socket: aiohttp.ClientWebSocketResponse, said: jobs.ServerMessage
    ) -> None:
        if said.HasField("availability"):
            job = said.availability.job
            yes = jobs.AvailabilityResponse(
                job_id=job.id, available=True, participant_identity=f"agent-{job.id}"
            )
            await socket.send_bytes(jobs.WorkerMessage(availability=yes).SerializeToString())
        elif said.HasField("assignment"):
            call = asyncio.create_task(self._serve(socket, said.assignment))
            self._calls.add(call)
            call.add_done_callback(self._over)

    def _over(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled() and call.exception() is not None:
            log.error("a call broke", error=repr(call.exception()))

    async def _serve(
        self, socket: aiohttp.ClientWebSocketResponse, given: jobs.JobAssignment
    ) -> None:
        is_anothers = False
        try:
            is_anothers = await self._call(given)
        finally:
            if not is_anothers:
                with suppress(api.TwirpError, aiohttp.ClientError, TimeoutError):
                    room = given.job.room.name
                    await self._client.room.delete_room(api.DeleteRoomRequest(room=room))
            done = jobs.UpdateJobStatus(job_id=given.job.id, status=jobs.JobStatus.JS_SUCCESS)
            await socket.send_bytes(jobs.WorkerMessage(update_job=done).SerializeToString())

    async def _call(self, given: jobs.JobAssignment) -> bool:
        """Hold the call; return whether another agent has it, and its room."""
        internal = self._settings.internal_url
        asking = InternalApi(internal, decode_metadata(given.job.metadata).token)
        try:
            brief = await asking.fetch_brief()
        except (msgspec.DecodeError, Refused, Unreachable) as exc:
            log.info("no brief for this job", why=str(exc) or type(exc).__name__)
            return isinstance(exc, Taken)
        finally:
            await asking.aclose()
        session_api = InternalApi(internal, brief.token)
        reporter = Reporter(
            session_api, brief.session_id, brief.epoch, heartbeat_s=brief.heartbeat_secs
        )
        try:
            await self._attend(given.token, LightCall(brief, reporter))
        finally:
            await reporter.aclose(REPORT_LIMIT_S)
            await session_api.aclose()
        return False

    async def _attend(self, token: str, call: LightCall) -> None:
        """Be in the room from before the report that the agent is ready until the end."""
        query = {"access_token": token, "auto_subscribe": "0", "protocol": PROTOCOL}
        async with self._http.ws_connect(
            f"{self._settings.livekit_url}/rtc", params=query
        ) as socket:
            joined = asyncio.Event()
            tasks = [
                asyncio.create_task(_listen(socket, call, joined)),
                asyncio.create_task(_keep(socket)),
            ]
            try:
                async with asyncio.timeout(REPORT_LIMIT_S):
                    await joined.wait()
                await call.hold()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(
    socket: aiohttp.ClientWebSocketResponse, call: LightCall, joined: asyncio.Event
) -> None:
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY:
            continue
        said = rtc.SignalResponse.FromString(message.data)
        if said.HasField("join"):
            call.see(said.join.other_participants)
            joined.set()
        elif said.HasField("update"):
            call.see(said.update.participants)
        elif said.HasField("leave"):
            break
    call.ending.end(EndedBy.SYSTEM, None, "the room was closed")


async def _keep(socket: aiohttp.ClientWebSocketResponse) -> None:
    while True:
        await asyncio.sleep(PING_S)
        await socket.send_bytes(rtc.SignalRequest(ping_req=rtc.Ping()).SerializeToString())


async def serve(settings: AgentSettings) -> None:
    """Take jobs until SIGTERM, or until livekit-server is gone."""
    health = web.Application()
    health.router.add_get("/worker", _well)
    runner = web.AppRunner(health, access_log=None)
    await runner.setup()
    client = api.LiveKitAPI(
        settings.livekit_url, settings.livekit_api_key, settings.livekit_api_secret, failover=False
    )
    async with aiohttp.ClientSession() as http:
        working = asyncio.create_task(LightWorker(settings, http, client).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
        await web.TCPSite(runner, settings.worker_host, settings.worker_port).start()
        with suppress(asyncio.CancelledError):
            await working
    await client.aclose()
    await runner.cleanup()


async def _well(_request: web.Request) -> web.Response:
    return web.Response(text="OK")


if __name__ == "__main__":
    configure("light agent", level="INFO", show_pii=True)
    asyncio.run(serve(load(AgentSettings, os.environ)))
