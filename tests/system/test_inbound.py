"""A softphone on another SIP stack calls the agent; keys pass both ways."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from livekit import api, rtc

from speech.offline.voice import Speaker
from tests.arrivals import job_token
from tests.listener.phrase_bank import ACCEPT, PhraseBank
from tests.system.far_end import RATE, FarEnd, phone, render
from tests.system.platform import Platform, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

GREETING = ("Hello, this is the Bright Smile dental clinic.", "How can I help you today?")
CODES = {**{str(n): n for n in range(10)}, "*": 10, "#": 11}
HOURS = "We are open Monday to Friday from nine to five."


def softphone_uri(platform: Platform, user: str) -> str:
    return f"sip:{user}@127.0.0.1:{platform.home.ports['OFFHOOK_SIP_PORT']}"


def inbound_calls(platform: Platform) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = platform.api.get("/call", direction="inbound")["calls"]
    return calls


def newest(platform: Platform, known: int) -> dict[str, Any]:
    """Return the call that came in after `known` others."""
    calls = wait_for(lambda: inbound_calls(platform), lambda seen: len(seen) > known, 20.0)
    return platform.call(max(calls, key=lambda call: str(call["created_at"]))["id"])


def test_any_softphone_reaches_the_default_assistant(
    platform: Platform, speaker: Speaker, folder: Path
) -> None:
    known = len(inbound_calls(platform))
    script = [
        {"listen": 0.8},
        {"say": render(speaker, folder, "What are your opening hours?")},
        {"listen": 0.8},
        {"hangup": True},
    ]
    with phone(folder, script, call=softphone_uri(platform, "anything")) as far_end:
        far_end.wait("over", 60.0)
        heard = far_end.heard()
    call = platform.finished(newest(platform, known)["id"], limit_s=20.0)

    phrases = [*GREETING, HOURS]
    bank = PhraseBank(phrases)
    assert [phrase for phrase in phrases if bank.best_in(heard, RATE, phrase) < ACCEPT] == []
    assert call["direction"] == "inbound"
    assert call["status"] == "completed"
    attempt = call["last_call_attempt"]
    assert attempt["ended_by"] == "user"
    assert [item["role"] for item in attempt["transcript"]][:3] == [
        "assistant",
        "user",
        "assistant",
    ]


@pytest.mark.long
def test_keys_pass_both_ways(platform: Platform, folder: Path) -> None:
    known = len(inbound_calls(platform))
    script = [{"listen": 0.8}, {"keys": "42#"}, {"wait_keys": 3}, {"hangup": True}]
    with phone(folder, script, call=softphone_uri(platform, "keys")) as far_end:
        far_end.wait("pressed", 40.0)
        call = newest(platform, known)
        pressed = wait_for(lambda: keys_of(platform, call["id"]), lambda k: len(k) >= 3, 15.0)
        other = claim(platform, asyncio.run(only_room(platform)))
        invented = claim(platform, "inbound_nobody")
        asyncio.run(press_in_room(platform, "71*", far_end))
        over = far_end.wait("over", 40.0)
    assert pressed == "42#"
    assert over["keys"] == "71*"
    assert (other.status_code, other.json()["code"]) == (409, "token_used"), "its agent has it"
    assert (invented.status_code, invented.json()["code"]) == (404, "not_found")


def test_sipp_is_answered_too(platform: Platform, folder: Path) -> None:
    """A third stack, where it is installed."""
    sipp = shutil.which("sipp")
    if sipp is None:
        pytest.skip("sipp is not installed")
    target = f"127.0.0.1:{platform.home.ports['OFFHOOK_SIP_PORT']}"
    command = [sipp, "-sn", "uac", target, "-s", "sipp", "-m", "1", "-d", "1500"]
    # Our stack renegotiates once the call is up, which sipp's built-in caller does not expect.
    command += ["-default_behaviors", "all,-abortunexp"]
    command += ["-i", "127.0.0.1", "-nostdin", "-timeout", "60", "-trace_err"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=90, check=False)
    errors = [path.read_text() for path in folder.glob("*_errors.log")]
    assert done.returncode == 0, errors


def keys_of(platform: Platform, order_id: str) -> str:
    events = platform.api.get(f"/call/{order_id}/events")["events"]
    return "".join(e["data"]["digit"] for e in events if e["type"] == "key_pressed")


def claim(platform: Platform, room_name: str) -> httpx.Response:
    """Ask for the brief of a room's call, by the token of a job that LiveKit never gave."""
    key, secret = platform.home.livekit_keys()
    internal = f"http://127.0.0.1:{platform.home.ports['OFFHOOK_INTERNAL_PORT']}"
    headers = job_token(room_name, "agent-AJ_other", key=key, secret=secret)
    return httpx.post(f"{internal}/internal/inbound", headers=headers, trust_env=False)


async def only_room(platform: Platform) -> str:
    """Return the name of the only inbound room."""
    livekit = api.LiveKitAPI(platform.home.livekit_url, *platform.home.livekit_keys())
    try:
        rooms = await livekit.room.list_rooms(api.ListRoomsRequest())
    finally:
        await livekit.aclose()
    (name,) = [room.name for room in rooms.rooms if room.name.startswith("inbound")]
    return name


async def press_in_room(platform: Platform, keys: str, far_end: FarEnd) -> None:
    """Join the only inbound room, as anybody may who has the keys, and press keys there."""
    key, secret = platform.home.livekit_keys()
    name = await only_room(platform)
    observer, presser = rtc.Room(), rtc.Room()
    for identity, room in (("observer", observer), ("presser", presser)):
        grants = api.VideoGrants(room_join=True, room=name)
        token = api.AccessToken(key, secret).with_identity(identity).with_grants(grants)
        await room.connect(platform.home.livekit_url, token.to_jwt())
    await _pressing_works(presser, observer)
    for digit in keys:
        await presser.local_participant.publish_dtmf(code=CODES.get(digit, 0), digit=digit)
    # Leaving would drop what is still on its way.
    await asyncio.to_thread(far_end.wait, "key", 15.0, digit=keys[-1])
    await presser.disconnect()
    await observer.disconnect()


async def _pressing_works(presser: rtc.Room, observer: rtc.Room) -> None:
    """Return once keys get through to those who were there before.

    For two seconds after a participant joins, livekit-server 1.13.5 gives its data only to those
    who joined later. A `w` is a pause, which no phone hears.
    """
    through = asyncio.Event()
    observer.on("sip_dtmf_received", lambda _: through.set())
    async with asyncio.timeout(15):
        while not through.is_set():
            await presser.local_participant.publish_dtmf(code=0, digit="w")
            with suppress(TimeoutError):
                await asyncio.wait_for(through.wait(), 0.3)
