"""The person's keys: in one input, once, of one leg; what is asked for, and what is secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from livekit import rtc
from livekit.agents.utils import http_context

from agent.session import Engines
from control_plane.domain.events import EndReason, KeyPressed, Role
from tests.agent.asked import Asked, asked
from tests.providers.script import Rule, ToolCall
from tests.providers.servers import ProviderServers, serving

pytestmark = pytest.mark.system

LONG = "We are open every day from nine to five, and on Sundays from ten to two. " * 2
QUESTION = "Please enter your code, and press pound."


@pytest.fixture
async def servers() -> AsyncIterator[ProviderServers]:
    async with serving() as started, http_context.open():
        started.controls.rules(Rule(say="Thank you."))
        yield started


def press(call: Asked, keys: str, identity: str = "person") -> None:
    """Somebody in the room presses keys."""
    for key in keys:
        event = rtc.SipDTMF(code=0, digit=key, participant=SimpleNamespace(identity=identity))  # type: ignore[arg-type]
        call.far_end.room.emit("sip_dtmf_received", event)


async def heard(call: Asked, count: int) -> list[str]:
    """Return what the person is taken to have said, once there are so many items."""
    await call.told(lambda _: len(call.conversation.books.by[Role.USER]) >= count)
    return call.conversation.books.by[Role.USER]


def keys(call: Asked) -> list[KeyPressed]:
    return [each for each in call.conversation.books.events if isinstance(each, KeyPressed)]


def code(**more: object) -> Rule:
    arguments = {"question": QUESTION, **more}
    return Rule(when="code", tool=ToolCall(name="collect_digits", arguments=arguments), times=1)


async def test_a_run_ends_by_pound_or_by_a_pause(
    servers: ProviderServers, engines: Engines
) -> None:
    async with asked(servers, engines) as call:
        press(call, "12#34")
        press(call, "567", "another leg")
        said = await heard(call, 2)
        assert said == [
            "(The person pressed these telephone keys: 1 2 #)",
            "(The person pressed these telephone keys: 3 4)",
        ]
        assert [each.digit for each in keys(call)] == list("12#34")
        assert {each.participant for each in keys(call)} == {"person"}


@pytest.mark.parametrize("may_interrupt", [True, False])
async def test_keys_interrupt_as_words_do(
    servers: ProviderServers, engines: Engines, may_interrupt: bool
) -> None:
    async with asked(servers, engines) as call:
        session = call.conversation.session
        speech = session.say(LONG, allow_interruptions=may_interrupt)
        await call.conversation.telephone.listen(0.0)
        press(call, "1#")
        await speech
        assert speech.interrupted == may_interrupt
        assert await heard(call, 1) == ["(The person pressed these telephone keys: 1 #)"]


async def test_a_key_takes_back_that_the_call_ends(
    servers: ProviderServers, engines: Engines
) -> None:
    servers.controls.rules(
        Rule(when="goodbye", tool=ToolCall(name="end_call"), times=1), Rule(say="Yes?")
    )
    async with asked(servers, engines) as call:
        await call.says("Goodbye.")
        press(call, "5#")
        await heard(call, 2)
        await call.told(lambda _: bool(call.conversation.books.by[Role.ASSISTANT]))
        assert call.conversation.books.by[Role.ASSISTANT][-1] == "Yes?"
        call.conversation.hang_up()
        assert (await call.conversation.over()).reason is not EndReason.TOOL_END_CALL


async def test_a_secret_is_told_to_the_model_alone(
    servers: ProviderServers, engines: Engines
) -> None:
    servers.controls.rules(
        code(max_digits=6, is_secret=True), Rule(when="9 0 4 7", say="You said 9047, or 9 0 4 7.")
    )
    async with asked(servers, engines) as call:
        await call.says("I have a code.")
        press(call, "9047#")
        said = await heard(call, 2)
        assert said[1:] == ["(The person pressed secret telephone keys)"]
        await call.told(
            lambda _: "You said ****, or ****." in call.conversation.books.by[Role.ASSISTANT]
        )
        assert [(each.digit, each.is_secret) for each in keys(call)] == [("", True)] * 5
        assert "9047" not in str(call.conversation.books.events)


async def test_what_was_asked_for_ends_by_its_length_or_its_own_key(
    servers: ProviderServers, engines: Engines
) -> None:
    servers.controls.rules(
        code(max_digits=3), code(end_key="*"), Rule(when="keys", say="Thank you."), Rule(say="Hm.")
    )
    async with asked(servers, engines) as call:
        await call.says("I have a code.")
        press(call, "1234#")
        said = await heard(call, 3)
        assert said[1:] == [
            "(The person pressed these telephone keys: 1 2 3)",
            "(The person pressed these telephone keys: 4 #)",
        ]
        await call.says("Another code.")
        press(call, "7#")
        await asyncio.sleep(2.0)  # longer than the pause that ends a run nobody asked for
        press(call, "8*")
        said = await heard(call, 5)
        assert said[4:] == ["(The person pressed these telephone keys: 7 # 8)"]


async def test_an_end_key_after_the_last_digit_is_no_input(
    servers: ProviderServers, engines: Engines
) -> None:
    servers.controls.rules(code(max_digits=4), Rule(say="Thank you."))
    async with asked(servers, engines) as call:
        await call.says("I have a code.")
        press(call, "1234#")
        press(call, "5#")
        assert (await heard(call, 3))[1:] == [
            "(The person pressed these telephone keys: 1 2 3 4)",
            "(The person pressed these telephone keys: 5 #)",
        ]
        assert [each.digit for each in keys(call)] == list("1234#5#")


async def test_the_first_key_ends_the_question(servers: ProviderServers, engines: Engines) -> None:
    servers.controls.rules(code(question=LONG), Rule(say="Thank you."))
    async with asked(servers, engines) as call:
        await call.says("I have a code.")
        await call.conversation.telephone.listen(0.0)
        speech = call.conversation.session.current_speech
        assert speech is not None
        press(call, "1")
        await speech
        assert speech.interrupted
        press(call, "2#")
        assert (await heard(call, 2))[1:] == ["(The person pressed these telephone keys: 1 2)"]


async def test_nothing_pressed_is_told(servers: ProviderServers, engines: Engines) -> None:
    servers.controls.rules(code(timeout_secs=2), Rule(say="Are you there?"))
    async with asked(servers, engines) as call:
        await call.says("I have a code.")
        await call.told(lambda _: "Are you there?" in call.conversation.books.by[Role.ASSISTANT])
        said = call.conversation.books.by[Role.ASSISTANT]
        assert said[:2] == [QUESTION, "Are you there?"]
        assert call.conversation.books.by[Role.USER] == ["I have a code."]
