"""Humans whom people are passed on to: asked for by the agent on the call, dialled elsewhere."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from litestar import Controller, Request, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from control_plane.assistants import versions
from control_plane.db.base import read_clock
from control_plane.db.engine import wake
from control_plane.domain.assistant import humans_of
from control_plane.domain.errors import BadInput, Conflict, NotAllowed
from control_plane.domain.human_leg import HumanAsked, HumanResult, HumanSaid, HumanState, HumanView
from control_plane.domain.ids import parse_id
from control_plane.http.auth import bearer
from control_plane.http.dependencies import GivenDatabase
from control_plane.keys.dependencies import GivenSigner
from control_plane.keys.tokens import Claims, Scope, TokenSigner
from control_plane.sessions import humans, leases

SWEEP_S = 1.0
_PASSING = frozenset({HumanState.ASKED, HumanState.RINGING})


class HumanController(Controller):
    """What an agent asks for when REFER is not the way."""

    path = "/internal/sessions/{session_id:str}/humans"
    tags = ("internal",)

    @post(operation_id="askHuman", summary="Ask a human into the call", status_code=200)
    async def request(
        self,
        session_id: FromPath[str],
        data: JSONBody[HumanAsked],
        request: Request[Any, Any, Any],
        database: GivenDatabase,
        signer: GivenSigner,
    ) -> HumanView:
        """Have the human dialled into the room; asking again with the same id is harmless."""
        claims = _claims(request, signer, session_id)
        parse_id(data.id, what="leg")
        async with database.transaction() as db:
            order, call = await leases.lock(db, session_id, epoch=claims.epoch)
            version = await versions.get(db, call.session.assistant_version_id)
            known = {each.phone_number: each for each in humans_of(version.spec)}
            target = known.get(data.to_phone_number)
            if target is None:
                raise BadInput(
                    "calls are passed on to the assistant's transfer_phone_number and "
                    "transfer_targets alone",
                    field="to_phone_number",
                )
            now, owner = await read_clock(db), order or call.session
            leg = await humans.request(db, owner, call, data, ring_secs=target.ring_secs, now=now)
            wake(db)
            return humans.view(leg)

    @post(
        "/{leg_id:str}/said",
        operation_id="noteWhatHumanSaid",
        summary="Note whether a human takes the call",
        status_code=200,
    )
    async def said(
        self,
        session_id: FromPath[str],
        leg_id: FromPath[str],
        data: JSONBody[HumanSaid],
        request: Request[Any, Any, Any],
        database: GivenDatabase,
        signer: GivenSigner,
    ) -> HumanView:
        """Hand the call over to who takes it, or close their leg; what was said first stays."""
        claims = _claims(request, signer, session_id)
        async with database.transaction() as db:
            order, call = await leases.lock(db, session_id, epoch=claims.epoch)
            leg, owner = await humans.get(db, session_id, leg_id), order or call.session
            if leg.answered_at is None:
                raise Conflict("this human has not answered")
            if leg.result is None and leg.closed_at is None:
                now = await read_clock(db)
                if data.result is HumanResult.ANSWERED:
                    humans.hand_over(db, owner, call, leg, now=now)
                else:
                    humans.give_up(db, owner, call, leg, data.result, now=now)
                wake(db)
            return humans.view(leg)

    @get("/{leg_id:str}", operation_id="followHuman", summary="Follow a human's leg")
    async def follow(
        self,
        session_id: FromPath[str],
        leg_id: FromPath[str],
        request: Request[Any, Any, Any],
        database: GivenDatabase,
        signer: GivenSigner,
        wait: Annotated[float, QueryParameter(ge=0, le=8, description="Seconds")] = 0,
    ) -> HumanView:
        """Return how far it is; once that is final, or after `wait` seconds."""
        _claims(request, signer, session_id)
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait
        while True:
            heard = database.changes.count
            async with database.reading() as db:
                view = humans.view(await humans.get(db, session_id, leg_id))
            left = deadline - clock()
            if view.state not in _PASSING or left <= 0:
                return view
            await database.changes.wait(since=heard, timeout_s=min(left, SWEEP_S))


def _claims(request: Request[Any, Any, Any], signer: TokenSigner, session_id: str) -> Claims:
    token = bearer(request.headers.get("authorization"))
    claims = signer.verify(token, Scope.SESSION)
    if claims.subject != session_id:
        raise NotAllowed("this token belongs to another session")
    return claims
