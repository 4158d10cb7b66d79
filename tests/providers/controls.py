"""How the servers are told what to do: in-process, or as JSON over the control port."""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from tests.providers.behaviour import CAPABILITIES, PLAIN, Behaviour
from tests.providers.script import HeardScript, Rule, Script


class Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /control` takes; absent fields change nothing.

    Args:
        reset: forget all that was set before the rest is done.
        capability: whom `behaviour`, `times` and `heard` are for, such as `openai.chat`.
        times: `behaviour` serves this many requests, then the lasting one again; null lasts.
        heard: transcripts to claim instead of listening, in order; `listen` listens again.
        rules: what models answer; replaces the rules there were.
        refuse_keys: API keys that are refused from now on; replaces those there were.
        tone: voices give a fixed tone instead of speech.
    """

    reset: bool = False
    capability: str | None = None
    behaviour: Behaviour | None = None
    times: int | None = None
    heard: tuple[str, ...] | None = None
    listen: bool = False
    rules: tuple[Rule, ...] | None = None
    refuse_keys: tuple[str, ...] | None = None
    tone: bool | None = None


class Controls:
    """What every server looks at before it answers."""

    def __init__(self, *, tone: bool = False) -> None:
        self.script = Script()
        self.heard = HeardScript()
        self.tone = tone
        self._tone_at_start = tone
        self._refused: frozenset[str] = frozenset()
        self._lasting: dict[str, Behaviour] = {}
        self._next: dict[str, deque[Behaviour]] = {}

    def behave(self, capability: str, behaviour: Behaviour, *, times: int | None = None) -> None:
        """Answer the next `times` requests this way, or all until told otherwise.

        Raises:
            ValueError: no server has such a capability.
        """
        _known(capability)
        if times is None:
            self._lasting[capability] = behaviour
            self._next.pop(capability, None)
        else:
            self._next.setdefault(capability, deque()).extend([behaviour] * times)

    def rules(self, *rules: Rule) -> None:
        """Let models answer by these rules and no others."""
        self.script.replace(rules)

    def hear(self, capability: str, *texts: str) -> None:
        """Let a recogniser claim these transcripts in order, whatever it gets.

        Raises:
            ValueError: no server has such a capability.
        """
        _known(capability)
        self.heard.replace(capability, texts)

    def refuse_keys(self, *keys: str) -> None:
        """Refuse these API keys and no others."""
        self._refused = frozenset(keys)

    def reset(self) -> None:
        """Forget all that was set."""
        self.script = Script()
        self.heard = HeardScript()
        self.tone = self._tone_at_start
        self._refused = frozenset()
        self._lasting.clear()
        self._next.clear()

    def apply(self, command: Command) -> None:
        """Do what came over the control port.

        Raises:
            ValueError: a field needs `capability`, or no server has such a one.
        """
        if command.reset:
            self.reset()
        if command.behaviour is not None:
            self.behave(_of(command), command.behaviour, times=command.times)
        if command.heard is not None:
            self.hear(_of(command), *command.heard)
        if command.listen:
            self.heard.replace(_of(command), None)
        if command.rules is not None:
            self.rules(*command.rules)
        if command.refuse_keys is not None:
            self.refuse_keys(*command.refuse_keys)
        if command.tone is not None:
            self.tone = command.tone

    def accepts(self, key: str | None) -> bool:
        """Whether a request with this key may be answered."""
        return bool(key) and key not in self._refused

    def peek(self, capability: str) -> Behaviour:
        """Return how the next request will be answered."""
        waiting = self._next.get(capability)
        return waiting[0] if waiting else self._lasting.get(capability, PLAIN)

    def take(self, capability: str) -> Behaviour:
        """Return how this request is answered, and count it."""
        behaviour = self.peek(capability)
        if self._next.get(capability):
            self._next[capability].popleft()
        return behaviour


def _of(command: Command) -> str:
    if command.capability is None:
        raise ValueError("`capability` is missing: name one such as openai.chat")
    return command.capability


def _known(capability: str) -> None:
    if capability not in CAPABILITIES:
        raise ValueError(f"no capability {capability!r}; known are {', '.join(CAPABILITIES)}")
