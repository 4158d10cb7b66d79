"""Fillers: when the agent owes words and says none, never when it does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import (
    ToolExecutionUpdatedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import FunctionCall
from livekit.agents.voice.events import ToolCallStarted

from agent.reply_filler import (
    FIRST_BESIDE_SOUND_S,
    FIRST_S,
    GIVE_UP_S,
    GIVE_UP_WITH_TOOLS_S,
    ReplyFiller,
)
from agent.spoken import Spoken

pytestmark = pytest.mark.unit

FILLER_S = 1.0
STEP_S = 0.1


class Reply:
    """A speech that is on its way."""

    def __init__(self) -> None:
        self.interrupted = False
        self.is_done = False

    def done(self) -> bool:
        return self.is_done


class Talk(rtc.EventEmitter[str]):
    """A session."""

    def __init__(self) -> None:
        super().__init__()
        self.current_speech: Reply | None = None
        self.user_state = "listening"
        self.stt: Any = "stt"

    def hear(self, new_state: str) -> None:
        old, self.user_state = self.user_state, new_state
        changed = UserStateChangedEvent.model_construct(old_state=old, new_state=new_state)
        self.emit("user_state_changed", changed)


class Mouth:
    """A line on which a filler takes a second."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.words_until = self.silent_since = 0.0
        self.is_paused = False
        self.is_thinking_aloud = False

    def aside(self, _frames: Iterable[rtc.AudioFrame]) -> None:
        self.silent_since = self._call.now + FILLER_S


class Call:
    """A call whose time is told."""

    def __init__(self, *, untold: bool = False) -> None:
        self.now = 100.0
        self.talk = Talk()
        self.mouth = Mouth(self)
        self.said: list[tuple[float, str]] = []
        self.given_up: list[float] = []
        self.filler = ReplyFiller(
            self.talk,
            self.mouth,
            on_said=lambda text: self.said.append((round(self.now - 100.0, 1), text)),
            on_given_up=lambda: self.given_up.append(round(self.now - 100.0, 1)),
            untold=untold,
            clock=lambda: self.now,
        )
        self.filler.be_ready(Spoken("One.", ()), Spoken("Two.", ()))

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.filler.check()

    def silences(self) -> list[float]:
        """Return the silences between the fillers, and before the first."""
        heard = [0.0, *(at + FILLER_S for at, _ in self.said)]
        return [at - until for (at, _), until in zip(self.said, heard, strict=False)]


@pytest.fixture
def call() -> Call:
    return Call()


def test_a_late_reply_is_filled_before_it_is_missed(call: Call) -> None:
    call.talk.current_speech = Reply()
    call.wait(GIVE_UP_S - 0.5)
    assert [text for _, text in call.said] == ["One.", "Two.", "Two."]
    assert call.said[0][0] <= 1.5
    assert max(call.silences()) < 3.0
    assert call.given_up == []


def test_who_thinks_aloud_is_given_longer(call: Call) -> None:
    call.talk.current_speech = Reply()
    call.mouth.is_thinking_aloud = True
    call.wait(FIRST_BESIDE_SOUND_S - 0.2)
    assert call.said == []
    call.wait(0.5)
    assert [text for _, text in call.said] == ["One."]


def test_a_reply_in_time_is_not_filled(call: Call) -> None:
    call.talk.current_speech = Reply()
    call.wait(FIRST_S - 0.2)
    call.mouth.words_until = call.mouth.silent_since = call.now + 2.0
    call.wait(2.0)
    assert call.said == []


def test_a_pause_inside_a_reply_is_filled_too(call: Call) -> None:
    call.talk.current_speech = Reply()
    call.mouth.words_until = call.mouth.silent_since = call.now + 1.0
    call.wait(2.6)
    assert [text for _, text in call.said] == ["One."]


def test_a_reply_that_does_not_come_is_given_up_once(call: Call) -> None:
    call.talk.current_speech = Reply()
    call.wait(GIVE_UP_S + 1)
    assert call.given_up == [pytest.approx(GIVE_UP_S + 0.2, abs=0.2)]


def test_tools_may_take_longer(call: Call) -> None:
    call.talk.current_speech = Reply()
    call.wait(1.0)
    started = ToolCallStarted(function_call=FunctionCall(call_id="1", name="book", arguments="{}"))
    call.talk.emit("tool_execution_updated", ToolExecutionUpdatedEvent(update=started))
    call.wait(GIVE_UP_WITH_TOOLS_S - 2)
    assert call.given_up == []
    assert max(call.silences()) < 3.0
    call.wait(3.0)
    assert len(call.given_up) == 1


@pytest.mark.parametrize("state", ["nobody spoke", "the person speaks", "it is over", "paused"])
def test_nothing_is_owed(call: Call, state: str) -> None:
    if state != "nobody spoke":
        call.talk.current_speech = Reply()
    if state == "it is over":
        call.talk.current_speech.is_done = True  # type: ignore[union-attr]
    call.talk.user_state = "speaking" if state == "the person speaks" else "listening"
    call.mouth.is_paused = state == "paused"
    call.wait(30.0)
    assert (call.said, call.given_up) == ([], [])


def test_words_that_the_recogniser_owes_are_waited_for_aloud(call: Call) -> None:
    call.talk.hear("speaking")
    call.wait(2.0)
    call.talk.hear("listening")
    call.wait(2.0)
    assert [text for _, text in call.said] == ["One."]


def test_once_the_words_are_there_nothing_is_owed_for_them(call: Call) -> None:
    call.talk.hear("speaking")
    call.wait(2.0)
    call.talk.hear("listening")
    call.talk.emit(
        "user_input_transcribed",
        UserInputTranscribedEvent(transcript="My number is", is_final=True),
    )
    call.wait(3.0)
    assert call.said == []


@pytest.mark.parametrize(("speech_s", "stt"), [(0.4, "stt"), (2.0, None)])
def test_a_cough_and_a_model_with_its_own_recogniser_owe_no_words(
    call: Call, speech_s: float, stt: str | None
) -> None:
    call.talk.stt = stt
    call.talk.hear("speaking")
    call.wait(speech_s)
    call.talk.hear("listening")
    call.wait(3.0)
    assert call.said == []


def asked() -> Call:
    """Return a call in which somebody has asked a model that tells turns itself."""
    call = Call(untold=True)
    call.talk.stt = None
    call.talk.hear("speaking")
    call.wait(2.0)
    call.talk.hear("listening")
    return call


def test_a_reply_that_nobody_told_of_is_waited_for_aloud_and_not_given_up() -> None:
    call = asked()
    call.wait(30.0)
    assert [text for _, text in call.said][:2] == ["One.", "Two."]
    assert call.said[0][0] < 2.0 + 3.0
    assert call.said[-1][0] < 2.0 + GIVE_UP_S
    assert call.given_up == []


def test_a_reply_that_has_begun_is_told() -> None:
    call = asked()
    call.talk.emit("speech_created", None)
    call.wait(30.0)
    assert call.said == []


def test_who_speaks_over_such_a_model_need_not_get_a_reply() -> None:
    call = Call(untold=True)
    call.talk.stt = None
    call.mouth.words_until = call.now + 3.0
    call.talk.hear("speaking")
    call.wait(2.0)
    call.talk.hear("listening")
    call.wait(30.0)
    assert call.said == []
