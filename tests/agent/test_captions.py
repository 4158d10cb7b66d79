"""What the page of a browser session is shown of the conversation, and what is put right."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from livekit import rtc
from livekit.agents import ConversationItemAddedEvent, UserInputTranscribedEvent
from livekit.agents.llm import ChatMessage

from agent.captions import Caption, Captions
from agent.playout_transcript import PlayoutTranscript
from agent.typed import TYPED

pytestmark = pytest.mark.unit


class Page:
    """Shows captions as a page does: a row for each segment, the latest words of it."""

    def __init__(self) -> None:
        self.rows: dict[str, Caption] = {}
        self.sent = 0
        self.opened = asyncio.Event()
        self.opened.set()
        self.is_gone = False

    async def send(self, caption: Caption) -> None:
        if self.is_gone:
            raise ConnectionError("the room is gone")
        seen = msgspec.structs.replace(caption)
        await self.opened.wait()
        self.sent += 1
        self.rows[seen.segment] = seen

    async def shows(self) -> list[str]:
        """Return what there is to read once all was sent."""
        while asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.sleep(0)
        return [
            f"{'you' if row.is_person else 'agent'}{'' if row.is_final else ' …'}: {row.text}"
            for row in self.rows.values()
            if row.text
        ]


class Talk:
    """The events of a session, as `Captions` listens to them."""

    def __init__(self) -> None:
        self._events: rtc.EventEmitter[Any] = rtc.EventEmitter()
        self.on = self._events.on

    def hears(self, words: str, *, final: bool = True) -> None:
        event = UserInputTranscribedEvent(transcript=words, is_final=final)
        self._events.emit("user_input_transcribed", event)

    def said(self, words: str) -> None:
        item = ChatMessage(role="assistant", content=[words])
        self._events.emit("conversation_item_added", ConversationItemAddedEvent(item=item))

    def typed(self, words: str) -> None:
        item = ChatMessage(role="user", content=[words], extra={TYPED: True})
        self._events.emit("conversation_item_added", ConversationItemAddedEvent(item=item))


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def talk() -> Talk:
    return Talk()


@pytest.fixture
def captions(page: Page, talk: Talk) -> Captions:
    made = Captions(PlayoutTranscript(), page.send)
    made.follow(talk)  # type: ignore[arg-type]
    return made


async def test_both_sides_are_shown_as_they_speak(
    captions: Captions, page: Page, talk: Talk
) -> None:
    await captions.capture_text("Hello, ")
    assert await page.shows() == ["agent …: Hello, "]
    await captions.capture_text("Ann here.")
    captions.flush()
    talk.said("Hello, Ann here.")
    talk.hears("what are", final=False)
    assert await page.shows() == ["agent: Hello, Ann here.", "you …: what are"]
    talk.hears("What are your hours?")
    assert await page.shows() == ["agent: Hello, Ann here.", "you: What are your hours?"]


async def test_words_that_nobody_heard_are_taken_back(
    captions: Captions, page: Page, talk: Talk
) -> None:
    await captions.capture_text("Never heard.")
    captions.flush()
    await captions.capture_text("We are open from nine to five.")
    captions.flush()
    talk.said("We are open")
    assert await page.shows() == ["agent: We are open"]


async def test_what_is_added_to_a_turn_replaces_it(
    captions: Captions, page: Page, talk: Talk
) -> None:
    talk.hears("I would like")
    talk.hears("an appo", final=False)
    talk.hears("I would like an appointment.")
    assert await page.shows() == ["you: I would like an appointment."]
    await captions.capture_text("Sure.")
    captions.flush()
    talk.said("Sure.")
    talk.hears("I would like an appointment. Two.")
    assert len(await page.shows()) == 3, "after an answer it is another turn"


async def test_what_changes_while_the_line_is_busy_is_sent_once(
    captions: Captions, page: Page
) -> None:
    page.opened.clear()
    for word in ["one", "two", "three", "four", "five"]:
        await captions.capture_text(f"{word} ")
        await asyncio.sleep(0)
    page.opened.set()
    assert await page.shows() == ["agent …: one two three four five "]
    assert page.sent == 2


async def test_nothing_comes_of_a_room_that_is_gone(captions: Captions, page: Page) -> None:
    page.is_gone = True
    await captions.capture_text("Hello?")
    assert await page.shows() == []
    page.is_gone, page.opened = False, asyncio.Event()
    await captions.capture_text(" Is anybody there?")
    await asyncio.sleep(0)
    captions.close()
    assert await page.shows() == []


async def test_the_wording_is_told_what_the_page_is(captions: Captions) -> None:
    transcript = captions.next_in_chain
    assert isinstance(transcript, PlayoutTranscript)
    await captions.capture_text("one ")
    await captions.capture_text("two")
    assert transcript.text == "one two"
    captions.flush()
    await captions.capture_text("three")
    assert transcript.text == "three"


async def test_what_was_typed_is_shown_and_what_is_said_next_is_no_part_of_it(
    captions: Captions, page: Page, talk: Talk
) -> None:
    talk.hears("Hello")
    talk.typed("Hello")
    talk.hears("Hello again")
    assert await page.shows() == ["you: Hello", "you: Hello", "you: Hello again"]
