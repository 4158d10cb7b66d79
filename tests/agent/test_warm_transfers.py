"""A caller who is introduced to a human: music meanwhile, the agent again unless it succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import ToolError
from livekit.agents.utils import http_context

from agent.ending import Verdict
from agent.prompt import Texts
from agent.session import Engines, build_parts
from agent.transferring import Transferring
from agent.warm.introduction import Introduction
from control_plane.domain.assistant import Language, TransferMode
from control_plane.domain.events import EndedBy, EndReason, TransferBegan, TransferFailed
from control_plane.domain.human_leg import HumanResult, HumanState, HumanView
from control_plane.domain.transfer_targets import TransferTarget
from tests.agent.asked import Asked, asked
from tests.agent.telephone import RATE, Handset
from tests.agent.test_transferring import (
    COLLEAGUE,
    PASSING_ON,
    begun,
    happened,
    of_a_human,
    said,
    until,
)
from tests.factories import call_brief
from tests.providers.behaviour import Behaviour
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers, serving

pytestmark = pytest.mark.system

SECOND = "+12025550143"
TAKEN = HumanView(id="leg", state=HumanState.ANSWERED)
"""A human who has answered and is to be asked."""


@pytest.fixture
async def servers() -> AsyncIterator[ProviderServers]:
    async with serving() as started, http_context.open():
        arguments = {"reason": "wants a person"}
        started.controls.rules(
            Rule(when="reason: wants", say="Ada has a question."),
            Rule(when="human", tool=ToolCall(name="transfer_call", arguments=arguments)),
            Rule(when="did nothing", say="I cannot pass you on."),
            Rule(say="Then I help you."),
        )
        yield started


def desk(
    servers: ProviderServers, engines: Engines, **settings: Any
) -> AbstractAsyncContextManager[Asked]:
    warm = {"human_transfer_mode": TransferMode.WARM, "transfer_phone_number": COLLEAGUE}
    return asked(servers, engines, **(warm | settings))


async def called(call: Asked) -> None:
    """Have a human's telephone ring."""
    await call.says("I want to speak to a human.")
    await begun(call)
    await until(lambda: bool(call.far_end.asked_in))


async def test_a_human_who_takes_the_call_has_it_and_the_agent_leaves(
    servers: ProviderServers, engines: Engines
) -> None:
    async with desk(servers, engines) as call:
        await called(call)
        assert said(call) == [PASSING_ON], "before it, and once"
        assert call.far_end.asked_in == [(COLLEAGUE, "wants a person", "warm")]
        assert call.far_end.asked_first == [True]
        assert call.far_end.transfers == [], "no REFER"
        began = call.conversation.telephone.now
        await asyncio.sleep(1.0)  # it rings
        heard = call.conversation.telephone.heard()[round((began + 0.3) * RATE) :]
        assert np.abs(heard.astype(np.int32)).max() > 100, "the person hears music"
        call.far_end.human.set_result(TAKEN)
        private = call.far_end.private
        await until(lambda: private.told_s > 6.0)
        assert private.done[:2] == ["isolated", "told"]
        private.presses("1")
        verdict = await call.conversation.over()
        assert verdict == Verdict(EndedBy.AGENT, EndReason.TRANSFER, hands_over=True)
        assert call.far_end.noted == [HumanResult.ANSWERED]
        assert private.done[-1] == "connected"
        assert [type(each) for each in happened(call)] == [TransferBegan]


async def test_who_declines_is_hung_up_and_the_next_is_asked(
    servers: ProviderServers, engines: Engines
) -> None:
    targets = (TransferTarget(SECOND),)
    async with desk(servers, engines, transfer_targets=targets) as call:
        await called(call)
        first, call.far_end.human = call.far_end.human, asyncio.Future()
        first.set_result(TAKEN)
        private = call.far_end.private
        await until(lambda: "told" in private.done)
        private.presses("2")
        await until(lambda: len(call.far_end.asked_in) == 2)
        assert private.done[-1] == "put out"
        assert call.far_end.noted == [HumanResult.DECLINED]
        call.far_end.human.set_result(of_a_human(HumanResult.BUSY, 486))
        await call.told(lambda _: len(said(call)) == 2)
        assert said(call) == [PASSING_ON, "Then I help you."]
        failed = [(e.to_phone_number, e.why) for e in happened(call) if type(e) is TransferFailed]
        assert failed == [(COLLEAGUE, "declined"), (SECOND, "busy")]


async def test_who_cannot_be_set_apart_is_told_nothing(
    servers: ProviderServers, engines: Engines
) -> None:
    async with desk(servers, engines) as call:
        call.far_end.private.fails = True
        await called(call)
        call.far_end.human.set_result(TAKEN)
        await call.told(lambda _: len(said(call)) == 2)
        assert call.far_end.private.done == ["put out"]
        assert call.far_end.noted == [HumanResult.FAILED]


async def test_a_human_whose_yes_is_not_kept_does_not_have_the_call(
    servers: ProviderServers, engines: Engines
) -> None:
    """As when it was ended by others at that moment."""
    async with desk(servers, engines) as call:
        await called(call)
        call.far_end.keeps = False
        call.far_end.human.set_result(TAKEN)
        private = call.far_end.private
        await until(lambda: "told" in private.done)
        private.presses("1")
        await call.told(lambda _: len(said(call)) == 2)
        assert private.done[-2:] == ["connected", "put out"]
        assert happened(call)[-1].why == "failed"
        assert call.conversation.session.input.audio_enabled, "the agent hears the person again"


async def test_a_model_that_fails_keeps_nobody_from_being_asked(
    servers: ProviderServers, engines: Engines
) -> None:
    async with desk(servers, engines) as call:
        await call.says("I want to speak to a human.")
        servers.controls.behave("openai.chat", Behaviour(status=500))
        await until(lambda: bool(call.far_end.asked_in))
        call.far_end.human.set_result(TAKEN)
        await until(lambda: "told" in call.far_end.private.done)
        call.far_end.private.presses("1")
        assert (await call.conversation.over()).hands_over


async def test_a_person_who_leaves_meanwhile_is_told_of_by_a_word(
    servers: ProviderServers, engines: Engines
) -> None:
    async with desk(servers, engines) as call:
        await called(call)
        call.far_end.human.set_result(TAKEN)
        await until(lambda: "told" in call.far_end.private.done)
        call.conversation.person_leaves()
        assert await call.conversation.over() == Verdict(EndedBy.USER)
        await call.told(lambda _: len(happened(call)) == 2)
        assert happened(call)[-1].why == "caller_left"
        assert call.far_end.noted == []


async def test_without_a_voice_nobody_is_introduced(engines: Engines) -> None:
    brief = call_brief(
        language=Language.DE_DE,
        human_transfer_mode=TransferMode.WARM,
        transfer_phone_number=COLLEAGUE,
    )
    aside, unused = build_parts(brief, engines).aside, cast(Any, None)
    far_end, texts = Handset(rtc.Room()), Texts(brief, datetime.now(UTC))
    introduction = Introduction(brief, texts, unused, far_end, output=unused, aside=aside)
    transferring = Transferring(
        brief,
        unused,
        far_end,
        reporter=unused,
        ending=unused,
        silence=unused,
        output=unused,
        introduction=introduction,
    )
    with pytest.raises(ToolError, match="no voice"):
        transferring.check()
