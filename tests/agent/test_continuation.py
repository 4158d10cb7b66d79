"""Who goes on right after has one turn: to the model, and in the transcript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents import ConversationItemAddedEvent, UserStateChangedEvent
from livekit.agents.language import LanguageCode
from livekit.agents.llm import ChatContext, ChatMessage, FunctionCall, FunctionCallOutput
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from msgspec import Struct

from agent.continuation import AT_ONCE_S, END_LAG_S, GOES_ON_S, START_LAG_S, Continuation

pytestmark = pytest.mark.unit

INTERRUPT_S = 0.2
FINAL, INTERIM = SpeechEventType.FINAL_TRANSCRIPT, SpeechEventType.INTERIM_TRANSCRIPT


class Options(Struct):
    interruption: dict[str, Any]


class Line:
    """A session, and a person at it, by a clock of their own."""

    def __init__(self) -> None:
        self.options = Options({"min_duration": INTERRUPT_S})
        self._callbacks: dict[str, Callable[..., Any]] = {}
        self.now = 1_000.0
        self.pauses: list[float] = []
        self.over = 0
        self.taken_back: list[str | None] = []
        self.context = ChatContext()
        self.requests: set[str] = set()
        self.continuation = Continuation(
            self,
            self,
            on_taken_back=lambda message: self.taken_back.append(message.text_content),
            is_pending=lambda call_id: call_id in self.requests,
            clock=lambda: self.now,
        )

    def on(self, event: str, callback: Callable[..., Any], /) -> None:
        self._callbacks[event] = callback

    def went_on(self, pause_s: float) -> None:
        self.pauses.append(pause_s)

    def ended(self) -> None:
        self.over += 1

    def speaks(self, *, after_s: float) -> None:
        """The person begins again, so long after their last sound."""
        self.now += after_s - END_LAG_S + START_LAG_S
        self._state("listening", "speaking")

    def is_quiet(self) -> None:
        """They have fallen silent; voice activity detection tells of it."""
        self.now += 1.0 + END_LAG_S
        self._state("speaking", "listening")

    def _state(self, old: Any, new: Any) -> None:
        event = UserStateChangedEvent(old_state=old, new_state=new)
        self._callbacks["user_state_changed"](event)

    def add(self, role: Any, text: str, *, interrupted: bool = False) -> ChatMessage:
        """An item comes into the conversation."""
        message = self.context.add_message(role=role, content=text, interrupted=interrupted)
        self._callbacks["conversation_item_added"](ConversationItemAddedEvent(item=message))
        return message

    def hears(
        self, text: str, kind: SpeechEventType = FINAL, *, said_until: float | None = None
    ) -> str:
        """Words are written down; returns them as the session gets them."""
        data = SpeechData(language=LanguageCode("en"), text=text)
        event = SpeechEvent(kind, alternatives=[data], speech_end_time=said_until)
        event, context = self.continuation.joined(event, self.context)
        self.context = context or self.context
        return event.alternatives[0].text


@pytest.fixture
def line() -> Line:
    """A person who has said that a tooth hurts, and was taken to have finished."""
    line = Line()
    line.speaks(after_s=9.0)
    line.is_quiet()
    line.add("user", "My tooth hurts.")
    return line


def test_what_goes_on_is_joined(line: Line) -> None:
    line.speaks(after_s=0.7)
    assert line.continuation.is_undecided
    assert line.options.interruption["min_duration"] == AT_ONCE_S
    line.is_quiet()
    assert line.options.interruption["min_duration"] == INTERRUPT_S
    assert line.hears("Since", INTERIM) == "Since"
    assert line.hears("Since Monday.") == "My tooth hurts. Since Monday."
    assert line.taken_back == ["My tooth hurts."]
    assert line.context.items == []
    assert line.pauses == [pytest.approx(0.7)]
    assert not line.continuation.is_undecided


def test_so_does_what_goes_on_again(line: Line) -> None:
    line.speaks(after_s=0.5)
    line.is_quiet()
    line.add("user", line.hears("Since Monday."))
    line.add("assistant", "I am", interrupted=True)
    line.speaks(after_s=0.5)
    line.is_quiet()
    assert line.hears("Can I come?") == "My tooth hurts. Since Monday. Can I come?"
    assert [item.text_content for item in line.context.messages()] == ["I am"]


def test_who_comes_back_later_has_another_turn(line: Line) -> None:
    line.speaks(after_s=GOES_ON_S + 0.1)
    line.is_quiet()
    assert line.hears("Since Monday.") == "Since Monday."
    assert (line.taken_back, line.pauses) == ([], [])


def test_a_reply_that_was_heard_whole_ends_a_turn(line: Line) -> None:
    line.add("assistant", "Oh.")
    line.speaks(after_s=0.9)
    line.is_quiet()
    assert line.hears("Since Monday.") == "Since Monday."
    assert (line.pauses, line.over) == ([], 1)


def test_a_sound_without_words_changes_nothing(line: Line) -> None:
    line.speaks(after_s=0.5)
    line.is_quiet()
    assert line.hears(" ") == " "
    assert line.taken_back == []
    assert len(line.context.items) == 1
    assert line.options.interruption["min_duration"] == INTERRUPT_S
    line.speaks(after_s=GOES_ON_S + 1.0)
    assert line.options.interruption["min_duration"] == INTERRUPT_S


def test_a_sound_just_before_a_turn_is_made_leaves_nothing(line: Line) -> None:
    line.add("assistant", "Since when?")
    line.speaks(after_s=3.0)
    line.is_quiet()
    line.speaks(after_s=0.4)
    line.is_quiet()
    line.add("user", "Since Monday.")
    assert line.options.interruption["min_duration"] == INTERRUPT_S


def called(line: Line, name: str, call_id: str) -> list[FunctionCall | FunctionCallOutput]:
    """The model calls a tool that says nothing."""
    call = FunctionCall(call_id=call_id, name=name, arguments="{}")
    output = FunctionCallOutput(call_id=call_id, name=name, output="", is_error=False)
    line.context.items += [call, output]
    return [call, output]


def test_hanging_up_goes_with_the_turn_that_it_answered(line: Line) -> None:
    called(line, "end_call", "1")
    line.requests.add("1")
    line.speaks(after_s=0.5)
    line.is_quiet()
    line.hears("Wait.")
    assert line.context.items == []


def test_what_was_done_stays(line: Line) -> None:
    done = called(line, "send_dtmf", "1")
    line.speaks(after_s=0.5)
    line.is_quiet()
    line.hears("Or press two.")
    assert line.context.items == done


def test_a_pause_within_a_turn_is_the_persons_rhythm(line: Line) -> None:
    line.add("assistant", "Since when?")
    line.speaks(after_s=3.0)
    line.is_quiet()
    line.speaks(after_s=0.6)  # before any turn was made of it
    assert line.pauses == [pytest.approx(0.6)]
    assert not line.continuation.is_undecided


def test_who_goes_on_in_the_instant_in_which_the_turn_is_made_goes_on(line: Line) -> None:
    line.add("assistant", "Since when?")
    line.speaks(after_s=3.0)
    line.is_quiet()
    line.speaks(after_s=0.4)
    line.add("user", "Since Monday.")
    assert line.continuation.is_undecided
    line.is_quiet()
    assert line.hears("Or Tuesday.") == "Since Monday. Or Tuesday."


def test_words_that_are_written_late_do_not_make_what_follows_a_turn_of_its_own(line: Line) -> None:
    line.add("assistant", "Since when?")
    line.speaks(after_s=3.0)
    line.is_quiet()
    said_until = line.now - END_LAG_S
    line.speaks(after_s=0.7)
    line.add("user", line.hears("Since Monday.", said_until=said_until))
    line.is_quiet()
    assert line.hears("Or Tuesday.", said_until=line.now - END_LAG_S) == "Since Monday. Or Tuesday."
