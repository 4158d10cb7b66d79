"""Keys that the person presses: each is reported, a run of them reaches the model as one input."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, ConversationItemAddedEvent, UserStateChangedEvent
from msgspec import Struct

from agent.masking import Masks
from agent.reporter import Reporter
from control_plane.domain.events import KeyPressed

PAUSE_S = 1.5
"""Keys less than this apart belong together, unless one of them ends the run."""
END_KEY = "#"
_LOOK_AGAIN_S = 0.3


class Collection(Struct, frozen=True, kw_only=True):
    """Keys that the model asks for.

    Attributes:
        max_digits: so many end it; `end_key` does too, and is none of them; empty: none does.
        timeout_s: without a key for so long (s), counted from where nobody speaks any more, it is
            over with what was pressed.
        is_secret: only the model is told which keys they are.
    """

    max_digits: int
    end_key: str = END_KEY
    timeout_s: float = 10.0
    is_secret: bool = False


class KeyCollector:
    """Collects the keys of one person, known by identity: another leg's keys are not theirs.

    Each key is in one input, once. An input waits for the end of what the person says meanwhile,
    and interrupts the agent as words would: not where it may not be.

    Args:
        on_pressed: called at each of the person's keys.
    """

    def __init__(
        self,
        session: AgentSession[None],
        reporter: Reporter,
        identity: str,
        *,
        masks: Masks,
        on_pressed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._reporter = reporter
        self._identity = identity
        self._masks = masks
        self._on_pressed = on_pressed
        self._clock = clock
        self._keys = ""
        self._wanted: Collection | None = None
        self._full: Collection | None = None  # what the last key completed by its length
        self._spoke = False  # the person, since a collection began
        self._since = 0.0  # the last key, or the last that was said
        self._is_over = False  # a run that waits only for the person to finish speaking
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        session.on("user_state_changed", self._on_user_state)
        session.on("conversation_item_added", self._on_item)

    def on_key(self, event: rtc.SipDTMF) -> None:
        """Take one key."""
        is_theirs = event.participant is not None and event.participant.identity == self._identity
        if self._is_closed or not is_theirs:
            return
        wanted, full = self._wanted, self._full
        of = wanted or full
        is_secret = of is not None and of.is_secret
        digit = "" if is_secret else event.digit
        self._reporter.report(
            KeyPressed, digit=digit, is_secret=is_secret, participant=self._identity
        )
        self._on_pressed()
        self._full = None
        if full is not None and event.digit == full.end_key and self._is_soon:
            return  # out of habit: it was over by its length
        if self._is_over:
            self._hand_over()  # what was complete is not joined with what comes after it
            wanted = None
        if wanted is not None:
            self._interrupt()  # the question is being answered
        self._since = self._clock()
        end_key = END_KEY if wanted is None else wanted.end_key
        is_end = event.digit == end_key
        if wanted is None or not is_end:
            self._keys += event.digit
        if is_end:
            self._end_run()
        elif wanted is not None and len(self._keys) >= wanted.max_digits:
            self._full = wanted
            self._end_run()
        else:
            self._wait(PAUSE_S if wanted is None else wanted.timeout_s)

    def collect(self, wanted: Collection) -> None:
        """Take the keys from now on for this, in place of what was asked for before."""
        if self._keys:
            self._hand_over()  # pressed before it was asked
        self._wanted, self._spoke, self._is_over = wanted, False, False
        self._since = self._clock()
        self._wait(wanted.timeout_s)

    def close(self) -> None:
        """Take no key any more, and hand nothing over."""
        self._is_closed = True
        self._stop()

    @property
    def _is_soon(self) -> bool:
        return self._clock() - self._since <= PAUSE_S

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._check)

    def _check(self) -> None:
        """End the run, unless something is being said that its time does not count from yet."""
        if self._wanted is not None and not self._is_over:
            if self._session.agent_state == "speaking":
                self._since = self._clock()
            left_s = self._since + self._wanted.timeout_s - self._clock()
            if left_s > 0:
                self._wait(min(left_s, _LOOK_AGAIN_S))
                return
        self._end_run()

    def _end_run(self) -> None:
        self._is_over = True
        self._stop()
        if self._session.user_state != "speaking":
            self._hand_over()

    def _hand_over(self) -> None:
        keys, wanted = self._keys, self._wanted
        self._keys, self._wanted, self._is_over = "", None, False
        self._stop()
        if wanted is not None and not keys:
            self._report_none(wanted)
            return
        spaced = " ".join(keys)
        text = f"(The person pressed these telephone keys: {spaced})"
        if wanted is not None and wanted.is_secret:
            masked = "(The person pressed secret telephone keys)"
            self._masks.add(keys, text, masked)
        self._interrupt()
        self._session.generate_reply(user_input=text)

    def _interrupt(self) -> None:
        """Have the agent fall silent, as words would: not where it may not be interrupted."""
        speech = self._session.current_speech
        if speech is not None and speech.allow_interruptions and not speech.done():
            speech.interrupt()

    def _report_none(self, wanted: Collection) -> None:
        if self._spoke:
            return  # they were answered
        self._session.generate_reply(
            instructions=f"The person pressed no key for {wanted.timeout_s:g} seconds. Ask again, "
            "or go on without the keys."
        )

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        self._since = self._clock()
        if event.new_state != "speaking" and self._is_over and not self._is_closed:
            # Their words are written down first: the keys are an input of their own, after them.
            self._wait(PAUSE_S)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item: Any = event.item
        if item.type == "message" and item.role == "user":
            self._spoke = True
