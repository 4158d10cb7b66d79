"""Who answers, over SIP: the simulator's voicemail, menu and screening telephone.

Machine time: as the other calls. The longest three are held two at a time, when the first of them
is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from rapidfuzz import fuzz

from agent.answering.tones import Tone, ToneDetector
from tests.listener.phrase_bank import ACCEPT, PhraseBank
from tests.system.far_end import RATE
from tests.system.platform import Platform
from tests.system.sound import channels

pytestmark = [pytest.mark.system, pytest.mark.timeout(200)]

VOICEMAIL, MENU, SCREENING, PERSON, RECORDING, BANK = (
    f"+120255501{last:02d}" for last in (14, 15, 16, 1, 23, 24)
)
FIRST = "Hello, this is Bright Smile. I am calling about your appointment on Monday."
LIMIT_S = 150.0
MESSAGE = "This is the Bright Smile dental clinic. Please call us back about your appointment."


AT_ONCE = 2
IN_A_QUEUE: dict[str, Any] = {
    "prompt": "You call the bank about accounts, about anything else than balances or statements. "
    "You want a representative.",
    "ivr_navigation_enabled": True,
    "silence_timeout_secs": 9,  # the queue alone is silent for longer
}


@pytest.fixture(scope="module")
def calls(platform: Platform) -> Iterator[dict[str, Future[dict[str, Any]]]]:
    """The calls to numbers whose far end talks for long, by number."""
    message = MESSAGE.replace("Bright Smile", "{{clinic}}")
    placed: dict[str, dict[str, Any]] = {
        BANK: IN_A_QUEUE,
        VOICEMAIL: {"variables": {"clinic": "Bright Smile"}, "voicemail_message": message},
        SCREENING: {},
    }
    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield {
            number: threads.submit(called, platform, number, **fields)
            for number, fields in placed.items()
        }


@pytest.fixture(scope="module")
def bank() -> PhraseBank:
    return PhraseBank([FIRST, MESSAGE])


def called(
    platform: Platform, number: str, variables: dict[str, str] | None = None, **assistant: Any
) -> dict[str, Any]:
    """Call a number; returns the finished call, its recording there."""
    spec = {
        "name": "Reminders",
        "prompt": "You remind people of their appointment.",
        "first_sentence": FIRST,
        "first_sentence_mode": "static",
        **assistant,
    }
    order = platform.order(number, assistant=spec, prompt_variables=variables or {})
    platform.finished(order["id"], LIMIT_S)
    return platform.wait_call(
        order["id"], lambda c: c["last_call_attempt"]["recording_state"] != "spooling", 15.0
    )


def told(platform: Platform, call: dict[str, Any]) -> list[str]:
    """Return the webhook events of a call."""
    events = platform.api.get(f"/call/{call['id']}/events")["events"]
    return [each["type"] for each in events if each["type"].startswith("call.")]


@pytest.mark.long
def test_a_voicemail_is_hung_up_on_where_there_is_no_message(platform: Platform) -> None:
    attempt = called(platform, VOICEMAIL)["last_call_attempt"]
    assert (attempt["result"], attempt["end_reason"]) == ("voicemail", "voicemail"), attempt
    theirs = " ".join(i["content"] for i in attempt["transcript"] if i["role"] == "user")
    assert fuzz.partial_ratio("you have reached the voicemail", theirs.lower()) >= 80


def test_a_voicemail_is_nobody_reached_and_is_tried_again(platform: Platform) -> None:
    order = platform.order(VOICEMAIL, call_retry_config={"max_retry_attempts": 2})
    call = platform.wait_call(
        order["id"], lambda c: (c["last_call_attempt"] or {}).get("ended_at"), 60.0
    )
    waits = (call["status"], call["last_call_attempt"]["result"])
    assert waits == ("scheduled", "voicemail")
    assert call["next_at"] is not None
    platform.api.post(f"/call/{order['id']}/cancel")


def test_a_menu_that_the_assistant_may_not_use_is_left(platform: Platform) -> None:
    attempt = called(platform, MENU)["last_call_attempt"]
    assert (attempt["result"], attempt["end_reason"]) == ("IVR", "ivr_no_navigate"), attempt


@pytest.mark.long
def test_a_voicemail_that_talks_like_a_person_is_found_out_by_its_silence(
    platform: Platform, bank: PhraseBank
) -> None:
    call = called(platform, RECORDING, voicemail_message=MESSAGE, silence_timeout_secs=12)
    attempt = call["last_call_attempt"]
    assert (attempt["result"], attempt["end_reason"]) == ("voicemail", "voicemail"), attempt
    assert attempt["answer"]["engine"] == "timing"
    assert told(platform, call)[-2:] == ["call.voicemail", "call.completed"]
    _, ours = channels(platform, attempt)
    assert bank.best_in(ours, RATE, MESSAGE) >= ACCEPT
    said = [each["content"] for each in attempt["transcript"] if each["role"] == "assistant"]
    assert said[-2].startswith(FIRST)  # and an answer to what it said, as a person is given one
    assert said[-1] == MESSAGE


@pytest.mark.shows("voicemail_message")
def test_a_voicemail_is_left_the_message_after_its_beep(
    platform: Platform, bank: PhraseBank, calls: dict[str, Future[dict[str, Any]]]
) -> None:
    call = calls[VOICEMAIL].result()
    attempt = call["last_call_attempt"]
    assert (attempt["result"], attempt["end_reason"]) == ("voicemail", "voicemail"), attempt
    assert attempt["ended_by"] == "agent"
    assert attempt["answer"]["result"] == "voicemail"
    assert attempt["answer"]["evidence"] != ""
    assert told(platform, call)[-2:] == ["call.voicemail", "call.completed"]
    theirs, ours = channels(platform, attempt)
    beep_s = _beep_ends_s(theirs)
    after, before = ours[int(beep_s * RATE) :], ours[: int(beep_s * RATE)]
    assert bank.best_in(after, RATE, MESSAGE) >= ACCEPT
    assert bank.best_in(before, RATE, MESSAGE) < ACCEPT
    said = [each["content"] for each in attempt["transcript"] if each["role"] == "assistant"]
    assert said.count(MESSAGE) == 1
    decisions = platform.api.get(f"/call/{call['id']}/explain")["decisions"]
    [why] = [each["reason"] for each in decisions if each["decision"] == "answer_detected"]
    assert why.startswith("voicemail after")


def _beep_ends_s(theirs: npt.NDArray[np.int16]) -> float:
    """Return where the last tone of the other side's channel ends (s)."""
    detector, ends = ToneDetector(RATE), 0.0
    for at in range(0, len(theirs), RATE // 50):
        if Tone.BEEP in detector.hear(theirs[at : at + RATE // 50].tobytes()):
            ends = at / RATE
    assert ends > 0.0
    return ends


def test_a_person_is_reached_through_menus_and_a_queue(
    platform: Platform, bank: PhraseBank, calls: dict[str, Future[dict[str, Any]]]
) -> None:
    call = calls[BANK].result()
    attempt = call["last_call_attempt"]
    assert attempt["result"] == "human", attempt
    assert attempt["end_reason"] != "silence", attempt
    events = platform.api.get(f"/call/{call['id']}/events")["events"]
    keys = [each["data"]["keys"] for each in events if each["type"] == "keys_sent"]
    # A menu that says more after its pause may have its key again, into the queue.
    assert list(dict.fromkeys(keys)) == ["2", "3", "0"]
    _, ours = channels(platform, attempt)
    heard = [each["content"] for each in attempt["transcript"] if each["role"] == "user"]
    taken = next(at for at, words in enumerate(heard) if "how can i help" in words.lower())
    said = [each["content"] for each in attempt["transcript"] if each["role"] == "assistant"]
    assert any(words.startswith(FIRST) for words in said), said
    assert taken < len(heard) - 1, heard  # and talks on
    assert bank.best_in(ours, RATE, FIRST) >= ACCEPT


def test_who_is_screened_says_who_calls_and_is_put_through(
    calls: dict[str, Future[dict[str, Any]]],
) -> None:
    attempt = calls[SCREENING].result()["last_call_attempt"]
    assert attempt["result"] == "human", attempt
    said = [each["content"] for each in attempt["transcript"] if each["role"] == "assistant"]
    # Once to the telephone, once to its owner, who may go on with a question.
    assert sum(words.startswith(FIRST) for words in said) == 2, said
    heard = [each["content"] for each in attempt["transcript"] if each["role"] == "user"]
    assert fuzz.partial_ratio("name and reason for calling", " ".join(heard).lower()) >= 80


@pytest.mark.long
def test_a_person_is_answered_as_ever(platform: Platform) -> None:
    attempt = called(platform, PERSON)["last_call_attempt"]
    assert attempt["result"] == "human", attempt
    assert attempt["answer"]["engine"] == "timing"
