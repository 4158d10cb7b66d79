"""The after-call worker: jobs side by side, reports that are heard, jobs that are given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from agent.aftercall.settings import AfterCallSettings
from agent.aftercall.worker import AT_ONCE, Tell, Worker
from agent.internal_api import Refused, Unreachable
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.job import Job, JobKind, JobReport, ProbeResult, ProviderPart
from process.addresses import Allowed

pytestmark = pytest.mark.unit

SETTINGS = AfterCallSettings(livekit_api_secret="s")
FINE = ProbeResult(part=ProviderPart.MODEL, provider="openai", ok=True, took_ms=1)
Do = Callable[[Job, Tell], Awaitable[bytes | None]]


def job(name: str = "a") -> Job:
    spec = AssistantSpec(name="A", prompt="p")
    return Job(id=name, kind=JobKind.TEST, token="t", assistant=spec)


class Desk:
    """Gives what it is told to give, and keeps every report; a failure is raised instead."""

    def __init__(self, *given: Job | Exception) -> None:
        self._given: asyncio.Queue[Job | Exception] = asyncio.Queue()
        self.give(*given)
        self.troubles: list[Exception] = []
        self.reports: asyncio.Queue[tuple[str, JobReport]] = asyncio.Queue()
        self.closed = False

    def give(self, *given: Job | Exception) -> None:
        for each in given:
            self._given.put_nowait(each)

    async def take(self) -> Job | None:
        given = await self._given.get()
        if isinstance(given, Exception):
            raise given
        return given

    async def report(self, job: Job, report: JobReport) -> None:
        if self.troubles and (report.done or isinstance(self.troubles[0], Refused)):
            raise self.troubles.pop(0)
        self.reports.put_nowait((job.id, report))

    async def aclose(self) -> None:
        self.closed = True

    async def last_word(self) -> tuple[str, JobReport]:
        while True:
            name, report = await self.reports.get()
            if report.done:
                return name, report


@asynccontextmanager
async def working(desk: Desk, do: Do) -> AsyncIterator[None]:
    stop = asyncio.Event()
    worker = Worker(SETTINGS, Allowed(), jobs=desk, do=do, pause_s=0.001)
    running = asyncio.create_task(worker.run(stop))
    async with asyncio.timeout(5):
        yield
        stop.set()
        await running
    assert desk.closed


async def at_once(_job: Job, tell: Tell) -> bytes | None:
    tell([FINE])
    return b"sound"


async def test_results_and_sound_are_reported() -> None:
    desk = Desk(job())
    async with working(desk, at_once):
        assert await desk.last_word() == (
            "a", JobReport(results=(FINE,), done=True, sound=b"sound")
        )  # fmt: skip


async def test_results_are_told_as_they_come() -> None:
    go_on = asyncio.Event()

    async def slowly(_job: Job, tell: Tell) -> bytes | None:
        tell([FINE])
        await go_on.wait()
        tell([FINE, FINE])
        return None

    desk = Desk(job())
    async with working(desk, slowly):
        seen = 0
        while seen < 1:
            seen = len((await desk.reports.get())[1].results)
        go_on.set()
        assert len((await desk.last_word())[1].results) == 2


async def test_jobs_are_done_side_by_side_and_no_more_than_there_is_room_for() -> None:
    begun: asyncio.Queue[str] = asyncio.Queue()
    go_on = asyncio.Event()

    async def together(held: Job, _tell: Tell) -> bytes | None:
        begun.put_nowait(held.id)
        await go_on.wait()
        return None

    desk = Desk(*[job(str(number)) for number in range(AT_ONCE + 1)])
    async with working(desk, together):
        first = [await begun.get() for _ in range(AT_ONCE)]
        assert begun.empty()
        go_on.set()
        assert {*first, await begun.get()} == {str(number) for number in range(AT_ONCE + 1)}


async def test_the_control_plane_may_be_away_for_a_while() -> None:
    desk = Desk(Unreachable("ConnectError"), Unreachable("ConnectError"), job())
    desk.troubles = [Unreachable("answered 503"), Unreachable("ConnectError")]
    async with working(desk, at_once):
        assert (await desk.last_word())[1].results == (FINE,)


async def test_a_job_that_is_anothers_is_given_up() -> None:
    given_up = asyncio.Event()

    async def for_ever(held: Job, tell: Tell) -> bytes | None:
        if held.id == "b":
            return await at_once(held, tell)
        desk.troubles = [Refused("answered 409")]
        tell([FINE])
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return None

    desk = Desk(job("a"))
    async with working(desk, for_ever):
        await given_up.wait()
        desk.give(job("b"))
        assert (await desk.last_word())[0] == "b"


async def test_a_job_that_fails_by_our_own_fault_stops_no_other() -> None:
    async def fails(held: Job, tell: Tell) -> bytes | None:
        if held.id == "a":
            raise ZeroDivisionError
        return await at_once(held, tell)

    desk = Desk(job("a"), job("b"))
    async with working(desk, fails):
        assert (await desk.last_word())[0] == "b"
