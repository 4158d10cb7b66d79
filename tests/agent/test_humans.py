"""Asking for a human at a control plane that is slow, away for a moment, or says no."""

from __future__ import annotations

import asyncio

import pytest

from agent.humans import Humans
from agent.internal_api import Refused, Unreachable
from control_plane.domain.human_leg import HumanAsked, HumanResult, HumanSaid, HumanState, HumanView

pytestmark = pytest.mark.unit


class ControlPlane:
    """Answers by script; what is an exception is raised."""

    def __init__(self, *answers: HumanState | Exception) -> None:
        self.asked: list[HumanAsked] = []
        self.noted: list[tuple[str, HumanResult]] = []
        self._answers = list(answers)

    async def request_human(self, _session_id: str, asked: HumanAsked) -> HumanView:
        self.asked.append(asked)
        return await self._next(asked.id)

    async def follow_human(self, _session_id: str, leg_id: str) -> HumanView:
        return await self._next(leg_id)

    async def note_human(self, _session_id: str, leg_id: str, said: HumanSaid) -> HumanView:
        self.noted.append((leg_id, said.result))
        return await self._next(leg_id)

    async def _next(self, leg_id: str) -> HumanView:
        if not self._answers:
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        result = HumanResult.ANSWERED if answer is HumanState.ANSWERED else None
        return HumanView(id=leg_id, state=answer, result=result)


async def result_at(plane: ControlPlane, *, limit_s: float = 20.0) -> HumanResult | None:
    humans = Humans(plane, "session", limit_s=limit_s)
    human = await humans.bring_in("+12025550142", reason="why", because="no_refer")
    return human.result


async def test_a_human_is_followed_until_they_answer() -> None:
    plane = ControlPlane(
        HumanState.ASKED, HumanState.ASKED, HumanState.RINGING, HumanState.ANSWERED
    )
    assert await result_at(plane) is HumanResult.ANSWERED
    [asked] = plane.asked
    assert (asked.to_phone_number, asked.reason, asked.because) == (
        "+12025550142",
        "why",
        "no_refer",
    )


async def test_a_control_plane_that_is_away_is_asked_again_for_the_same_human() -> None:
    away = Unreachable("ConnectError")
    plane = ControlPlane(away, HumanState.ASKED, away, HumanState.ANSWERED)
    assert await result_at(plane) is HumanResult.ANSWERED
    assert len({asked.id for asked in plane.asked}) == 1


async def test_who_is_refused_or_comes_to_nothing_has_failed() -> None:
    assert await result_at(ControlPlane(Refused("409 conflict"))) is HumanResult.FAILED
    assert await result_at(ControlPlane(HumanState.ASKED), limit_s=0.05) is HumanResult.FAILED


async def test_what_a_human_said_is_told_until_it_is_kept() -> None:
    plane = ControlPlane(Unreachable("ConnectError"), HumanState.ANSWERED)
    noted = await Humans(plane, "session").note("leg", HumanResult.ANSWERED)
    assert noted.result is HumanResult.ANSWERED
    assert plane.noted == [("leg", HumanResult.ANSWERED)] * 2


async def test_what_is_not_kept_has_failed() -> None:
    for plane in (ControlPlane(Refused("409 conflict")), ControlPlane()):
        noted = await Humans(plane, "session", limit_s=0.05).note("leg", HumanResult.ANSWERED)
        assert (noted.state, noted.result) == (HumanState.OVER, HumanResult.FAILED)
