"""The scripted dialogue: what to say next, decided from what any model would be given.

It is honest about what it is: it knows the FAQ and the plain facts of its instructions, reads
numbers back, and offers a call back for everything else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from speech.offline import phrases
from speech.offline.answering import SAVE_PREDICTION, answerer
from speech.offline.answers import best_answer, is_question
from speech.offline.first import opening
from speech.offline.intents import Intent, asked_after_goodbye, intent_of
from speech.offline.meaning import Meaning
from speech.offline.menus import SEND_DTMF, SKIP_TURN, Step, step
from speech.offline.numbers import readback
from speech.offline.prompt import Knowledge, read

END_CALL = "end_call"
_SAYS_GOODBYE = re.compile(r"\bsay goodbye and call the tool end_call\b", re.IGNORECASE)
"""Otherwise the tool is taken to speak the closing sentence itself."""


class Turn(msgspec.Struct, frozen=True):
    """One thing said, or what a tool came back with."""

    role: Literal["caller", "agent", "tool"]
    text: str
    name: str = ""
    failed: bool = False


class ToolCall(msgspec.Struct, frozen=True):
    """A tool to call; arguments that it requires and that are not here, the caller fills."""

    name: str
    arguments: dict[str, str] = {}


class Reply(msgspec.Struct, frozen=True):
    """What to say, and which tools to call after it."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class _Scene(msgspec.Struct, frozen=True):
    """Everything a decision looks at."""

    said: str
    before: str
    spoken: tuple[str, ...]
    known: Knowledge
    tools: frozenset[str]
    says_goodbye: bool
    meaning: Meaning


def reply(
    history: Sequence[Turn],
    instructions: str,
    tools: Sequence[str],
    *,
    meaning: Meaning,
    aside: str | None = None,
) -> Reply:
    """Return the next thing to say or do.

    Args:
        history: the conversation so far, oldest first.
        instructions: the assistant's prompt with its FAQ as `Q:` and `A:` lines.
        tools: the names of the tools on offer.
        aside: an instruction for this one reply, such as how to begin or to say goodbye.
    """
    spoken = tuple(turn.text for turn in history if turn.role == "agent")
    scene = _Scene(
        said=history[-1].text if history and history[-1].role == "caller" else "",
        before=spoken[-1] if spoken else "",
        spoken=spoken,
        known=read(instructions),
        tools=frozenset(tools),
        says_goodbye=_SAYS_GOODBYE.search(instructions) is not None,
        meaning=meaning,
    )
    if SAVE_PREDICTION in scene.tools:
        return Reply("", (ToolCall(SAVE_PREDICTION, {"label": answerer(scene.said)}),))
    if aside is not None and (led := opening(aside, scene.known, begun=bool(spoken))) is not None:
        return _say(scene, led)
    if history and history[-1].role == "tool":
        return _after_tool(scene, history[-1])
    if not any(turn.role == "caller" for turn in history):
        return _say(scene, *phrases.greetings(scene.known), phrases.STILL_THERE)
    if SEND_DTMF in scene.tools and (asked := step(scene.said, instructions)) is not None:
        return _navigate(scene, asked)
    return _answer(scene)


def _navigate(scene: _Scene, asked: Step) -> Reply:
    """What a menu is told: a key, or nothing."""
    if asked.key is not None:
        return Reply("", (ToolCall(SEND_DTMF, {"keys": asked.key}),))
    return Reply("", (ToolCall(SKIP_TURN),) if SKIP_TURN in scene.tools else ())


def _answer(scene: _Scene) -> Reply:
    intent = intent_of(scene.said, scene.meaning)
    if intent is Intent.GOODBYE and (asked := asked_after_goodbye(scene.said)) is not None:
        return _answer(msgspec.structs.replace(scene, said=asked))
    if intent in _CLOSING or (intent is Intent.NO and phrases.asks_for_more(scene.before)):
        return _end(scene, intent)
    if phrases.asks_to_confirm(scene.before) and (settled := _settle(scene, intent)) is not None:
        return settled
    if intent is not None and intent in _BEFORE_KNOWLEDGE:
        return _converse(scene, intent)
    answer = best_answer(scene.said, scene.known, scene.meaning)
    heard = readback(scene.said)
    if answer is not None and (heard is None or is_question(scene.said)):
        return _say(scene, *phrases.answers(answer))
    if heard is not None and not is_question(scene.said):
        return _say(scene, *phrases.readbacks(heard))
    if intent is not None:
        return _converse(scene, intent)
    return _say(scene, *(phrases.UNKNOWN if is_question(scene.said) else phrases.PASSED_ON))


_CLOSING = frozenset({Intent.GOODBYE, Intent.OPT_OUT})
_BEFORE_KNOWLEDGE = frozenset(
    {
        Intent.NOTHING_HEARD, Intent.ROBOT, Intent.REPEAT, Intent.HUMAN, Intent.YES, Intent.NO,
        Intent.THANKS, Intent.HELLO, Intent.HOW_ARE_YOU, Intent.WAIT, Intent.CAPABILITIES,
    }
)  # fmt: skip


def _settle(scene: _Scene, intent: Intent | None) -> Reply | None:
    """The caller's answer to a number that was read back."""
    corrected = readback(scene.said)
    if corrected is not None:
        return _say(scene, *phrases.readbacks(corrected))
    if intent is Intent.YES:
        return _say(scene, *phrases.NOTED)
    if intent is Intent.NO:
        return _say(scene, *phrases.AGAIN)
    return None


def _converse(scene: _Scene, intent: Intent) -> Reply:
    if intent is Intent.REPEAT:
        return Reply(phrases.repeated(scene.spoken)) if scene.spoken else _say(scene, *phrases.MORE)
    if intent is Intent.HUMAN:
        return _to_human(scene)
    if intent in (Intent.YES, Intent.NO):
        return _yes_or_no(scene, yes=intent is Intent.YES)
    if intent is Intent.WHO:
        return _say(scene, *phrases.identity(scene.known))
    return _say(scene, *phrases.SMALLTALK[intent])


def _yes_or_no(scene: _Scene, *, yes: bool) -> Reply:
    if phrases.asks_for_more(scene.before):
        return _say(scene, *phrases.GO_ON)
    if phrases.offers_call_back(scene.before):
        return _say(scene, *(phrases.CALL_BACK_AGREED if yes else phrases.MORE))
    return _say(scene, *(phrases.YES_NOTED if yes else phrases.NO_NOTED))


def _to_human(scene: _Scene) -> Reply:
    transfer = sorted(name for name in scene.tools if "transfer" in name)
    if transfer:
        return Reply("", (ToolCall(transfer[0]),))
    return _say(scene, *phrases.NO_HUMAN)


def _end(scene: _Scene, intent: Intent | None) -> Reply:
    if intent is Intent.OPT_OUT:
        # Said even though the tool closes the call: a person who asked not to be called again
        # must hear that it was understood.
        call = (ToolCall(END_CALL),) if END_CALL in scene.tools else ()
        return Reply(phrases.OPTED_OUT, call)
    if END_CALL in scene.tools:
        closing = phrases.CLOSINGS[0] if scene.says_goodbye else ""
        return Reply(closing, (ToolCall(END_CALL),))
    return _say(scene, *phrases.CLOSINGS)


def _after_tool(scene: _Scene, result: Turn) -> Reply:
    if result.name == END_CALL:
        return _say(scene, *phrases.CLOSINGS)
    if result.name == SEND_DTMF and result.failed:
        return _say(scene, *phrases.TO_MENUS)
    return _say(scene, *(phrases.TOOL_FAILED if result.failed else phrases.TOOL_DONE))


def _say(scene: _Scene, *variants: str) -> Reply:
    """The first variant that was not the last thing said."""
    fresh = [text for text in variants if text and text != scene.before]
    return Reply(fresh[0] if fresh else phrases.otherwise(scene.before))
