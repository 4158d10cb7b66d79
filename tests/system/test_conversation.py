"""A conversation over SIP and RTP, heard from the wire by an ear that shares nothing with ours."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from rapidfuzz import fuzz

from speech.offline.voice import Speaker
from tests.listener.phrase_bank import ACCEPT, PhraseBank
from tests.system.far_end import RATE, asking, phone, render
from tests.system.platform import Platform
from tests.system.sound import channels, level_where

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

OUR_NUMBER = "+12025550190"
CALLEE = "+12025550177"
# The independent ear hears sentence by sentence: the pause between two is the network's too.
GREETING = ("Hello, this is the Bright Smile dental clinic.", "How can I help you today?")
HOURS = "We are open Monday to Friday from nine to five."
PRICE = "A cleaning costs eighty dollars."
CLOSING = ("Thank you for calling.", "Goodbye.")
_numbers = itertools.count(1_000)  # above the simulator's and our own
NEVER_SAID = "Please enter your account number followed by the pound key."
ASKED = (
    "What are your opening hours?",
    "How much does a cleaning cost?",
    "That is all, goodbye.",
)


@pytest.fixture(scope="module")
def bank(speaker: Speaker) -> PhraseBank:
    return PhraseBank([*GREETING, HOURS, PRICE, *CLOSING, NEVER_SAID])


def missing(
    bank: PhraseBank, heard: npt.NDArray[np.int16], phrases: list[str], accept: float = ACCEPT
) -> list[str]:
    """Return the phrases that the independent ear does not find in what was heard."""
    return [phrase for phrase in phrases if bank.best_in(heard, RATE, phrase) < accept]


def number_at(platform: Platform, name: str, port: int, **settings: Any) -> str:
    """Give the installation a trunk to a phone at `port`; returns the number that selects it."""
    number = f"+1202555{next(_numbers):04d}"
    trunk = platform.api.post(
        "/trunk",
        {
            "name": f"{name}-{number}",
            "address": f"127.0.0.1:{port}",
            "numbers": [number],
            "is_default": False,
            **settings,
        },
    )
    platform.api.post(
        "/number", {"phone_number": number, "trunk_id": trunk["id"], "is_default": False}
    )
    return number


def conversation(
    platform: Platform, speaker: Speaker, folder: Path, **order: Any
) -> tuple[dict[str, Any], npt.NDArray[np.int16], list[dict[str, Any]]]:
    """Call a phone that asks three things; returns the call, what it heard, its events."""
    script = asking(speaker, folder, *ASKED)
    with phone(folder, [*script, {"stay": 20}]) as far_end:
        number = number_at(platform, "phone", far_end.port)
        placed = platform.order(CALLEE, from_phone_number=number, **order)
        far_end.wait("over", 100.0)
        finished = platform.finished(placed["id"])
        return finished, far_end.heard(), far_end.events


@pytest.mark.shows("end_of_call_sentence", "first_sentence")
def test_three_exchanges_are_understood_both_ways_and_recorded(
    platform: Platform, speaker: Speaker, bank: PhraseBank, folder: Path
) -> None:
    call, heard, _ = conversation(platform, speaker, folder)
    attempt = call["last_call_attempt"]
    said = [item for item in attempt["transcript"] if item["role"] != "tool"]

    assert call["status"] == "completed"
    assert (attempt["ended_by"], attempt["end_reason"]) == ("agent", "tool_end_call")
    assert attempt["result"] == "human"
    ours = [item["content"] for item in said if item["role"] == "assistant"]
    theirs = " ".join(item["content"] for item in said if item["role"] == "user")
    assert ours[0] == " ".join(GREETING)
    assert ours[-1] == " ".join(CLOSING)
    for line in ASKED:
        assert fuzz.partial_ratio(line.lower(), theirs.lower()) >= 80, theirs
    assert said[0]["role"] == "assistant"

    # What the transcript says was said is what the wire carried, by the independent ear …
    assert missing(bank, heard, [*GREETING, HOURS, PRICE, *CLOSING]) == []
    # … which does not find what nobody said.
    assert missing(bank, heard, [NEVER_SAID]) == [NEVER_SAID]

    recorded = platform.wait_call(
        call["id"], lambda c: c["last_call_attempt"]["recording_url"] is not None, 5.0
    )
    left, right = channels(platform, recorded["last_call_attempt"])
    # The agent greets alone, then the caller speaks alone: each on its own channel.
    assert level_where(right, until_s=3.0) > 10 * level_where(left, until_s=3.0)
    assert bank.best_in(right, RATE, PRICE) >= ACCEPT
    assert bank.best_in(left, RATE, PRICE) < ACCEPT
    assert level_where(left) > 0.005


def test_a_person_who_says_hello_and_pauses_is_neither_cut_off_nor_misunderstood(
    platform: Platform, speaker: Speaker, bank: PhraseBank, folder: Path
) -> None:
    """Hello into the first sentence starts it again; a statement that goes on is one turn."""

    def say(text: str) -> dict[str, Any]:
        return {"say": render(speaker, folder, text, trimmed=True)}

    script = [
        *({"stay": 0.8}, say("Hello?"), {"listen": 0.8}),
        *(say("I am a new patient."), {"stay": 0.5}, say(ASKED[1]), {"reply": 0.8}),
        *(say(ASKED[2]), {"stay": 20}),
    ]
    with phone(folder, script) as far_end:
        number = number_at(platform, "pausing", far_end.port)
        placed = platform.order(CALLEE, from_phone_number=number)
        far_end.wait("over", 100.0)
        heard = far_end.heard()
        attempt = platform.finished(placed["id"])["last_call_attempt"]
    said = [(item["role"], item["content"]) for item in attempt["transcript"]]

    # By itself, or before the answer: a busy machine is late, and the phone goes on by then.
    assert [words for _, words in said if words.startswith(" ".join(GREETING))] != [], said
    assert missing(bank, heard, [*GREETING, PRICE, *CLOSING]) == [], said
    turns = [words.lower() for role, words in said if role == "user"]
    whole = f"I am a new patient. {ASKED[1]}".lower()
    assert max(fuzz.ratio(whole, words) for words in turns) >= 80, said
    assert sum(fuzz.partial_ratio("new patient", words) >= 90 for words in turns) == 1, said


@pytest.mark.long
@pytest.mark.shows("prompt")
def test_the_ear_notices_a_wrong_sentence(
    platform: Platform, speaker: Speaker, bank: PhraseBank, folder: Path
) -> None:
    """The control: the same call by an assistant that says another price."""
    default = next(
        a for a in platform.api.get("/assistant")["assistants"] if a["name"].startswith("Bright")
    )
    wrong = {
        "name": "Wrong price",
        "prompt": "You are the receptionist. We are open Monday to Friday from nine to five. "
        "A cleaning costs two hundred dollars.",
        "first_sentence": " ".join(GREETING),
        "first_sentence_mode": "static",
        "end_of_call_sentence": " ".join(CLOSING),
    }
    assert default["first_sentence"] == wrong["first_sentence"]
    _, heard, _ = conversation(platform, speaker, folder, assistant=wrong)
    assert missing(bank, heard, [*GREETING, PRICE]) == [PRICE]
