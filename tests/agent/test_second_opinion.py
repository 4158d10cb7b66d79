"""A long greeting that gives nobody away: the assistant's model is asked, and never waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from livekit.agents import llm
from livekit.agents.utils import http_context

from agent.answering.opinion import SecondOpinion
from agent.session import Engines
from control_plane.domain.assistant import FirstSentenceMode
from control_plane.domain.brief import CallBrief
from control_plane.domain.events import AnswerDetected, AttemptResult, EndReason
from control_plane.domain.providers import CustomModel
from process.addresses import Allowed
from speech.offline.voice import Speaker
from speech.tables import make_llm
from tests.agent.telephone import Conversation, ringing, spoken
from tests.factories import call_brief
from tests.providers.behaviour import Behaviour
from tests.providers.script import Rule
from tests.providers.servers import KEY, ProviderServers, serving

pytestmark = pytest.mark.system

CALL_LIMIT_S = 30.0
MACHINE = (
    "Hello, you are through to the answering service of Baxter and Sons. Kindly give us your "
    "details and someone will ring you in the morning."
)
WORKSHOP = (
    "Hey, you found the workshop. All of us are out in the forest for an hour or two, so talk to "
    "you soon."
)
PERSON = "Hello, I was just in the garden, so it took me a moment to get to the telephone."
REPLY = "No problem at all."


@pytest.fixture
async def servers() -> AsyncIterator[ProviderServers]:
    """Return running provider servers, and give the plugins the HTTP session of a job."""
    async with serving() as started, http_context.open():
        yield started


def custom(servers: ProviderServers) -> CustomModel:
    return CustomModel(servers.custom_url, "tiny", KEY)


@pytest.mark.parametrize(
    ("said", "opinion"),
    [
        ("voicemail", AttemptResult.VOICEMAIL),
        ("Menu.", AttemptResult.IVR),
        ("`person`", AttemptResult.HUMAN),
        ("I cannot tell", None),
    ],
)
async def test_a_models_word_is_taken(
    servers: ProviderServers, said: str, opinion: AttemptResult | None
) -> None:
    servers.controls.script.replace([Rule(when="⟦Leave it.⟧", say=said)])
    model = make_llm(custom(servers), {}, allowed=Allowed.parse("127.0.0.0/8"))
    assert isinstance(model, llm.LLM)
    assert await SecondOpinion(model).of("Leave ⟦it⟧.") is opinion
    await model.aclose()


async def test_a_model_that_fails_or_is_not_there_has_none(servers: ProviderServers) -> None:
    servers.controls.behave("custom.chat", Behaviour(status=500))
    model = make_llm(custom(servers), {}, allowed=Allowed.parse("127.0.0.0/8"))
    assert isinstance(model, llm.LLM)
    assert await SecondOpinion(model).of("Hello.") is None
    assert await SecondOpinion(None).of("Hello.") is None
    await model.aclose()


def brief_of(servers: ProviderServers) -> CallBrief:
    brief = call_brief(
        first_sentence="This is the clinic.", first_sentence_mode=FirstSentenceMode.STATIC
    )
    assistant = msgspec.structs.replace(brief.assistant, llm_model=custom(servers))
    return msgspec.structs.replace(brief, assistant=assistant, providers=servers.access())


async def greeted_by(call: Conversation, greeting: str) -> AnswerDetected:
    """Answer with this greeting, and return who that was taken for."""
    call.answer()
    await call.telephone.say(spoken(Speaker.load(), greeting))

    await call.books.until(lambda _: bool(detected(call)))
    return detected(call)[0]


def detected(call: Conversation) -> list[AnswerDetected]:
    return [each for each in call.books.events if isinstance(each, AnswerDetected)]


async def test_what_a_model_takes_for_a_voicemail_is_left(
    servers: ProviderServers, engines: Engines
) -> None:
    servers.controls.script.replace([Rule(when="⟦", say="voicemail"), Rule(say=REPLY)])
    async with asyncio.timeout(CALL_LIMIT_S), ringing(brief_of(servers), engines) as call:
        found = await greeted_by(call, MACHINE)
        assert (found.result, found.engine) == (AttemptResult.VOICEMAIL, "model")
        assert (await call.over()).reason is EndReason.VOICEMAIL


async def test_without_a_model_the_meaning_of_a_greeting_tells(engines: Engines) -> None:
    brief = call_brief(
        first_sentence="This is the clinic.", first_sentence_mode=FirstSentenceMode.STATIC
    )
    async with (
        http_context.open(),
        asyncio.timeout(CALL_LIMIT_S),
        ringing(brief, engines) as call,
    ):
        found = await greeted_by(call, WORKSHOP)
        assert (found.result, found.engine) == (AttemptResult.VOICEMAIL, "meaning")
        assert (await call.over()).reason is EndReason.VOICEMAIL


@pytest.mark.parametrize("opinion", ["person", "voicemail"])
async def test_a_person_is_answered_whether_the_model_says_so_or_too_late(
    servers: ProviderServers, engines: Engines, opinion: str
) -> None:
    servers.controls.script.replace([Rule(when="⟦", say=opinion), Rule(say=REPLY)])
    if opinion == "voicemail":
        servers.controls.behave("custom.chat", Behaviour(latency_ms=2_000))
    async with asyncio.timeout(CALL_LIMIT_S), ringing(brief_of(servers), engines) as call:
        found = await greeted_by(call, PERSON)
        assert found.result is AttemptResult.HUMAN
        await call.books.until(lambda books: REPLY in " ".join(books.said))
