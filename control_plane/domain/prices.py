"""What providers charge, in US dollars, and what a call cost by it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from msgspec import Meta, Struct

from control_plane.domain.usage import OFFLINE, Capability, ProviderUsage, tokens

LOOKED_UP = "2026-11-21"
"""When the prices below were read; where a source is older, its row says so."""
ANY = "*"
"""As a model's name: all models of the provider that have no row of their own."""

_MILLION, _HOUR = Decimal(1_000_000), Decimal(3600)
_CENTS = Decimal("0.000001")


class Price(Struct, frozen=True, kw_only=True):
    """What one model costs; null: it is not sold by this measure, or nobody knows the price.

    Attributes:
        input: per million tokens, like every price of tokens.
        cached_input: null: as dear as others.
        characters: per million.
        audio_hour: per hour of audio, heard or spoken.
    """

    input: Decimal | None = None
    cached_input: Decimal | None = None
    audio_input: Decimal | None = None
    cached_audio_input: Decimal | None = None
    output: Decimal | None = None
    audio_output: Decimal | None = None
    characters: Decimal | None = None
    audio_hour: Decimal | None = None


class Cost(Struct, frozen=True):
    """What something cost, in US dollars.

    Attributes:
        usd: with six decimals, such as `0.012345`; null: the price of a part is unknown.
        unpriced: those parts, as provider and model.
    """

    usd: Annotated[str, Meta(pattern=r"^\d+\.\d{6}$")] | None
    unpriced: list[str] = []


class BadPrices(ValueError):
    """The text is no price table; says which row, what is wrong with it and what it must be."""


Prices = Mapping[tuple[str, str], Price]


def cost_of(parts: Iterable[ProviderUsage], prices: Prices) -> Cost:
    """Return what the parts cost together; rounded once, to the sixth decimal."""
    total, unpriced = Decimal(0), []
    for part in parts:
        amount = amount_of(part, prices)
        if amount is None:
            unpriced.append(f"{part.provider} {part.model}")
        else:
            total += amount
    if unpriced:
        return Cost(None, sorted(set(unpriced)))
    return Cost(str(total.quantize(_CENTS)))


def total(costs: Iterable[Cost | None]) -> Cost | None:
    """Return the sum; null where one of them is not known yet, or never will be."""
    amount, unpriced = Decimal(0), set()
    for cost in costs:
        if cost is None:
            return None
        unpriced.update(cost.unpriced)
        amount += Decimal(cost.usd or 0)
    return Cost(None, sorted(unpriced)) if unpriced else Cost(str(amount.quantize(_CENTS)))


def amount_of(part: ProviderUsage, prices: Prices) -> Decimal | None:
    """Return what one part cost, not rounded; null: its price is unknown."""
    if part.provider == OFFLINE:
        return Decimal(0)
    price = prices.get((part.provider, part.model)) or prices.get((part.provider, ANY)) or Price()
    seconds = Decimal(str(part.audio_seconds))
    match part.capability:
        case Capability.TTS if price.characters is not None:
            return part.characters * price.characters / _MILLION
        case Capability.TTS if price.audio_hour is not None:
            return seconds * price.audio_hour / _HOUR
        case Capability.TTS:
            return None if part.characters or seconds else Decimal(0)
        case Capability.STT if seconds and (price.input is None or not part.input_tokens):
            return _times(seconds, price.audio_hour, _HOUR)
        case _:
            return _tokens(part, price)


def parsed(text: str) -> dict[tuple[str, str], Price]:
    """Return the prices that a TOML text with `[[price]]` tables sets.

    Raises:
        BadPrices: naming the row.
    """
    try:
        content = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as exc:
        raise BadPrices(f"it is not TOML: {exc}") from exc
    rows = content.pop("price", [])
    if content or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadPrices("it must consist of [[price]] tables and nothing else")
    found: dict[tuple[str, str], Price] = {}
    for number, row in enumerate(rows, 1):
        key = _key(number, row)
        if key in found:
            raise BadPrices(f"{_named(number, *key)} is there twice: leave one of them out")
        found[key] = _price(_named(number, *key), row)
    return found


def _tokens(part: ProviderUsage, price: Price) -> Decimal | None:
    counts = tokens(part)
    rates = (
        (counts.input, price.input),
        (counts.cached_input, _first(price.cached_input, price.input)),
        (counts.audio_input, price.audio_input),
        (counts.cached_audio_input, _first(price.cached_audio_input, price.audio_input)),
        (counts.output, price.output),
        (counts.audio_output, price.audio_output),
    )
    amount = Decimal(0)
    for count, rate in rates:
        charged = _times(Decimal(count), rate, _MILLION)
        if charged is None:
            return None
        amount += charged
    return amount


def _times(quantity: Decimal, rate: Decimal | None, per: Decimal) -> Decimal | None:
    if not quantity:
        return Decimal(0)
    return None if rate is None else quantity * rate / per


def _first(*rates: Decimal | None) -> Decimal | None:
    return next((rate for rate in rates if rate is not None), None)


def _named(number: int, provider: str, model: str) -> str:
    return f"[[price]] {number} ({provider} {model})"


def _key(number: int, row: dict[str, Any]) -> tuple[str, str]:
    provider, model = row.pop("provider", None), row.pop("model", None)
    for name, value in (("provider", provider), ("model", model)):
        if not isinstance(value, str) or not value:
            raise BadPrices(
                f"[[price]] {number} (provider {provider}, model {model}): `{name}` is missing or "
                'no text; write it as in the usage of a call, or `model = "*"` for all models'
            )
    return str(provider), str(model)


def _price(row_name: str, row: dict[str, Any]) -> Price:
    known = Price.__struct_fields__
    rates: dict[str, Decimal] = {}
    for name, value in row.items():
        if name not in known:
            raise BadPrices(f"{row_name}: `{name}` is no price; there are {', '.join(known)}")
        rates[name] = _rate(row_name, name, value)
    if not rates:
        raise BadPrices(f"{row_name} has no price: give at least one of {', '.join(known)}")
    return Price(**rates)


def _rate(row_name: str, name: str, value: Any) -> Decimal:
    remedy = f"{row_name}: `{name}` must be US dollars from 0 to 1000000, such as 2.50"
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise BadPrices(f"{remedy}; it is {value!r}")
    try:
        rate = Decimal(value)
    except InvalidOperation as exc:
        raise BadPrices(f"{remedy}; it is {value!r}") from exc
    if not rate.is_finite() or not 0 <= rate <= _MILLION:
        raise BadPrices(f"{remedy}; it is {value}")
    return rate


def _text(rate: str, cached: str, output: str) -> Price:
    return Price(input=Decimal(rate), cached_input=Decimal(cached), output=Decimal(output))


def _speaking(text: tuple[str, str, str], audio: tuple[str, str, str]) -> Price:
    """Return the price of a realtime model: input, cached input and output of text and of audio."""
    return Price(
        input=Decimal(text[0]),
        cached_input=Decimal(text[1]),
        output=Decimal(text[2]),
        audio_input=Decimal(audio[0]),
        cached_audio_input=Decimal(audio[1]),
        audio_output=Decimal(audio[2]),
    )


def _hearing(tokens_in: str, tokens_out: str, hour: str) -> Price:
    rate = Decimal(tokens_in)
    return Price(input=rate, audio_input=rate, output=Decimal(tokens_out), audio_hour=Decimal(hour))


def _voice(million: str) -> Price:
    return Price(characters=Decimal(million))


def _stt(hour: str) -> Price:
    return Price(audio_hour=Decimal(hour))


_FLASH_LIVE = _speaking(("0.50", "0.50", "2.00"), ("3.00", "3.00", "12.00"))
_REALTIME = _speaking(("4.00", "0.40", "16.00"), ("32.00", "0.40", "64.00"))
DEFAULTS: dict[tuple[str, str], Price] = {
    # developers.openai.com/api/docs/models/…; gpt-4.1 by the price lists that copy that page.
    ("openai", "gpt-4.1"): _text("2.00", "0.50", "8.00"),
    ("openai", "gpt-realtime"): _REALTIME,
    ("openai", "gpt-realtime-1.5"): _REALTIME,
    ("openai", "gpt-realtime-2.1-mini"): _speaking(
        ("0.60", "0.06", "2.40"), ("10.00", "0.30", "20.00")
    ),
    # Sold by tokens, which are told only where it transcribes for a realtime model; the hour is
    # OpenAI's own estimate ($0.003 and $0.006 a minute).
    ("openai", "gpt-4o-mini-transcribe"): _hearing("1.25", "5.00", "0.18"),
    ("openai", "gpt-4o-transcribe"): _hearing("2.50", "10.00", "0.36"),
    ("openai", "whisper-1"): _stt("0.36"),
    ("openai", "gpt-realtime-whisper"): _stt("1.02"),
    # By a price list of 2026-05-28 that names mistral.ai/pricing; no cached price is told.
    ("mistral", "ministral-8b-2512"): Price(input=Decimal("0.15"), output=Decimal("0.15")),
    # ai.google.dev/gemini-api/docs/pricing, as quoted on 2026-05-16; cached input is not sold.
    ("google", "gemini-2.5-flash-native-audio-preview-09-2025"): _FLASH_LIVE,
    ("google", "gemini-2.5-flash-native-audio-preview-12-2025"): _FLASH_LIVE,
    # docs.cartesia.ai/pricing: 1 credit a character, 3 (Ink 2) or 1 (Ink Whisper) a second. What a
    # credit costs depends on the plan: here the Startup plan's, $39 for 1.25 million, by the year.
    ("cartesia", "sonic-3"): _voice("31.20"),
    ("cartesia", "ink-2"): _stt("0.33696"),
    ("cartesia", "ink-whisper"): _stt("0.11232"),
    # elevenlabs.io/pricing/api, as quoted in June 2026.
    ("elevenlabs", "eleven_turbo_v2_5"): _voice("50.00"),
    ("elevenlabs", "scribe_v2_realtime"): _stt("0.39"),
}
"""By provider and model, for what `speech/` can name by itself; OpenRouter's and custom models
have a price only where the operator gives one."""
