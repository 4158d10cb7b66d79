"""What the person of a browser session types: a turn, answered aloud; or refused, and told why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from livekit import rtc
from livekit.agents.utils import http_context

from agent.ending import Ending
from agent.session import Engines
from agent.typed import (
    METHOD,
    MOST_CHARACTERS,
    MOST_MESSAGES,
    WITHIN_S,
    Refusal,
    TypedTurns,
)
from control_plane.domain.brief import Direction
from control_plane.domain.events import EndedBy, KeyPressed, Role
from control_plane.domain.providers import DedicatedModel, Provider, RealtimeModel
from tests.agent.asked import Asked, asked
from tests.agent.telephone import ringing
from tests.factories import call_brief
from tests.providers.script import Rule
from tests.providers.servers import ProviderServers, serving

pytestmark = pytest.mark.system

LONG = "We are open every day from nine to five, and on Sundays from ten to two. " * 2
REALTIME = RealtimeModel(provider=Provider.OPENAI, realtime_model_id="gpt-realtime")
QUESTION, ANSWER = "What are your opening hours?", "From nine to five."


@pytest.fixture
async def servers() -> AsyncIterator[ProviderServers]:
    async with serving() as started, http_context.open():
        # A text model must have it between the marks of data; one that speaks by itself, too.
        started.controls.rules(Rule(when=f"⟦{QUESTION}⟧", say=ANSWER), Rule(say="Thank you."))
        yield started


def turns(call: Asked) -> TypedTurns:
    """Return what takes the person's messages of a conversation."""
    return call.conversation.typed()


async def reply(call: Asked, words: str) -> None:
    """Wait until the agent has said this."""
    await call.told(lambda _: words in " ".join(call.conversation.books.by[Role.ASSISTANT]))


@pytest.mark.parametrize("model", [DedicatedModel("gpt-4.1"), REALTIME], ids=["text", "realtime"])
async def test_it_is_a_turn_and_is_answered_aloud(
    servers: ProviderServers, engines: Engines, model: DedicatedModel | RealtimeModel
) -> None:
    async with asked(servers, engines, llm_model=model) as call:
        await turns(call).say(f"  {QUESTION}\u202e\x00 ")
        await call.conversation.telephone.listen(0.5)
        await reply(call, ANSWER)
        assert call.conversation.books.by[Role.USER] == [QUESTION]


async def test_it_silences_the_agent_as_words_do(
    servers: ProviderServers, engines: Engines
) -> None:
    async with asked(servers, engines) as call:
        speech = call.conversation.session.say(LONG)
        await call.conversation.telephone.listen(0.0)
        await turns(call).say(QUESTION)
        await speech
        assert speech.interrupted
        await reply(call, ANSWER)
        said = call.conversation.books.said
        assert said.index(QUESTION) > 0  # what was heard of the other comes before it
        assert LONG.startswith(said[0])


async def test_each_of_several_is_kept_and_what_may_not_be_broken_off_is_not(
    servers: ProviderServers, engines: Engines
) -> None:
    async with asked(servers, engines) as call:
        speech = call.conversation.session.say(LONG, allow_interruptions=False)
        typed = turns(call)
        await asyncio.gather(*(typed.say(text) for text in ("One.", "Two.", QUESTION)))
        await speech
        assert not speech.interrupted
        await reply(call, ANSWER)
        await call.told(lambda _: len(call.conversation.books.by[Role.USER]) == 3)
        assert call.conversation.books.by[Role.USER] == ["One.", "Two.", QUESTION]


async def test_what_is_said_next_is_no_part_of_it(
    servers: ProviderServers, engines: Engines
) -> None:
    async with asked(servers, engines) as call:
        await turns(call).say("Hello there.")
        await call.says("And another thing.")
        await call.told(lambda _: len(call.conversation.books.by[Role.USER]) == 2)
        assert call.conversation.books.by[Role.USER] == ["Hello there.", "And another thing."]


async def refused(typed: TypedTurns, text: str) -> int:
    with pytest.raises(rtc.RpcError) as error:
        await typed.say(text)
    return error.value.code


@pytest.fixture
async def quick() -> tuple[TypedTurns, list[str], Ending, list[float]]:
    """Return one without a conversation, what it takes, its end and its clock."""
    taken: list[str] = []
    ending, now = Ending(), [0.0]

    async def take(text: str) -> None:
        taken.append(text)

    session: Any = SimpleNamespace(current_speech=None)
    typed = TypedTurns(session, ending, take, lambda: None, clock=lambda: now[0])
    return typed, taken, ending, now


async def test_length_and_rate_are_bounded_and_what_is_not_taken_is_told(
    quick: tuple[TypedTurns, list[str], Ending, list[float]],
) -> None:
    typed, taken, ending, now = quick
    assert await refused(typed, "x" * (MOST_CHARACTERS + 1)) == Refusal.TOO_LONG
    assert await refused(typed, " \u200b\n ") == Refusal.EMPTY
    for number in range(MOST_MESSAGES):
        await typed.say(f"{number}" + "x" * (MOST_CHARACTERS - 2))
        now[0] += 1.0
    assert await refused(typed, "one more") == Refusal.TOO_MANY
    now[0] = WITHIN_S
    await typed.say("one more")
    assert await refused(typed, "and one") == Refusal.TOO_MANY
    assert len(taken) == MOST_MESSAGES + 1
    now[0] += WITHIN_S
    ending.end(EndedBy.USER)
    assert await refused(typed, "too late") == Refusal.NOT_NOW


async def test_nobody_else_in_the_room_types_for_the_person(
    quick: tuple[TypedTurns, list[str], Ending, list[float]],
) -> None:
    typed, taken, *_ = quick
    methods: dict[str, Any] = {}
    me = SimpleNamespace(register_rpc_method=methods.__setitem__)
    typed.follow(SimpleNamespace(local_participant=me), "person")  # type: ignore[arg-type]
    with pytest.raises(rtc.RpcError):
        await methods[METHOD](rtc.RpcInvocationData("1", "somebody", "Hello", 10.0))
    assert await methods[METHOD](rtc.RpcInvocationData("2", "person", "Hello", 10.0)) == ""
    assert taken == ["Hello"]


@pytest.mark.parametrize(("direction", "keys"), [(Direction.OUTBOUND, 1), (Direction.BROWSER, 0)])
async def test_a_page_has_no_keys_whatever_it_sends(
    engines: Engines, direction: Direction, keys: int
) -> None:
    brief = msgspec.structs.replace(call_brief(), direction=direction)
    async with ringing(brief, engines) as conversation:
        person: Any = SimpleNamespace(identity=brief.participant_identity)
        event = rtc.SipDTMF(code=0, digit="1", participant=person)
        conversation.far_end.room.emit("sip_dtmf_received", event)
    events = conversation.books.events
    assert len([each for each in events if isinstance(each, KeyPressed)]) == keys
