"""A net under leaks: a worker that is idle and holds too much begins anew, and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from agent import stand_in
from agent.internal_api import InternalApi, Refused, Unreachable
from agent.settings import AgentSettings
from process import wear
from process.logs import get_logger
from process.wear import Limits, Worn
from process.worker_key import worker_key

log = get_logger(__name__)

AGAIN_S = 600.0
"""After a stand-in that did not come."""


async def stand_in_once_worn(
    settings: AgentSettings,
    environ: Mapping[str, str],
    is_busy: Callable[[], bool],
    taken: Callable[[], int],
) -> int:
    """Return the process id of a stand-in, once this worker is worn and idle and that one is up.

    Args:
        environ: what the stand-in is started with.
        is_busy: whether a call is going on.
        taken: how many calls were taken so far.
    """
    limits = Limits(settings.growth_mb, settings.growth_threads)
    wear.release_memory()
    start = wear.measure()
    while True:
        why = await _worn(start, limits, is_busy, taken)
        held = wear.measure()
        log.warning(
            "the worker is worn and begins anew",
            reason=why.value,
            memory_mb=round(held.memory_mb),
            threads=held.threads,
            memory_mb_at_start=round(start.memory_mb),
            threads_at_start=start.threads,
        )
        try:
            found = await stand_in.start(environ)
        except stand_in.NoStandIn as exc:
            log.error("no other worker stands in for the worn one, which goes on", why=exc)
            await asyncio.sleep(AGAIN_S)
            continue
        await _report(settings, why)
        return found


async def _worn(
    start: wear.Held, limits: Limits, is_busy: Callable[[], bool], taken: Callable[[], int]
) -> Worn:
    """Return why the worker is worn; each time it has come to rest, it is tidied first."""
    tidied_after = 0
    while True:
        tidied_after = await wear.come_to_rest(is_busy, taken, since=tidied_after)
        wear.release_memory()
        why = wear.worn(wear.measure(), start, limits)
        if why is not None:
            return why


async def _report(settings: AgentSettings, why: Worn) -> None:
    """Have the restart counted; a figure is not worth waiting for."""
    api = InternalApi(settings.internal_url, worker_key(settings.livekit_api_secret))
    try:
        await api.report_restart(why)
    except (Refused, Unreachable) as exc:
        log.warning("a restart was not counted", why=exc)
    finally:
        await api.aclose()
