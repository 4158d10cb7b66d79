"""What a call costs: the table, the sums, and a table of the operator's own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain import prices, usage
from control_plane.domain.prices import DEFAULTS, BadPrices, Cost, amount_of, cost_of, parsed
from control_plane.domain.usage import Capability, ProviderUsage

pytestmark = pytest.mark.unit


def used(capability: Capability, provider: str, model: str, **counts: Any) -> ProviderUsage:
    return ProviderUsage(capability=capability, provider=provider, model=model, **counts)


LLM, REALTIME, TTS, STT = Capability.LLM, Capability.REALTIME, Capability.TTS, Capability.STT

EACH = [
    # 600 × 2 + 400 × 0.5 + 50 × 8 millionths
    (
        used(
            LLM, "openai", "gpt-4.1", input_tokens=1000, cached_input_tokens=400, output_tokens=50
        ),
        "0.001800",
    ),
    # 60 × 4 + 10 × 0.4 + 120 × 32 + 10 × 0.4 + 20 × 16 + 80 × 64 millionths
    (
        used(
            REALTIME,
            "openai",
            "gpt-realtime",
            input_tokens=200,
            cached_input_tokens=20,
            audio_input_tokens=130,
            cached_audio_input_tokens=10,
            output_tokens=100,
            audio_output_tokens=80,
        ),
        "0.009528",
    ),
    (used(TTS, "cartesia", "sonic-3", characters=1000, audio_seconds=60.0), "0.031200"),
    (used(TTS, "elevenlabs", "eleven_turbo_v2_5", characters=1000), "0.050000"),
    (used(STT, "elevenlabs", "scribe_v2_realtime", audio_seconds=1800.0), "0.195000"),
    (used(STT, "openai", "gpt-4o-mini-transcribe", audio_seconds=60.0), "0.003000"),
    (
        used(
            STT,
            "openai",
            "gpt-4o-mini-transcribe",
            input_tokens=100,
            audio_input_tokens=90,
            output_tokens=10,
        ),
        "0.000175",
    ),
    # No cached price: as dear as others.
    (
        used(LLM, "mistral", "ministral-8b-2512", input_tokens=10_000, cached_input_tokens=9_000),
        "0.001500",
    ),
    (used(LLM, "offline", "scripted", input_tokens=10**9, output_tokens=10**9), "0.000000"),
    (used(LLM, "custom", "mine"), "0.000000"),
]


@pytest.mark.parametrize(("part", "usd"), EACH)
def test_each_measure(part: ProviderUsage, usd: str) -> None:
    assert cost_of([part], DEFAULTS) == Cost(usd)


def test_an_unknown_price_is_named_and_never_made_up() -> None:
    known = used(TTS, "cartesia", "sonic-3", characters=10)
    unknown = used(LLM, "openrouter", "meta/llama", input_tokens=1)
    assert cost_of([known, unknown], DEFAULTS) == Cost(None, ["openrouter meta/llama"])
    # A realtime model of which only the price of text is known.
    half = used(REALTIME, "openai", "gpt-4.1", input_tokens=5, audio_input_tokens=5)
    assert cost_of([half], DEFAULTS).usd is None
    assert cost_of([used(TTS, "custom", "x", characters=1)], DEFAULTS).usd is None
    assert cost_of([used(STT, "custom", "x", audio_seconds=0.1)], DEFAULTS).usd is None


def test_an_order_costs_what_its_attempts_cost() -> None:
    assert prices.total([Cost("0.100000"), Cost("0.000001")]) == Cost("0.100001")
    assert prices.total([]) == Cost("0.000000")
    assert prices.total([Cost("1.000000"), None]) is None
    assert prices.total([Cost("1.000000"), Cost(None, ["a b"])]) == Cost(None, ["a b"])


COUNTS = st.integers(min_value=0, max_value=10**9)
PARTS = st.builds(
    ProviderUsage,
    capability=st.sampled_from(Capability),
    provider=st.just("openai"),
    model=st.sampled_from(["gpt-realtime", "gpt-4o-mini-transcribe"]),
    input_tokens=COUNTS,
    cached_input_tokens=COUNTS,
    audio_input_tokens=COUNTS,
    cached_audio_input_tokens=COUNTS,
    output_tokens=COUNTS,
    audio_output_tokens=COUNTS,
    audio_seconds=st.floats(min_value=0, max_value=1e6),
)


@given(PARTS)
def test_a_cost_is_never_negative(part: ProviderUsage) -> None:
    amount = amount_of(part, DEFAULTS)
    assert amount is None or amount >= 0
    assert min(getattr(usage.tokens(part), name) for name in usage.Tokens.__struct_fields__) >= 0


def consistent(draw: st.DrawFn) -> ProviderUsage:
    """Return a part whose subsets are subsets, as providers tell them."""
    text, cached_text, audio, cached_audio = (draw(COUNTS) for _ in range(4))
    output, audio_output = draw(COUNTS), draw(COUNTS)
    return used(
        REALTIME,
        "openai",
        "gpt-realtime",
        input_tokens=text + cached_text + audio + cached_audio,
        cached_input_tokens=cached_text + cached_audio,
        audio_input_tokens=audio + cached_audio,
        cached_audio_input_tokens=cached_audio,
        output_tokens=output + audio_output,
        audio_output_tokens=audio_output,
    )


CONSISTENT = st.composite(consistent)()


@given(st.lists(CONSISTENT, min_size=1, max_size=5))
def test_cost_is_additive(parts: list[ProviderUsage]) -> None:
    [together] = usage.added(parts)
    each = [amount_of(part, DEFAULTS) for part in parts]
    assert amount_of(together, DEFAULTS) == sum(amount for amount in each if amount is not None)


@given(st.lists(CONSISTENT, min_size=1, max_size=4), st.integers(min_value=0, max_value=4))
def test_what_came_since_makes_up_the_whole(parts: list[ProviderUsage], upto: int) -> None:
    before, now = usage.added(parts[:upto]), usage.added(parts)
    assert usage.added([*before, *usage.since(before, now)]) == now


def test_a_table_of_the_operator() -> None:
    table = parsed(
        """
        [[price]]
        provider = "openrouter"
        model = "meta/llama"
        input = 0.1
        output = "0.30"
        [[price]]
        provider = "custom"
        model = "*"
        input = 0
        output = 0
        """
    )
    assert table["openrouter", "meta/llama"].input == Decimal("0.1")
    parts = [
        used(LLM, "openrouter", "meta/llama", input_tokens=1_000_000, output_tokens=1_000_000),
        used(LLM, "custom", "anything", input_tokens=5, output_tokens=5),
    ]
    assert cost_of(parts, DEFAULTS | table) == Cost("0.400000")


ROW = '[[price]]\nprovider = "openai"\nmodel = "gpt-4.1"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[price]", "not TOML"),
        ("price = 3", r"\[\[price\]\] tables"),
        ('[[prices]]\nprovider = "a"', r"\[\[price\]\] tables"),
        ('[[price]]\nmodel = "gpt-4.1"\ninput = 1', r"\[\[price\]\] 1 .*model gpt-4.1.*`provider`"),
        (f"{ROW}", r"1 \(openai gpt-4.1\) has no price"),
        (f"{ROW}inputs = 1", r"1 \(openai gpt-4.1\): `inputs` is no price; there are input"),
        (f"{ROW}input = -1", r"1 \(openai gpt-4.1\): `input` must be US dollars.*-1"),
        (f"{ROW}input = true", "`input` must be US dollars"),
        (f"{ROW}input = nan", "`input` must be US dollars"),
        (f'{ROW}input = "a lot"', "`input` must be US dollars"),
        (f"{ROW}input = 1\n{ROW}input = 2", r"2 \(openai gpt-4.1\) is there twice"),
    ],
)
def test_a_bad_table_is_refused_with_its_row(text: str, told: str) -> None:
    with pytest.raises(BadPrices, match=told):
        parsed(text)


def test_what_was_not_used_is_left_out() -> None:
    parts = [used(LLM, "openai", "gpt-4.1", input_tokens=1) for _ in range(2)]
    [whole] = usage.added(parts)
    assert msgspec.to_builtins(whole) == {
        "capability": "llm",
        "provider": "openai",
        "model": "gpt-4.1",
        "input_tokens": 2,
    }
