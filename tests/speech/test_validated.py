"""Answers of models are looked at before they are spoken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from livekit.agents import (
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    llm,
)

from speech import limits
from speech.validated import EmptyAnswer, ValidatedLLM

pytestmark = pytest.mark.unit

TWICE = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=1.0)
Answer = Sequence[str | llm.FunctionToolCall | Exception]


class Model(llm.LLM[Any]):
    """A model that gives these answers, one after the other."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.answers = list(answers)
        self.read = 0

    def chat(self, **request: Any) -> llm.LLMStream:
        known = ("chat_ctx", "tools", "conn_options")
        return Reading(self, **{name: request[name] for name in known})


class Reading(llm.LLMStream):
    async def _run(self) -> None:
        model: Any = self._llm
        for piece in model.answers.pop(0):
            if isinstance(piece, Exception):
                raise piece
            text = piece if isinstance(piece, str) else None
            calls = [] if isinstance(piece, str) else [piece]
            delta = llm.ChoiceDelta(role="assistant", content=text, tool_calls=calls)
            self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))
            model.read += 1
            await asyncio.sleep(0)


async def answered(model: Model) -> tuple[llm.CollectedResponse, list[llm.LLMError]]:
    """Return what is answered, and the errors on the way."""
    careful = ValidatedLLM(model, "mistral")
    errors: list[llm.LLMError] = []
    careful.on("error", errors.append)
    try:
        async with careful.chat(chat_ctx=llm.ChatContext.empty(), conn_options=TWICE) as stream:
            return await stream.collect(), errors
    finally:
        await careful.aclose()


async def test_an_answer_is_passed_on() -> None:
    reply, errors = await answered(Model(["We open ", "at nine."]))
    assert (reply.text, errors) == ("We open at nine.", [])


async def test_a_tool_call_is_an_answer() -> None:
    call = llm.FunctionToolCall(name="end_call", arguments="{}", call_id="1")
    reply, errors = await answered(Model([call]))
    assert ([made.name for made in reply.tool_calls], errors) == (["end_call"], [])


async def test_an_empty_answer_is_asked_for_again() -> None:
    reply, errors = await answered(Model([""], ["At nine."]))
    assert reply.text == "At nine."
    assert [(error.label, error.recoverable) for error in errors] == [("mistral", True)]


async def test_two_empty_answers_are_a_failure() -> None:
    with pytest.raises(APIError) as failed:
        await answered(Model([], []))
    assert isinstance(failed.value.__cause__, EmptyAnswer)


@pytest.mark.parametrize("piece", ["We open at nine. ", "w" * 5 * limits.REPLY_CHARACTERS])
async def test_an_answer_without_end_is_cut(piece: str) -> None:
    model = Model([piece] * 100_000)
    reply, errors = await answered(model)
    assert (len(reply.text), errors) == (limits.REPLY_CHARACTERS, [])
    assert model.read < 200


async def test_a_refusal_is_what_it_was() -> None:
    with pytest.raises(APIStatusError) as refused:
        await answered(Model([APIStatusError("no", status_code=401)]))
    assert refused.value.status_code == 401


async def test_half_an_answer_is_not_asked_for_again() -> None:
    lost = APITimeoutError(retryable=False)
    with pytest.raises(APITimeoutError):
        await answered(Model(["We open", lost], ["never asked for"]))
