"""`offhook up`: everything on this machine, then a first phone call."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

from offhook import ports
from offhook.api_client import ApiProblem, connect
from offhook.console import fail, out, say
from offhook.first_call import FirstCallResult, first_call, summary
from offhook.installation import AlreadyUp, Installation
from offhook.livekit_server import NoLiveKitServer, obtain
from offhook.parts import parts
from offhook.supervisor import PartFailed, Supervisor
from offhook.widget import NoWidget, is_built
from offhook.widget import obtain as obtain_widget

FIRST_CALL_LIMIT_S = 180.0


def up(home: Installation, *, once: bool, call: bool) -> int:
    """Run Offhook until it is told to stop; returns the exit status.

    Args:
        once: stop after the first call; 0 only if it was answered, understood both ways and
            recorded.
        call: place the first call even though this is not the first start.
    """
    home.run.mkdir(parents=True, exist_ok=True)
    try:
        with home.lock():
            return asyncio.run(_run(home, once=once, call=call))
    except AlreadyUp as exc:
        if exc.running is not None:
            say(f"Offhook is up already (pid {exc.running.pid}): {exc.running.api_url}")
            say("`offhook call NUMBER` places a call, `offhook down` stops it.")
        return 1 if once else 0


async def _run(home: Installation, *, once: bool, call: bool) -> int:
    began = time.monotonic()
    first = home.first_start()
    try:
        home.prepare()
        ports.check_free(home.ports, home.hosts)
        livekit = await asyncio.to_thread(obtain, os.environ, say)
    except (ports.PortRefused, NoLiveKitServer) as exc:
        fail(str(exc))
        return 1
    await asyncio.to_thread(_build_widget)
    say(f"Starting Offhook in {home.data} (livekit-server: {livekit.why})")
    stop = _stop_signal()
    supervisor = Supervisor(parts(home, livekit), home.environment(), home.logs, say)
    try:
        start = asyncio.ensure_future(supervisor.start(f"{home.api_url}/health/ready"))
        if not await _first_of(start, stop):
            return 130
        say(f"Ready in {time.monotonic() - began:.0f} s.")
        outcome = None
        if once or call or first:
            outcome = await _call(home, supervisor, stop)
            if outcome is None and stop.is_set():
                return 130
        if once:
            return _verdict(outcome)
        _print(home, first=first)
        return await _stay(supervisor, stop)
    except PartFailed as exc:
        fail(str(exc))
        return 1
    finally:
        say("Stopping …")
        await supervisor.stop()


def _build_widget() -> None:
    """Build it when it is not; a telephone call needs none."""
    try:
        obtain_widget(os.environ, say)
    except NoWidget as exc:
        say(f"No talking from a browser for now: {exc}")


async def _call(
    home: Installation, supervisor: Supervisor, stop: asyncio.Event
) -> FirstCallResult | None:
    """Place the first call; null when it could not even be tried."""
    say("\nThe first phone call: over SIP and RTP, to the carrier simulator's Dana.")
    say("(Embedded demo: a tiny recogniser, one voice, a scripted dialogue. `offhook provider set`")
    say("brings a real model and voice.)\n")
    call = asyncio.ensure_future(
        asyncio.wait_for(
            asyncio.to_thread(first_call, home, connect(home, first=True)), FIRST_CALL_LIMIT_S
        )
    )
    failed = asyncio.ensure_future(supervisor.wait_failed())
    try:
        if not await _first_of(call, stop, failed):
            return None
        outcome = call.result()
    except ApiProblem as exc:
        fail(f"the first call could not be placed: {exc}")
        return None
    except TimeoutError:
        fail(f"the first call did not end within {FIRST_CALL_LIMIT_S:.0f} s")
        return None
    finally:
        failed.cancel()
    say("")
    summary(home, outcome)
    return outcome


async def _stay(supervisor: Supervisor, stop: asyncio.Event) -> int:
    failed = asyncio.ensure_future(supervisor.wait_failed())
    if await _first_of(failed, stop):
        fail(str(failed.result()))
        return 1
    return 0


def _verdict(outcome: FirstCallResult | None) -> int:
    if outcome is None or outcome.problems:
        fail("the first call did not count as answered, understood both ways and recorded")
        return 1
    out.print("[bold green]✓[/] answered, understood both ways, recorded")
    return 0


def _print(home: Installation, *, first: bool) -> None:
    credentials = home.credentials()
    key = credentials.get("api_key", "")
    say("")
    say(f"  API         {home.api_url}   (OpenAPI at /schema)")
    if first:
        say(f"  API key     {key}")
    else:
        say(f"  API key     {key[:12]}… in {home.data / 'credentials.toml'}")
    if is_built():
        say(f"  browser     {home.api_url}/try   (talk with your assistants from here)")
    say(f"  softphone   call {home.sip_address}")
    login = home.lan_login()
    if login is not None:
        say(f"              user {login[0]}, password {login[1]}")
    say(f"  logs        {home.logs}")
    say("\nOffhook is up. `offhook call NUMBER` places a call; Ctrl-C stops it.")


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _first_of(
    work: asyncio.Future[Any],
    stop: asyncio.Event,
    failed: asyncio.Future[PartFailed] | None = None,
) -> bool:
    """Return whether `work` ended before `stop`; raises what it raised, cancels it otherwise.

    Raises:
        PartFailed: a part would not stay up, which ends the wait too.
    """
    stopped = asyncio.ensure_future(stop.wait())
    waited = [work, stopped] if failed is None else [work, stopped, failed]
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not work.done():
        work.cancel()
        if failed is not None and failed.done():
            raise failed.result()
        return False
    work.result()
    return True
