"""Transfers of an established call by REFER (RFC 3515)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from baresip.call import CallState
from baresip.errors import BaresipError, TransferFailed
from livekit.protocol import sip as proto

from sip.gateway import validate
from sip.gateway.calls import Calls, Leg
from sip.gateway.errors import TwirpError, relayed, transfer_failed
from sip.gateway.trace import Seen, is_notify, is_refer_refusal, is_refer_taken

_DEFAULT_S = 30.0
SILENT_S = 10.0  # for so long a phone may be silent about a REFER, by NOTIFY too (RFC 3515)


async def transfer(
    calls: Calls, request: proto.TransferSIPParticipantRequest, *, silent_s: float = SILENT_S
) -> None:
    """Refer the phone elsewhere and wait for its final word; raises TwirpError, call kept."""
    target = validate.transfer(request)
    leg = calls.find(request.room_name, request.participant_identity)
    if leg is None:
        raise relayed("not_found", "participant does not exist")
    if not leg.active or leg.phone is None or leg.phone.state is not CallState.ESTABLISHED:
        raise relayed("failed_precondition", "the call is not answered yet")
    if leg.transferring:
        raise relayed("failed_precondition", "another transfer of this call is under way")
    limit = request.ringing_timeout.ToTimedelta().total_seconds() or _DEFAULT_S
    leg.transferring = True
    leg.bridge.phone_tone(request.play_dialtone)
    trace, sip_id = leg.parts.endpoint.trace, leg.phone.call_id or ""
    taken = asyncio.create_task(trace.next(sip_id, is_refer_taken, limit))
    told = asyncio.create_task(trace.next(sip_id, is_notify, min(limit, silent_s)))
    referring = asyncio.create_task(leg.phone.transfer(target, timeout=limit + 1))
    try:
        await _outcome(leg, referring, taken, told, limit)
    finally:
        leg.transferring = False
        leg.bridge.phone_tone(False)
        for task in (taken, told, referring):
            task.cancel()
        with contextlib.suppress(BaresipError, asyncio.CancelledError):
            await referring


async def _outcome(
    leg: Leg,
    referring: asyncio.Task[None],
    taken: asyncio.Task[Seen | None],
    told: asyncio.Task[Seen | None],
    limit: float,
) -> None:
    until = asyncio.get_running_loop().time() + limit
    first: set[asyncio.Future[Any]] = {referring, leg.ended, told}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    rings = told.done() and told.result() is not None  # it rings there, or the like
    if rings:
        await leg.first(referring, max(0.0, until - asyncio.get_running_loop().time()))
    if leg.ended.done() and not referring.done():
        return _went(taken)
    if not referring.done():
        why = "request timed out while it rang there" if rings else "request timed out"
        raise relayed("deadline_exceeded", why)
    try:
        referring.result()
    except TransferFailed as error:
        if leg.phone is None or leg.phone.state is CallState.CLOSED:
            return _went(taken)
        raise await _refused(leg, error) from None
    except BaresipError as error:
        raise relayed("failed_precondition", f"the REFER could not be sent: {error}") from None


def _went(taken: asyncio.Task[Seen | None]) -> None:
    """The phone hung up to go where it was sent; or for another reason, if it took no REFER."""
    if not taken.done() or taken.result() is None:
        raise relayed("aborted", "the phone hung up")


async def _refused(leg: Leg, error: TransferFailed) -> TwirpError:
    if error.status is None:
        return relayed("failed_precondition", f"call transfer failed: {error.reason or error}")
    sip_id = leg.phone.call_id if leg.phone is not None else None
    refusal = await leg.parts.endpoint.trace.find(sip_id or "", is_refer_refusal)
    return transfer_failed(error.status, error.reason or "", notified=refusal is None)
