"""A caller who is passed on: to the configured number, once, or back with the agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from livekit.agents.utils import http_context

from agent.ending import Verdict
from agent.session import Engines
from agent.stock_phrases import sayings
from agent.transferring import what
from control_plane.domain.assistant import Language, TransferMode
from control_plane.domain.events import (
    CallTransferred,
    EndedBy,
    EndReason,
    Role,
    TransferBegan,
    TransferFailed,
)
from sip.ports import TransferFailure, TransferFailureKind
from tests.agent.asked import Asked, asked
from tests.factories import NUMBER
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers, serving

pytestmark = pytest.mark.system

COLLEAGUE = "+12025550142"
PASSING_ON = sayings(Language.EN_US).passing_on
BUSY = TransferFailure(kind=TransferFailureKind.REFUSED, sip_status=486, sip_reason="Busy Here")


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


@pytest.mark.parametrize(
    ("number", "is_telephone", "why"),
    [(NUMBER, True, "the person's own"), (COLLEAGUE, False, "not on a telephone")],
)
async def test_what_cannot_be_is_told(
    servers: ProviderServers, engines: Engines, number: str, is_telephone: bool, why: str
) -> None:
    async with desk(servers, engines, transfer_phone_number=number) as call:
        call.far_end.is_telephone = is_telephone
        await call.says("I want to speak to a human.")
        await call.told(lambda _: "I cannot pass you on." in said(call))
        (tool,) = call.tools()
        assert tool.tool_is_error
        assert why in (tool.tool_output or "")
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
        (TransferFailure(kind=TransferFailureKind.HUNG_UP), Verdict(EndedBy.USER)),
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


@pytest.mark.parametrize(
    ("status", "words"),
    [(486, "busy"), (404, "cannot be reached"), (480, "nobody is there"), (603, "declined")],
)
def test_the_model_is_told_in_words(status: int, words: str) -> None:
    failure = TransferFailure(kind=TransferFailureKind.REFUSED, sip_status=status)
    assert words in what(failure)
