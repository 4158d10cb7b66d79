"""What an attempt says of a provider that failed: who, how, and nothing private."""

from __future__ import annotations

import time

import pytest
from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ErrorEvent,
    llm,
    stt,
    tts,
)
from livekit.plugins import openai

from agent.failures import FailureWatch, blame, describe
from process.addresses import AddressRefused
from speech.validated import EmptyAnswer, ValidatedLLM

pytestmark = pytest.mark.unit

PRIVATE = "the person said: 4111 1111 1111 1111"
CARTESIA = "livekit.plugins.cartesia.tts.TTS"
ADAPTER = "livekit.agents.llm.fallback_adapter.FallbackAdapter"


def model_error(cause: Exception, *, label: str = "mistral", lost: bool = True) -> llm.LLMError:
    return llm.LLMError(timestamp=time.time(), label=label, error=cause, recoverable=not lost)


def voice_error(cause: Exception, *, lost: bool = True) -> tts.TTSError:
    return tts.TTSError(timestamp=time.time(), label=CARTESIA, error=cause, recoverable=not lost)


@pytest.mark.parametrize(
    ("cause", "how"),
    [
        (APIStatusError(PRIVATE, status_code=429), "answered 429"),
        (APIStatusError(PRIVATE, status_code=-1), "could not be reached or broke off"),
        (APITimeoutError(PRIVATE), "did not answer in time"),
        (APIConnectionError(PRIVATE), "could not be reached or broke off"),
        (EmptyAnswer(), "gave an empty answer"),
        (ValueError(PRIVATE), "failed: ValueError"),
    ],
)
def test_how_it_failed(cause: Exception, how: str) -> None:
    assert describe(model_error(cause)) == f"the model (mistral) {how}"


def test_a_refused_address_names_the_setting() -> None:
    refused = APIConnectionError(PRIVATE)
    refused.__cause__ = AddressRefused("10.0.0.7 is not public; OFFHOOK_ALLOW_PRIVATE=10.0.0.7")
    assert describe(model_error(refused, label="custom")) == (
        "the model (custom) was not asked: 10.0.0.7 is not public; OFFHOOK_ALLOW_PRIVATE=10.0.0.7"
    )


@pytest.mark.parametrize(
    ("label", "who"),
    [
        ("livekit.plugins.openai.stt.STT", "openai"),
        ("StreamAdapter[livekit.plugins.openai.stt.STT]", "openai"),
        ("speech.offline.stt.OfflineSTT", "embedded"),
        ("speech.providers.openai._Transcriber", "openai"),
    ],
)
def test_who_failed(label: str, who: str) -> None:
    error = stt.STTError(
        timestamp=time.time(), label=label, error=APITimeoutError(), recoverable=False
    )
    assert describe(error) == f"the recogniser ({who}) did not answer in time"


def test_an_adapter_names_all_that_failed() -> None:
    cause = APIConnectionError("all LLMs failed (['openrouter', 'custom']) after 5.0 seconds")
    said = describe(model_error(cause, label=ADAPTER))
    assert said == "the model (openrouter, custom) could not be reached or broke off"


def test_a_request_outside_a_session_names_its_last_try() -> None:
    counted = APIConnectionError("failed after 2 attempts")
    counted.__cause__ = APIStatusError(PRIVATE, status_code=500)
    said = blame("llm_error", ValidatedLLM(openai.LLM(model="m", api_key="k"), "mistral"), counted)
    assert said == "the model (mistral) answered 500"


def test_only_what_no_retry_mends_is_told() -> None:
    session: rtc.EventEmitter[str] = rtc.EventEmitter()
    fatal: list[str] = []
    voices: list[str] = []
    FailureWatch(session, on_fatal=fatal.append, on_voice_lost=voices.append)
    for error in (
        model_error(APITimeoutError(), lost=False),
        voice_error(APITimeoutError(), lost=False),
    ):
        session.emit("error", ErrorEvent(error=error, source=None))
    assert (fatal, voices) == ([], [])
    session.emit("error", ErrorEvent(error=model_error(APITimeoutError()), source=None))
    session.emit("error", ErrorEvent(error=voice_error(APITimeoutError()), source=None))
    assert fatal == ["the model (mistral) did not answer in time"]
    assert voices == ["the voice (cartesia) did not answer in time"]
