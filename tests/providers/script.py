"""What the servers' models answer, and what their recognisers claim to have heard."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterable
from typing import Any

from msgspec import Struct

GREETING = "Hello. How can I help you?"


class ToolCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function call that a model makes."""

    name: str
    arguments: dict[str, Any] = {}

    def encoded(self) -> str:
        """Return the arguments as the JSON text that providers send."""
        return json.dumps(self.arguments)


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer to a message.

    Args:
        when: part of the last message of the user or of a tool, in any case; null matches all.
        say: the text of the answer; `tool`: a call instead, made only where the tool is offered.
        times: how often the rule serves; null is for ever.
    """

    when: str | None = None
    say: str | None = None
    tool: ToolCall | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        if (self.say is None) == (self.tool is None):
            raise ValueError("a rule needs exactly one of `say` and `tool`")

    def matches(self, message: str, tools: Collection[str]) -> bool:
        """Whether the rule answers `message` where `tools` are offered."""
        if self.tool is not None and self.tool.name not in tools:
            return False
        return self.when is None or self.when.lower() in message.lower()


class Said(Struct, frozen=True, kw_only=True):
    """The last thing a model was told.

    Args:
        role: `user` or `tool`; null where neither has said anything yet.
        tools: names of the tools it may call.
    """

    role: str | None
    text: str
    tools: frozenset[str] = frozenset()


class Script:
    """The rules in order; the first that matches and is not used up answers."""

    def __init__(self) -> None:
        self._rules: list[tuple[Rule, list[int]]] = []

    def replace(self, rules: Iterable[Rule]) -> None:
        """Use these rules and no others."""
        self._rules = [(rule, [0]) for rule in rules]

    def answer(self, said: Said) -> str | ToolCall:
        """Return the answer of the first rule that serves, or one that repeats what was said."""
        for rule, used in self._rules:
            left = rule.times is None or used[0] < rule.times
            if left and rule.matches(said.text, said.tools):
                used[0] += 1
                return rule.tool if rule.tool is not None else rule.say or ""
        if said.role is None:
            return GREETING
        text = said.text.rstrip(" .")
        return f"The answer is: {text}." if said.role == "tool" else f"You said: {text}."


class HeardScript:
    """Transcripts to claim, in order, per capability; without any the audio is listened to."""

    def __init__(self) -> None:
        self._texts: dict[str, deque[str]] = {}

    def replace(self, capability: str, texts: Iterable[str] | None) -> None:
        """Claim these texts; null listens again."""
        if texts is None:
            self._texts.pop(capability, None)
        else:
            self._texts[capability] = deque(texts)

    def next(self, capability: str) -> str | None:
        """Return the transcript to claim, empty when they are used up, or null to listen."""
        texts = self._texts.get(capability)
        if texts is None:
            return None
        return texts.popleft() if texts else ""
