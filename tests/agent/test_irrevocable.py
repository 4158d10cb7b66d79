"""What cannot be taken back waits for the person, and is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit.agents import UserInputTranscribedEvent, UserStateChangedEvent
from livekit.agents.llm import ChatMessage

from agent.tools.irrevocable import QUIET_S, Deed, Irrevocable, ToolRequest

pytestmark = pytest.mark.unit


class Speech:
    """A reply that was heard, perhaps not to its end."""

    def __init__(self, text: str = "", *, interrupted: bool = False) -> None:
        self.interrupted = interrupted
        message = ChatMessage(role="assistant", content=[text])
        self.chat_items = [message] if text else []

    async def wait_for_playout(self) -> None:
        """It was heard."""


class Line:
    """A session with a person, and what was said and done on it."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callable[..., Any]]] = {}
        self.user_state = "listening"
        self.said: list[str] = []
        self.done: list[str] = []
        self.irrevocable = Irrevocable(self, self)
        self.ids = 0

    def on(self, event: str, callback: Callable[..., Any], /) -> None:
        self._callbacks.setdefault(event, []).append(callback)

    def say(self, text: str) -> Any:
        self.said.append(text)
        return Speech(text)

    def _emit(self, name: str, event: Any) -> None:
        for each in self._callbacks[name]:
            each(event)

    def person(self, new: Any) -> None:
        """The person begins to speak, or has fallen silent."""
        old, self.user_state = self.user_state, new
        self._emit(
            "user_state_changed",
            UserStateChangedEvent(old_state=old, new_state=new),  # type: ignore[arg-type]
        )

    def writes(self, text: str) -> None:
        """What they said is written down."""
        self._emit(
            "user_input_transcribed", UserInputTranscribedEvent(transcript=text, is_final=True)
        )

    def request(self, what: str, speech: Speech | None = None, **facts: Any) -> str:
        """The model wants `what` done."""
        self.ids += 1
        call_id = str(self.ids)
        deed = Deed(do=self._doing(what), **facts)
        self.irrevocable.begin(ToolRequest(call_id, speech or Speech("Yes."), deed))  # type: ignore[arg-type]
        return call_id

    def _doing(self, what: str) -> Callable[[], Awaitable[None]]:
        async def do() -> None:
            self.done.append(what)

        return do

    async def wait(self, *, seconds: float = QUIET_S + 0.1) -> None:
        """Let time pass: what is tested counts it by the loop's clock."""
        ended = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, ended.set)
        await ended.wait()


@pytest.fixture
def line() -> Line:
    return Line()


async def test_it_is_done_once_the_person_is_quiet(line: Line) -> None:
    line.person("speaking")
    call_id = line.request("end")
    line.person("listening")
    line.writes("Goodbye.")
    assert line.irrevocable.is_pending(call_id)
    await line.wait(seconds=0.05)
    assert line.done == []
    line.request("end")
    await line.wait()
    assert line.done == ["end"]


async def test_words_take_it_back(line: Line) -> None:
    call_id = line.request("transfer")
    line.person("speaking")
    line.person("listening")
    line.writes("No, wait.")
    await line.wait()
    assert line.done == []
    assert line.irrevocable.is_pending(call_id), "it goes with its turn"


async def test_a_key_takes_it_back(line: Line) -> None:
    line.request("end")
    line.irrevocable.person_acted()
    await line.wait()
    assert line.done == []


async def test_the_same_request_again_waits_for_nobody(line: Line) -> None:
    line.request("keys 1", insists_by="1")
    line.person("speaking")
    line.person("listening")
    line.writes("For support, press two.")
    await line.wait(seconds=0.05)
    line.person("speaking")
    call_id = line.request("keys 1", insists_by="1")
    await line.wait(seconds=0.05)
    assert line.done == ["keys 1"]
    assert not line.irrevocable.is_pending(call_id)
    line.request("keys 2", insists_by="2")
    await line.wait(seconds=0.05)
    assert line.done == ["keys 1"], "another one waits"


async def test_what_one_reply_wants_is_done_in_order(line: Line) -> None:
    speech = Speech()
    line.request("keys 1", speech, insists_by="1")
    line.request("end", speech, fallback="Goodbye.")
    await line.wait(seconds=QUIET_S * 2)
    assert line.done == ["keys 1", "end"]
    assert line.said == ["Goodbye."]


async def test_a_later_reply_takes_the_place_of_what_waits(line: Line) -> None:
    line.request("transfer")
    line.request("end")
    await line.wait()
    assert line.done == ["end"]


async def test_what_fails_stops_nothing(line: Line) -> None:
    async def fails() -> None:
        raise RuntimeError("no")

    speech = Speech()
    deed = Deed(do=fails)
    line.irrevocable.begin(ToolRequest("9", speech, deed))  # type: ignore[arg-type]
    line.request("end", speech)
    await line.wait(seconds=QUIET_S * 3)
    assert line.done == ["end"]
