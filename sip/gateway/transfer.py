"""Transfers of an established call by REFER (RFC 3515)."""

from __future__ import annotations

import asyncio
import contextlib

from baresip.call import CallState
from baresip.errors import BaresipError, TransferFailed
from livekit.protocol import sip as proto

from sip.gateway import validate
from sip.gateway.calls import Calls, Leg
from sip.gateway.errors import TwirpError, relayed, transfer_failed
from sip.gateway.trace import is_refer_refusal

_DEFAULT_S = 30.0


async def transfer(calls: Calls, request: proto.TransferSIPParticipantRequest) -> None:
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
    referring = asyncio.create_task(leg.phone.transfer(target, timeout=limit + 1))
    try:
        await _outcome(leg, referring, limit)
    finally:
        leg.transferring = False
        leg.bridge.phone_tone(False)
        referring.cancel()
        with contextlib.suppress(BaresipError, asyncio.CancelledError):
            await referring


async def _outcome(leg: Leg, referring: asyncio.Task[None], limit: float) -> None:
    await leg.first(referring, limit)
    if leg.ended.done() and not referring.done():
        return  # the phone hung up to go where it was sent
    if not referring.done():
        raise relayed("deadline_exceeded", "request timed out")
    try:
        referring.result()
    except TransferFailed as error:
        if leg.phone is None or leg.phone.state is CallState.CLOSED:
            return
        raise await _refused(leg, error) from None
    except BaresipError as error:
        raise relayed("failed_precondition", f"the REFER could not be sent: {error}") from None


async def _refused(leg: Leg, error: TransferFailed) -> TwirpError:
    if error.status is None:
        return relayed("failed_precondition", f"call transfer failed: {error.reason or error}")
    sip_id = leg.phone.call_id if leg.phone is not None else None
    refusal = await leg.parts.endpoint.trace.find(sip_id or "", is_refer_refusal)
    return transfer_failed(error.status, error.reason or "", notified=refusal is None)
