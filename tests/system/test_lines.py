"""What becomes of a phone's line during a call: it is held, it is lost; and what the rows say."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from speech.offline.voice import Speaker
from tests.system.far_end import phone, render
from tests.system.platform import Platform
from tests.system.test_conversation import CALLEE, number_at
from tests.system.test_lost_parts import live

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

PATIENCE_S = 6
"""After so much silence, two questions included, the agent hangs up."""
HELD_S = 12.0
ASK = "What are your opening hours?"
SPEC = {
    "name": "Desk",
    "prompt": "You answer questions. We are open Monday to Friday from nine to five.",
    "first_sentence": "Good morning.",
    "first_sentence_mode": "static",
}


def test_a_phone_that_holds_the_call_is_waited_for(
    platform: Platform, folder: Path, speaker: Speaker
) -> None:
    """pjsua2 holds by `a=sendonly`, and sends its silence on; then it is talked with as before."""
    script = [{"listen": 0.8}, {"hold": HELD_S}, {"say": render(speaker, folder, ASK)}]
    with phone(folder, [*script, {"reply": 0.8}, {"hangup": True}]) as far_end:
        number = number_at(platform, "holds", far_end.port)
        placed = platform.order(
            CALLEE, from_phone_number=number, assistant={**SPEC, "silence_timeout_secs": PATIENCE_S}
        )
        held = far_end.wait("held", 60.0)["t"]
        back = far_end.wait("back", 60.0)["t"]
        far_end.wait("speech", 30.0, what="ended")
        attempt = platform.finished(placed["id"])["last_call_attempt"]
    events = platform.api.get(f"/call/{placed['id']}/events")["events"]
    told = [event["type"] for event in events if event["type"].startswith("hold_")]
    assert told == ["hold_began", "hold_ended"]
    assert (attempt["ended_by"], attempt["end_reason"]) == ("user", None)
    said = [(item["role"], item["at"]) for item in attempt["transcript"]]
    assert [role for role, at in said if held < at < back] == [], "nobody is asked meanwhile"
    assert [role for role, _ in said][-1] == "assistant", "and who is back is answered"


def test_a_phone_that_vanishes_is_no_hang_up(platform: Platform, folder: Path) -> None:
    with phone(folder, [{"stay": 60}]) as far_end:
        number = number_at(platform, "vanishes", far_end.port)
        call = live(platform, number=CALLEE, from_phone_number=number)
        os.kill(far_end.pid, signal.SIGKILL)
        attempt = platform.finished(call["id"], limit_s=40.0)["last_call_attempt"]
    assert (attempt["ended_by"], attempt["end_reason"]) == ("system", "connection_lost")
    assert attempt["detail"] == "no RTP came for 15 s"
