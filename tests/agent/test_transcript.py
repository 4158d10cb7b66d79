"""The transcript keeps the order in which things were said, whatever waits to be reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents import ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage

from agent.masking import Masks
from agent.transcript import Transcriber

pytestmark = pytest.mark.unit

QUESTION, ANSWER, FILLER = "What are your hours?", "From nine to five.", "One moment, please."


class Session:
    """Tells what is added to the conversation."""

    def __init__(self) -> None:
        self._listeners: dict[str, Callable[[Any], None]] = {}

    def on(self, event: str, callback: Callable[[Any], None]) -> None:
        self._listeners[event] = callback

    def add(self, role: Any, text: str) -> ChatMessage:
        message = ChatMessage(role=role, content=[text])
        self._listeners["conversation_item_added"](ConversationItemAddedEvent(item=message))
        return message


class Growing:
    """A turn of the person's that may always grow."""

    is_undecided = True

    def is_pending(self, _call_id: str) -> bool:
        return False


class Scene:
    """A transcriber, and what it reported."""

    def __init__(self) -> None:
        self.items: list[tuple[str, str]] = []
        self.session: Any = Session()
        growing: Any = Growing()
        reporter: Any = self
        self.transcriber = Transcriber(self.session, reporter, growing, Masks())

    def report(self, _kind: Any, **facts: Any) -> None:
        self.items.append((facts["role"], facts["content"]))


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_a_filler_stands_behind_the_question_that_it_follows(scene: Scene) -> None:
    scene.session.add("user", QUESTION)
    scene.transcriber.said_aside(FILLER)
    assert scene.items == [], "the question may go on"
    scene.session.add("assistant", ANSWER)
    assert scene.items == [("user", QUESTION), ("assistant", FILLER), ("assistant", ANSWER)]


async def test_a_filler_stays_when_the_question_goes_on(scene: Scene) -> None:
    question = scene.session.add("user", QUESTION)
    scene.transcriber.said_aside(FILLER)
    scene.transcriber.take_back(question)
    scene.session.add("user", f"{QUESTION} On Sundays?")
    scene.transcriber.settle()
    assert scene.items == [("assistant", FILLER), ("user", f"{QUESTION} On Sundays?")]


async def test_a_filler_with_nothing_before_it_is_told_at_once(scene: Scene) -> None:
    scene.transcriber.said_aside(FILLER)
    assert scene.items == [("assistant", FILLER)]
