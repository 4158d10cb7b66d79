"""The first phone call: placed at the carrier simulator, printed live, and judged."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from offhook.api_client import ApiClient, ApiProblem
from offhook.console import CallPrinter, say, why
from offhook.installation import Installation

TALKS = "+12025550100"
"""The simulator's number that answers and asks about a dental clinic."""
OURS = "+12025550199"
"""The number that the first start gives the simulator's trunk."""
ONE_TRY: dict[str, Any] = {"force_now": True, "call_retry_config": {"max_retry_attempts": 1}}
"""Somebody waits at the terminal: at any hour, and not again in two hours."""

_NEEDS_A_PERSON = ("trunk_stopped", "destination_stopped")
EVENT_LIMIT_S = 90.0
RECORDING_LIMIT_S = 10.0
LAST_WORDS_LIMIT_S = 5.0
ALIKE = 80.0
"""Of 100, how alike what was said and what was heard must be: two engines, a telephone between."""


class FirstCallResult(Struct, frozen=True):
    """How a call went, and why it does not count as good when it does not."""

    call: dict[str, Any]
    problems: tuple[str, ...]

    @property
    def attempt(self) -> dict[str, Any]:
        """The last attempt, empty when there was none."""
        return self.call.get("last_call_attempt") or {}


def place(api: ApiClient, order: dict[str, Any], *, limit_s: float | None = None) -> dict[str, Any]:
    """Place an order and print its conversation; returns the finished call object.

    Args:
        order: the body of `POST /call`.
        limit_s: cancel the order when it is not over by then.

    Raises:
        ApiProblem: it was refused, or took too long.
        KeyboardInterrupt: the user had enough; the order is cancelled.
    """
    order_id = api.post("/call", order)["call"]["id"]
    printer = CallPrinter()
    try:
        for event in api.events(order_id, silence_s=EVENT_LIMIT_S, limit_s=limit_s):
            printer.show(event)
            _refuse_to_wait(event)
    except (ApiProblem, KeyboardInterrupt):
        with suppress(ApiProblem):  # it ended meanwhile, or the API is away
            api.post(f"/call/{order_id}/cancel")
        raise
    call: dict[str, Any] = api.get(f"/call/{order_id}")["call"]
    return call


def _refuse_to_wait(event: dict[str, Any]) -> None:
    """Stop when only a person can help the order on.

    Raises:
        ApiProblem: the trunk refused, and stays stopped until somebody resumes it.
    """
    data = event.get("data") or {}
    if event.get("type") == "held_back" and data.get("rule") in _NEEDS_A_PERSON:
        raise ApiProblem(
            f"the trunk refused the call (SIP {data.get('sip_status')}) and is {data['rule']}: "
            "`offhook trunk list` says why; mend it, then `offhook trunk resume NAME`"
        )


def first_call(
    home: Installation, api: ApiClient, *, limit_s: float | None = None
) -> FirstCallResult:
    """Call the simulator's talking number and check that both sides understood each other."""
    heard_before = _log_size(home.carrier_log)
    # From the simulator's own number, so that no other trunk, a real one, is ever taken.
    order = {"phone_number": TALKS, "from_phone_number": OURS, **ONE_TRY}
    call = with_recording(api, place(api, order, limit_s=limit_s))
    attempt = call.get("last_call_attempt") or {}
    problems = []
    if not attempt.get("answered_at"):
        problems.append(f"the call was not answered ({why(attempt)})")
    else:
        problems += _compare(attempt.get("transcript") or [], home.carrier_log, heard_before)
        if not attempt.get("recording_url"):
            problems.append("the call was not recorded")
    return FirstCallResult(call, tuple(problems))


def misunderstood(transcript: list[dict[str, Any]], phone: list[dict[str, Any]]) -> list[str]:
    """Return what one side said and the other did not understand.

    Args:
        transcript: the agent's side: items with `role` and `content`.
        phone: the far end's own log: lines with `event`; `said` and `heard` have `pii_text`.
    """
    ours = {
        role: " ".join(i["content"] for i in transcript if i["role"] == role)
        for role in ("user", "assistant")
    }
    theirs = {
        event: [str(i["pii_text"]) for i in phone if i["event"] == event]
        for event in ("said", "heard")
    }
    problems = [
        f"the agent did not understand the callee's “{line}”"
        for line in theirs["said"]
        if _alike(line, ours["user"]) < ALIKE
    ]
    if len(theirs["said"]) < 3:
        problems.append(f"the callee said {len(theirs['said'])} things; a conversation has three")
    agent_words = " ".join(theirs["heard"])
    missed = [
        i["content"]
        for i in transcript
        if i["role"] == "assistant" and _alike(i["content"], agent_words) < ALIKE
    ]
    problems += [f"the callee did not understand the agent's “{line}”" for line in missed]
    return problems


def summary(home: Installation, outcome: FirstCallResult) -> None:
    """Print where the recording is, or what went wrong."""
    path = recording_path(home, outcome.attempt)
    if path is not None:
        say(f"  recording   {path}")
    for problem in outcome.problems:
        say(f"  problem     {problem}")


def recording_path(home: Installation, attempt: dict[str, Any]) -> Path | None:
    """Return the file of an attempt's recording on this machine."""
    found = sorted((home.data / "recordings").rglob(f"{attempt.get('id')}.ogg"))
    return found[0] if found else None


def _compare(transcript: list[dict[str, Any]], log: Path, start: int) -> list[str]:
    """Return what was misunderstood; the phone writes its last words after the hang-up."""
    deadline = time.monotonic() + LAST_WORDS_LIMIT_S
    while True:
        problems = misunderstood(transcript, _phone_side(log, start))
        if not problems or time.monotonic() > deadline:
            return problems
        time.sleep(0.1)


def with_recording(api: ApiClient, call: dict[str, Any]) -> dict[str, Any]:
    """Return the call once its recording is in; it comes within seconds of the hang-up."""
    deadline = time.monotonic() + RECORDING_LIMIT_S
    while time.monotonic() < deadline:
        attempt = call.get("last_call_attempt") or {}
        if attempt.get("recording_url") or not attempt.get("answered_at"):
            break
        time.sleep(0.2)
        call = api.get(f"/call/{call['id']}")["call"]
    return call


def _alike(said: str, heard: str) -> float:
    from rapidfuzz import fuzz

    return float(fuzz.partial_ratio(_plain(said), _plain(heard)))


_ONES = "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_TENS = "|ten|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_NUMBERS = {word: str(10 * n) for n, word in enumerate(_TENS.split("|"))}
_NUMBERS |= {word: str(n) for n, word in enumerate(_ONES.split("|"))}


def _plain(text: str) -> str:
    """Return the words in lower case, numbers as the recogniser writes them, without currency."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    return " ".join(_NUMBERS.get(word, word) for word in words if word != "dollars")


def _log_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _phone_side(path: Path, start: int) -> list[dict[str, Any]]:
    if not path.exists():
        raise ApiProblem(f"the carrier simulator left no log at {path}")
    with path.open("rb") as file:
        file.seek(start)
        lines = [json.loads(line) for line in file if line.endswith(b"\n")]
    return [line for line in lines if line.get("to") == TALKS]
