"""Parts are started, restarted, given up on, and stopped; real processes, tiny ones."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from offhook.parts import Part
from offhook.supervisor import FIRST_PAUSE_S, PartFailed, Supervisor

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

NOBODY = "http://127.0.0.1:9/"  # discard: nothing listens
SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
WAITER = """
import signal, sys
def end(*_):
    print('end', flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print('up', flush=True)
time.sleep(600)
"""
Make = Callable[..., Supervisor]


def part(name: str, code: str, *after: str) -> Part:
    return Part(name, (sys.executable, "-c", code), None, after)


@pytest.fixture
async def ready_url() -> AsyncIterator[str]:
    async def ok(request: web.Request) -> web.Response:
        wanted = request.query.get("file")
        return web.Response(status=200 if wanted is None or Path(wanted).exists() else 503)

    app = web.Application()
    app.router.add_get("/ready", ok)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/ready"
    await runner.cleanup()


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Supervisor] = []

    def _make(*parts: Part, said: list[str] | None = None) -> Supervisor:
        lines = said if said is not None else []
        supervisor = Supervisor(parts, dict(os.environ), tmp_path, lines.append)
        made.append(supervisor)
        return supervisor

    yield _make
    for supervisor in made:
        await supervisor.stop()


async def test_a_part_that_does_not_start_is_named_with_its_last_words(
    make: Make, ready_url: str
) -> None:
    broken = part("broken", "import sys; print('no disk'); sys.exit(3)")
    with pytest.raises(PartFailed, match="broken stopped with exit status 3") as failed:
        await make(msgspec.structs.replace(broken, health_url=NOBODY)).start(ready_url)
    assert "no disk" in str(failed.value)


async def test_a_killed_part_is_started_again(make: Make, ready_url: str) -> None:
    said: list[str] = []
    supervisor = make(part("sleeper", SLEEPER), said=said)
    await supervisor.start(ready_url)
    old = supervisor.pid("sleeper")
    os.kill(old, signal.SIGKILL)
    async with asyncio.timeout(10):
        while supervisor.pid("sleeper") == old:
            await asyncio.sleep(0)
    assert said[-1] == "sleeper stopped by signal SIGKILL; starting it again"


async def test_no_question_after_health_takes_the_part_s_own_port(
    make: Make,
) -> None:
    """What asks a port from its own address can be given that port to ask from."""
    asked_from: set[str] = set()

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        asked_from.add(request.transport.get_extra_info("peername")[0])
        return web.Response()

    app = web.Application()
    app.router.add_get("/", note)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    sleeper = msgspec.structs.replace(part("sleeper", SLEEPER), health_url=url)
    await make(sleeper).start(url)
    await runner.cleanup()
    assert asked_from == {"127.0.0.2"}


async def test_a_part_that_keeps_dying_stops_everything(make: Make, ready_url: str) -> None:
    flaky = part("flaky", "import time; time.sleep(0.3)")
    supervisor = make(flaky, part("sleeper", SLEEPER))
    await supervisor.start(ready_url)
    failed = await asyncio.wait_for(supervisor.wait_failed(), 20)
    assert "flaky stopped 6 times within 60 s" in str(failed)


async def test_stopping_leaves_no_process(make: Make, ready_url: str) -> None:
    supervisor = make(part("first", SLEEPER), part("second", SLEEPER, "first"))
    await supervisor.start(ready_url)
    pids = [supervisor.pid("first"), supervisor.pid("second")]
    await supervisor.stop()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_part_is_started_once_those_it_needs_are_healthy_and_stopped_before_them(
    make: Make, ready_url: str, tmp_path: Path
) -> None:
    """The second would not start without the first's file; the third waits for neither."""
    note = tmp_path / "note"
    first = part("first", f"import pathlib, time; pathlib.Path({str(note)!r}).touch(); {WAITER}")
    second = part("second", f"import os, time; os.stat({str(note)!r}); {WAITER}", "first")
    alone = part("alone", SLEEPER)
    healthy = msgspec.structs.replace(first, health_url=f"{ready_url}?file={note}")
    supervisor = make(second, healthy, alone)
    await supervisor.start(ready_url)
    logs = [tmp_path / f"{name}.log" for name in ("second", "first")]
    async with asyncio.timeout(10):
        while any(log.read_text() != "up\n" for log in logs):
            await asyncio.sleep(0)
    await supervisor.stop()
    assert [log.read_text() for log in logs] == ["up\nend\n"] * 2
    ended = [log.stat().st_mtime_ns for log in logs]
    assert ended == sorted(ended)


async def test_each_part_has_its_own_log(make: Make, ready_url: str, tmp_path: Path) -> None:
    supervisor = make(part("talker", SLEEPER))
    await supervisor.start(ready_url)
    async with asyncio.timeout(10):
        while (tmp_path / "talker.log").read_text() != "up\n":
            await asyncio.sleep(0)


async def test_only_the_last_words_of_this_run_are_shown(
    make: Make, ready_url: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.log").write_text("words of an earlier run\n")
    code = """print('{"msg": "starting"}'); raise SystemExit('the database is too new')"""
    with pytest.raises(PartFailed) as failed:
        await make(Part("broken", (sys.executable, "-c", code), NOBODY)).start(ready_url)
    assert "the database is too new" in str(failed.value)
    assert "earlier run" not in str(failed.value)
    assert "starting" not in str(failed.value)


async def test_a_part_that_keeps_dying_is_given_time_between_its_starts(
    make: Make, ready_url: str
) -> None:
    said: list[str] = []
    supervisor = make(part("sleeper", SLEEPER), said=said)
    await supervisor.start(ready_url)
    for count in (1, 2):
        old = supervisor.pid("sleeper")
        began = time.monotonic()
        os.kill(old, signal.SIGKILL)
        async with asyncio.timeout(10):
            while supervisor.pid("sleeper") == old:
                await asyncio.sleep(0)
        waited = time.monotonic() - began
        assert (waited >= FIRST_PAUSE_S) is (count == 2)
