"""What calls were like, counted by the API process that took their agents' reports."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.session import Leg, Session
from control_plane.domain import events
from control_plane.domain.prices import Prices
from control_plane.domain.usage import OFFLINE, Capability, ProviderUsage, Tokens, tokens
from control_plane.sessions.calls import FIRST_LEG
from process.wear import Worn

DELAYS = ("end_of_turn", "llm_first_token", "tts_first_byte", "first_sound")
OTHER = "other"
"""What stands for models that are not in the price table: anybody may name one."""
FOLLOWED_AT_MOST = 10_000
"""Attempts whose end is looked for; they are forgotten beyond it, the oldest first."""
_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_CHUNK = 500


class CallCounters:
    """Counters of one process, from zero at its start.

    Each event is counted by the process that stored it, so that the sum over all processes is
    right. Labels hold no organization and nothing that a person said or an assistant names.
    """

    def __init__(self, prices: Prices) -> None:
        self.registry = CollectorRegistry()
        self._known = set(prices)
        self._followed: dict[str, None] = {}
        self._delays = Histogram(
            "offhook_turn_delay_seconds",
            "Delays of each turn by part",
            ["part"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        for part in DELAYS:
            self._delays.labels(part)
        self._tokens = Counter(
            "offhook_tokens",
            "Tokens of models by what they cost",
            ["provider", "model", "kind"],
            registry=self.registry,
        )
        self._characters = Counter(
            "offhook_spoken_characters",
            "Characters that voices spoke",
            ["provider", "model"],
            registry=self.registry,
        )
        self._seconds = Counter(
            "offhook_audio_seconds",
            "Seconds of audio that voices spoke (tts) and recognisers heard (stt)",
            ["provider", "model", "kind"],
            registry=self.registry,
        )
        self._answered = Counter(
            "offhook_calls_answered", "Calls that a person's side answered", registry=self.registry
        )
        self._ended = Counter(
            "offhook_calls_ended",
            "Attempts that an agent was ready for, or gave up, by how they ended",
            ["end_reason", "dial_error"],
            registry=self.registry,
        )

        self._restarts = Counter(
            "offhook_worker_restarts",
            "Agent workers that began anew, by what they held too much of",
            ["reason"],
            registry=self.registry,
        )
        for reason in Worn:
            self._restarts.labels(reason.value)

    def restarted(self, reason: Worn) -> None:
        """Count a worker that begins anew."""
        self._restarts.labels(reason.value).inc()

    def count(
        self, attempt_id: str, news: Iterable[events.CallEvent], usage: Iterable[ProviderUsage]
    ) -> None:
        """Count what was stored of an attempt; call it once that is committed."""
        for event in news:
            if event.seq == 1:  # whoever stored the first event follows the attempt to its end
                self._follow(attempt_id)
            match event:
                case events.ItemSaid(delays_ms=delays):
                    self._turn(delays)
                case events.CallAnswered():
                    self._answered.inc()
        for part in usage:
            self._use(part)

    async def count_ended(self, db: AsyncSession) -> None:
        """Count those of the followed attempts that are over, by their keys.

        They are looked up rather than told: what ended a dial is stored by the scheduler.
        """
        followed = list(self._followed)
        for start in range(0, len(followed), _CHUNK):
            rows = await db.execute(
                select(Session.id, Session.end_reason, Leg.dial_error)
                .join(Leg, FIRST_LEG)
                .where(
                    Session.id.in_(followed[start : start + _CHUNK]), Session.closed_at.is_not(None)
                )
            )
            for attempt_id, end_reason, dial_error in rows:
                # Two scrapes may look at the same time: one of them counts.
                if self._followed.pop(attempt_id, self) is None:
                    self._ended.labels(end_reason or "hang_up", dial_error or "none").inc()

    def _follow(self, attempt_id: str) -> None:
        self._followed[attempt_id] = None
        if len(self._followed) > FOLLOWED_AT_MOST:
            del self._followed[next(iter(self._followed))]

    def _turn(self, delays_ms: dict[str, float]) -> None:
        for part in DELAYS:
            if part in delays_ms:
                self._delays.labels(part).observe(delays_ms[part] / 1000)

    def _use(self, part: ProviderUsage) -> None:
        provider, model = self._names(part)
        counts = tokens(part)
        for kind in Tokens.__struct_fields__:
            count = getattr(counts, kind)
            if count:
                self._tokens.labels(provider, model, kind).inc(count)
        if part.characters:
            self._characters.labels(provider, model).inc(part.characters)
        if part.audio_seconds:
            kind = "tts" if part.capability is Capability.TTS else "stt"
            self._seconds.labels(provider, model, kind).inc(part.audio_seconds)

    def _names(self, part: ProviderUsage) -> tuple[str, str]:
        if part.provider == OFFLINE or (part.provider, part.model) in self._known:
            return part.provider, part.model
        named = any(provider == part.provider for provider, _ in self._known)
        return (part.provider if named else OTHER), OTHER
