"""A caller who is passed on: to the configured number, once, or back with the agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from livekit.agents.utils import http_context

from agent.ending import Verdict
from agent.session import Engines
from agent.stock_phrases import stock_phrases
from agent.transfer_failure import of_human, of_refer
from agent.transferring import why_no_refer
from control_plane.domain.assistant import Language, TransferMode
from control_plane.domain.brief import Direction
from control_plane.domain.calling_times import Weekday
from control_plane.domain.events import (
    CallTransferred,
    EndedBy,
    EndReason,
    Role,
    TransferBegan,
    TransferFailed,
)
from control_plane.domain.human_leg import HumanResult, HumanState, HumanView
from control_plane.domain.transfer_targets import TransferHours, TransferTarget
from sip.ports import TransferFailure
from sip.ports import TransferFailureKind as Kind
from tests.agent.asked import LIMIT_S, Asked, asked
from tests.agent.telephone import RATE
from tests.factories import NUMBER, call_brief
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers, serving

pytestmark = pytest.mark.system

COLLEAGUE = "+12025550142"
PASSING_ON = stock_phrases(Language.EN_US).passing_on
BUSY = TransferFailure(kind=Kind.REFUSED, sip_status=486, sip_reason="Busy Here")


@pytest.fixture
async def servers() -> AsyncIterator[ProviderServers]:
    async with serving() as started, http_context.open():
        arguments = {"reason": "wants a person"}
        started.controls.rules(
            Rule(when="human", tool=ToolCall(name="transfer_call", arguments=arguments)),
            Rule(when="did nothing", say="I cannot pass you on."),
            Rule(say="Then I help you."),
        )
        yield started


def desk(
    servers: ProviderServers, engines: Engines, **settings: Any
) -> AbstractAsyncContextManager[Asked]:
    cold = {"human_transfer_mode": TransferMode.COLD, "transfer_phone_number": COLLEAGUE}
    return asked(servers, engines, **(cold | settings))


def said(call: Asked) -> list[str]:
    return call.conversation.books.by[Role.ASSISTANT]


def happened(call: Asked) -> list[Any]:
    kinds = (TransferBegan, TransferFailed, CallTransferred)
    return [each for each in call.conversation.books.events if isinstance(each, kinds)]


async def begun(call: Asked) -> None:
    await call.told(lambda _: bool(happened(call)))


async def test_who_is_taken_over_leaves_the_agent(
    servers: ProviderServers, engines: Engines
) -> None:
    async with desk(servers, engines) as call:
        await call.says("I want to speak to a human.")
        await begun(call)
        assert said(call) == [PASSING_ON], "before it, and once"
        assert call.far_end.transfers == [COLLEAGUE]
        call.far_end.outcome.set_result(None)
        verdict = await call.conversation.over()
        assert verdict == Verdict(EndedBy.AGENT, EndReason.TRANSFER)
        await call.told(lambda _: len(happened(call)) == 2)
        began, done = happened(call)
        assert (began.to_phone_number, began.reason) == (COLLEAGUE, "wants a person")
        assert (done.to_phone_number, done.reason) == (COLLEAGUE, "wants a person")


async def test_who_is_not_stays_with_the_agent(servers: ProviderServers, engines: Engines) -> None:
    async with desk(servers, engines, silence_timeout_secs=5) as call:
        await call.says("I want to speak to a human.")
        await begun(call)
        await asyncio.sleep(2.5)  # as long as the agent would leave a person in silence
        call.far_end.outcome.set_result(BUSY)
        await call.told(lambda _: len(said(call)) == 2)
        assert said(call) == [PASSING_ON, "Then I help you."]
        failed = happened(call)[-1]
        assert (failed.why, failed.sip_status, failed.detail) == ("refused", 486, "Busy Here")
        # It is told in words, and can try again.
        call.far_end.outcome = asyncio.Future()
        await call.says("Then try another human.")
        await call.told(lambda _: len(happened(call)) == 3)
        assert call.far_end.transfers == [COLLEAGUE] * 2
        assert said(call)[-1] == PASSING_ON


async def test_a_second_one_meanwhile_is_refused(
    servers: ProviderServers, engines: Engines
) -> None:
    async with desk(servers, engines) as call:
        await call.says("I want to speak to a human.")
        await begun(call)
        await call.says("A human, now!")
        await call.told(lambda _: "I cannot pass you on." in said(call))
        assert "being passed on already" in (call.tools()[-1].tool_output or "")
        assert call.far_end.transfers == [COLLEAGUE]


async def test_what_cannot_be_is_told(servers: ProviderServers, engines: Engines) -> None:
    async with desk(servers, engines, transfer_phone_number=NUMBER) as call:
        await call.says("I want to speak to a human.")
        await call.told(lambda _: "I cannot pass you on." in said(call))
        (tool,) = call.tools()
        assert tool.tool_is_error
        assert "the person's own" in (tool.tool_output or "")
        assert call.far_end.transfers == []


async def test_who_goes_on_is_not_passed_on(servers: ProviderServers, engines: Engines) -> None:
    async with desk(servers, engines) as call:
        await call.says("I want to speak to a human.")
        await call.says("No, wait.")
        await call.told(lambda _: "Then I help you." in said(call))
        assert call.far_end.transfers == []


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (None, Verdict(EndedBy.AGENT, EndReason.TRANSFER)),
        (TransferFailure(kind=Kind.HUNG_UP), Verdict(EndedBy.USER)),
    ],
    ids=["to go there", "for good"],
)
async def test_who_leaves_meanwhile(
    servers: ProviderServers, engines: Engines, outcome: TransferFailure | None, verdict: Verdict
) -> None:
    """The SIP service says what that was, a moment later."""
    async with desk(servers, engines) as call:
        await call.says("I want to speak to a human.")
        await begun(call)
        call.conversation.person_leaves()
        call.far_end.outcome.set_result(outcome)
        assert await call.conversation.over() == verdict


def of_a_human(result: HumanResult, sip_status: int | None = None) -> HumanView:
    is_there = result is HumanResult.ANSWERED
    state = HumanState.ANSWERED if is_there else HumanState.OVER
    return HumanView(id="leg", state=state, result=result, sip_status=sip_status)


@pytest.mark.parametrize(
    ("failure", "because"),
    [
        (TransferFailure(kind=Kind.UNSUPPORTED, sip_status=403), "unsupported 403"),
        (TransferFailure(kind=Kind.SILENT), "silent"),
        (TransferFailure(kind=Kind.SERVICE), "service"),
        (None, "no_refer"),
    ],
    ids=["refused", "silent", "by the service", "by the trunk"],
)
async def test_without_a_refer_a_human_is_called_and_the_agent_leaves(
    servers: ProviderServers,
    engines: Engines,
    failure: TransferFailure | None,
    because: str,
) -> None:
    async with desk(servers, engines, takes_refer=failure is not None) as call:
        await call.says("I want to speak to a human.")
        await begun(call)
        if failure is not None:
            call.far_end.outcome.set_result(failure)
        await until(lambda: call.far_end.asked_in == [(COLLEAGUE, "wants a person", because)])
        assert len(call.far_end.transfers) == (failure is not None)
        began = call.conversation.telephone.now
        await asyncio.sleep(1.0)  # it rings
        heard = call.conversation.telephone.heard()[round((began + 0.3) * RATE) :]
        assert loudness(heard, 425) > 0.05, "the person hears it ring"
        call.far_end.human.set_result(of_a_human(HumanResult.ANSWERED))
        verdict = await call.conversation.over()
        assert verdict == Verdict(EndedBy.AGENT, EndReason.TRANSFER, hands_over=True)
        assert [type(each) for each in happened(call)] == [TransferBegan]


@pytest.mark.parametrize(
    ("direction", "takes_refer", "because"),
    [
        (Direction.INBOUND, True, None),
        (Direction.OUTBOUND, False, "no_refer"),
        (Direction.BROWSER, True, "browser"),
    ],
)
def test_why_no_refer_is_tried(
    direction: Direction, takes_refer: bool, because: str | None
) -> None:
    brief = msgspec.structs.replace(call_brief(), direction=direction, takes_refer=takes_refer)
    assert why_no_refer(brief) == because


async def test_a_human_who_is_not_reached_leaves_the_person_with_the_agent(
    servers: ProviderServers, engines: Engines
) -> None:
    async with desk(servers, engines, takes_refer=False) as call:
        await call.says("I want to speak to a human.")
        await begun(call)
        await until(lambda: bool(call.far_end.asked_in))
        call.far_end.human.set_result(of_a_human(HumanResult.BUSY, 486))
        await call.told(lambda _: len(said(call)) == 2)
        assert said(call) == [PASSING_ON, "Then I help you."]
        failed = happened(call)[-1]
        assert (failed.why, failed.sip_status) == ("busy", 486)


async def test_who_hangs_up_while_a_human_is_called_has_hung_up(
    servers: ProviderServers, engines: Engines
) -> None:
    async with desk(servers, engines, takes_refer=False) as call:
        await call.says("I want to speak to a human.")
        await until(lambda: bool(call.far_end.asked_in))
        call.conversation.person_leaves()
        assert await call.conversation.over() == Verdict(EndedBy.USER)


SECOND = TransferTarget("+12025550143", "Bo", None, 10)


async def test_the_next_target_is_tried_when_one_is_not_reached(
    servers: ProviderServers, engines: Engines
) -> None:
    async with desk(servers, engines, transfer_targets=(SECOND,)) as call:
        await call.says("I want to speak to a human.")
        await begun(call)
        first, call.far_end.outcome = call.far_end.outcome, asyncio.Future()
        first.set_result(BUSY)
        await until(lambda: call.far_end.transfers == [COLLEAGUE, SECOND.phone_number])
        assert call.far_end.rang == [30, 10]
        # Their side takes no REFER, and is asked for none again.
        call.far_end.outcome.set_result(TransferFailure(kind=Kind.UNSUPPORTED, sip_status=405))
        await until(lambda: len(call.far_end.asked_in) == 1)
        call.far_end.human.set_result(of_a_human(HumanResult.ANSWERED))
        assert (await call.conversation.over()).hands_over
        told = [(type(each), each.to_phone_number) for each in happened(call)]
        assert told == [
            (TransferBegan, COLLEAGUE),
            (TransferFailed, COLLEAGUE),
            (TransferBegan, SECOND.phone_number),
        ]


async def test_who_takes_no_calls_now_is_left_out(
    servers: ProviderServers, engines: Engines
) -> None:
    today = datetime.now(UTC).weekday()
    never = TransferHours("UTC", (list(Weekday)[(today + 3) % 7],))
    away = TransferTarget(SECOND.phone_number, "", never)
    settings = {"transfer_phone_number": None, "transfer_targets": (away,)}
    async with desk(servers, engines, **settings) as call:
        await call.says("I want to speak to a human.")
        await call.told(lambda _: "I cannot pass you on." in said(call))
        assert "nobody takes calls at this hour" in (call.tools()[-1].tool_output or "")
        assert call.far_end.transfers == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(486, "busy"), (404, "cannot be reached"), (480, "nobody is there"), (603, "declined")],
)
def test_the_model_is_told_in_words(status: int, words: str) -> None:
    failure = TransferFailure(kind=Kind.REFUSED, sip_status=status)
    assert words in of_refer(failure).words


def test_every_result_of_a_human_has_words() -> None:
    told = {result: of_human(of_a_human(result)).words for result in HumanResult}
    assert all(told.values())
    assert "busy" in told[HumanResult.BUSY]
    assert "may not be called" in told[HumanResult.FORBIDDEN]


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something of a fake is so."""
    async with asyncio.timeout(LIMIT_S):
        while not is_so():
            await asyncio.sleep(0.02)


def loudness(samples: npt.NDArray[np.int16], hertz: int) -> float:
    """Return how loud a tone is, of 1."""
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / RATE)
    return float(abs(np.mean(samples * wave))) * 2 / 32_768
