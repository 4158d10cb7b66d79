"""Conversations in a browser: a LiveKit client joins with a session's token, and is heard.

Judged from what the client hears and from rows. At most three of them are there at a time.
"""

from __future__ import annotations

import asyncio
import json
import queue
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from livekit import api

from control_plane.domain.browser import participant_identity, room_name
from control_plane.keys.join_tokens import JoinTokens
from speech.offline.voice import SAMPLE_RATE, Speaker
from tests.listener.phrase_bank import ACCEPT, PhraseBank
from tests.system.far_end import ROOT
from tests.system.platform import Platform, wait_for
from tests.system.sound import channels
from tests.system.visitor import HEARD_RATE

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

GREETING = ("Hello, this is the Bright Smile dental clinic.", "How can I help you today?")
HOURS = "We are open Monday to Friday from nine to five."
PRICE = "A cleaning costs eighty dollars."
ASK_HOURS, ASK_PRICE = "What are your opening hours?", "How much does a cleaning cost?"
FINAL = ("completed", "cancelled", "failed")
ABOVE_HZ = 4_400.0, 7_600.0
"""What nothing that samples at 8 kHz carries, and what samples at 16 kHz does."""


class Visitor:
    """A running client."""

    def __init__(self, process: subprocess.Popen[str], heard: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._process = process
        self._heard = heard
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self, event: str, limit_s: float = 20.0) -> dict[str, Any]:
        """Return the next event of this name.

        Raises:
            AssertionError: it did not come; with what came instead.
        """
        while True:
            try:
                seen = self._lines.get(timeout=limit_s)
            except queue.Empty:
                raise AssertionError(f"no {event} within {limit_s} s: {self.events}") from None
            if seen is None:
                raise AssertionError(f"the client ended without {event}: {self.events}")
            if seen["event"] == event:
                return seen

    def at(self, event: str) -> float:
        """Return when the first event of this name was."""
        return float(next(each["t"] for each in self.events if each["event"] == event))

    def say(self, file: str) -> None:
        """Speak."""
        self._tell(f"say {file}")
        self.wait("said")

    def leave(self) -> None:
        """Disconnect, as a page does whose tab is closed."""
        self._tell("leave")
        self.wait("over")

    def kill(self) -> None:
        """End the process without a word: nobody is told."""
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        """End the process."""
        self.kill()
        self._reader.join(5)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def heard(self) -> npt.NDArray[np.int16]:
        """Return what was heard so far, mono at `HEARD_RATE`."""
        return np.frombuffer(_whole(self._heard), np.int16)

    def tracks(self) -> list[npt.NDArray[np.int16]]:
        """Return what was heard so far of each track by itself."""
        files = sorted(self._heard.parent.glob(f"{self._heard.name}*"))
        return [np.frombuffer(_whole(each), np.int16) for each in files]

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith("{"):
                    self.events.append(json.loads(line))
                    self._lines.put(self.events[-1])
        self._lines.put(None)


def _whole(file: Path) -> bytes:
    """Return the samples of a file that is being written."""
    content = file.read_bytes()
    return content[: len(content) // 2 * 2]


@contextmanager
def visitor(folder: Path, started: dict[str, Any], name: str = "a") -> Iterator[Visitor]:
    """Have a client join with the token of a session."""
    heard = folder / f"{started['session']['id']}-{name}.pcm"
    command = [sys.executable, "-m", "tests.system.visitor", "--url", started["livekit_url"]]
    command += ["--token", started["token"], "--heard", str(heard)]
    with (folder / f"{heard.stem}.log").open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        client = Visitor(process, heard)
        try:
            yield client
        finally:
            client.close()


def start(platform: Platform, **fields: Any) -> dict[str, Any]:
    """Start a session with the default assistant."""
    started: dict[str, Any] = platform.api.post("/session", fields)
    return started


def session(platform: Platform, session_id: str) -> dict[str, Any]:
    """Return the session as it is."""
    found: dict[str, Any] = platform.api.get(f"/session/{session_id}")["session"]
    return found


def over(platform: Platform, session_id: str, limit_s: float = 15.0) -> dict[str, Any]:
    """Return the session once it is over."""
    seen: dict[str, Any] = wait_for(
        lambda: session(platform, session_id), lambda each: each["status"] in FINAL, limit_s
    )
    return seen


def answered(platform: Platform, session_id: str, answer: str) -> dict[str, Any]:
    """Return the session once the agent has said `answer`."""
    seen: dict[str, Any] = wait_for(
        lambda: session(platform, session_id),
        lambda each: answer in [item["content"] for item in each["transcript"]],
        30.0,
    )
    return seen


@pytest.fixture(scope="module")
def bank(speaker: Speaker) -> PhraseBank:
    return PhraseBank([*GREETING, HOURS, PRICE])


def missing(bank: PhraseBank, client: Visitor, *phrases: str) -> list[str]:
    """Return the phrases that the independent ear does not find in what a client heard."""
    heard = client.heard()
    return [each for each in phrases if bank.best_in(heard, HEARD_RATE, each) < ACCEPT]


def voiced(speaker: Speaker, folder: Path, text: str) -> str:
    """Return a WAV file in which the embedded voice says `text`, in full band."""
    path = folder / f"{abs(hash(text))}-wide.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(b"".join(speaker.stream(text)))
    return str(path)


def share_above(samples: npt.NDArray[Any], rate: int) -> float:
    """Return the share of a sound's energy that no telephone carries."""
    power = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    pitch = np.fft.rfftfreq(len(samples), 1 / rate)
    low, high = ABOVE_HZ
    return float(power[(pitch > low) & (pitch < high)].sum() / power[pitch > 100.0].sum())


def band_of(speaker: Speaker, *texts: str) -> float:
    """Return the same of the voice itself."""
    spoken = b"".join(block for text in texts for block in speaker.stream(text))
    return share_above(np.frombuffer(spoken, np.int16), SAMPLE_RATE)


def test_a_conversation_in_wideband_until_the_tab_is_closed(
    platform: Platform, speaker: Speaker, folder: Path, bank: PhraseBank
) -> None:
    started = start(platform, metadata={"test": "wideband"})
    session_id = started["session"]["id"]
    with visitor(folder, started) as client:
        client.wait("speech ended")
        client.say(voiced(speaker, folder, ASK_HOURS))
        answered(platform, session_id, HOURS)
        client.leave()
    seen = over(platform, session_id)
    assert missing(bank, client, *GREETING, HOURS) == []
    assert (seen["status"], seen["ended_by"], seen["end_reason"]) == ("completed", "user", None)
    said = [item["content"] for item in seen["transcript"] if item["role"] == "user"]
    assert said == [ASK_HOURS]
    # By the client's clock: its own track is there before the agent hears of it.
    assert client.at("speech begins") - client.at("published") < 2.0
    own = band_of(speaker, *GREETING, HOURS)
    assert share_above(client.heard(), HEARD_RATE) > own / 4
    stored = wait_for(
        lambda: session(platform, session_id), lambda each: each["recording_url"], 20.0
    )
    assert stored["recording_intact"] is True
    person, agent = channels(platform, stored, rate=16_000)
    asked = band_of(speaker, ASK_HOURS)
    # Opus has thinned it twice by then.
    assert share_above(person, 16_000) > asked / 20
    assert share_above(agent, 16_000) > own / 20
    history = platform.api.get(f"/session/{session_id}/events")["events"]
    ways = [each["data"]["way"] for each in history if each["type"] == "sound_routed"]
    assert ways == ["room"]


def test_a_second_tab_takes_over_and_a_lost_connection_comes_back(
    platform: Platform, speaker: Speaker, folder: Path, bank: PhraseBank
) -> None:
    """All by one token, in one conversation, until the API ends it."""
    started = start(platform)
    session_id = started["session"]["id"]
    with ExitStack() as tabs:
        first = tabs.enter_context(visitor(folder, started, "first"))
        first.wait("speech ended")
        second = tabs.enter_context(visitor(folder, started, "second"))
        assert first.wait("disconnected")["reason"] == "DUPLICATE_IDENTITY"
        second.wait("published")
        second.say(voiced(speaker, folder, ASK_HOURS))
        answered(platform, session_id, HOURS)
        second.kill()
        third = tabs.enter_context(visitor(folder, started, "third"))
        third.wait("published")
        third.say(voiced(speaker, folder, ASK_PRICE))
        assert answered(platform, session_id, PRICE)["status"] == "in_progress"
        platform.api.post(f"/session/{session_id}/end", {})
        assert third.wait("disconnected")["reason"] == "ROOM_DELETED"
    seen = over(platform, session_id)
    assert missing(bank, first, *GREETING) == []
    assert missing(bank, second, HOURS) == []
    assert missing(bank, third, PRICE) == []
    assert (seen["status"], seen["end_reason"]) == ("completed", "cancelled")
    said = [item["content"] for item in seen["transcript"] if item["role"] == "assistant"]
    assert said.count(" ".join(GREETING)) == 1  # nobody is greeted again
    with visitor(folder, started, "late") as late:  # its room is made anew, and closed again
        assert late.wait("disconnected")["reason"] == "ROOM_DELETED"
    assert session(platform, session_id)["ended_at"] == seen["ended_at"]


def test_who_is_alone_for_too_long_and_how_long_it_lasts(
    platform: Platform, folder: Path, bank: PhraseBank
) -> None:
    """Three sessions at a time, since each is a wait: the limit, a loss for good, a late comer."""
    limited = start(platform, max_duration_secs=10)
    lost = start(platform)
    alone = start(platform)
    began = time.monotonic()
    with visitor(folder, limited) as short, visitor(folder, lost) as gone:
        gone.wait("speech ended")
        gone.kill()
        assert short.wait("disconnected")["reason"] == "ROOM_DELETED"
    seen = over(platform, limited["session"]["id"])
    assert (seen["status"], seen["end_reason"]) == ("completed", "max_duration")

    def left_alone() -> bool:
        path = f"/session/{alone['session']['id']}/events"
        return any(each["type"] == "agent_left" for each in platform.api.get(path)["events"])

    wait_for(left_alone, bool, 45.0)
    assert time.monotonic() - began > 25.0
    assert session(platform, alone["session"]["id"])["status"] == "waiting"
    with visitor(folder, alone) as client:
        client.wait("speech ended")
        client.leave()
    assert missing(bank, client, *GREETING) == []
    assert over(platform, alone["session"]["id"])["ended_by"] == "user"
    seen = over(platform, lost["session"]["id"], 45.0)
    assert (seen["status"], seen["end_reason"]) == ("completed", "connection_lost")


def test_a_token_that_is_forged_or_not_valid_now_opens_nothing(
    platform: Platform, folder: Path
) -> None:
    now = start(platform)
    key, secret = platform.home.livekit_keys()
    grants = api.VideoGrants(room_join=True, room=f"web-{now['session']['id']}")
    forged = api.AccessToken(key, "f" * 40).with_identity("a").with_grants(grants).to_jwt()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    later = start(platform, scheduled_at=tomorrow)
    ago = datetime.now(UTC) - timedelta(minutes=20)
    until, session_id = ago + timedelta(minutes=9), now["session"]["id"]
    run_out = JoinTokens(key, secret).issue(
        room_name(session_id),
        participant_identity(session_id),
        opens_at=ago,
        until=until,
        room_stays_s=60,
    )
    for started in ({**now, "token": forged}, {**now, "token": run_out}, later):
        with visitor(folder, started, "refused") as client:
            client.wait("refused")
    for started, was in ((now, "waiting"), (later, "created")):
        session_id = started["session"]["id"]
        assert session(platform, session_id)["status"] == was
        ended = platform.api.post(f"/session/{session_id}/end", {})["session"]
        assert ended["status"] == "cancelled"


@pytest.mark.long
def test_a_room_that_the_page_makes_outlives_its_person(platform: Platform, folder: Path) -> None:
    """Whoever is faster than the scheduler makes the room, by what the token says of it."""
    ago = datetime.now(UTC) - timedelta(minutes=1)
    token = JoinTokens(*platform.home.livekit_keys()).issue(
        "made-by-a-token", "a", opens_at=ago, until=ago + timedelta(minutes=5), room_stays_s=47
    )
    joining = {"session": {"id": "a"}, "livekit_url": platform.home.livekit_url, "token": token}
    with visitor(folder, joining) as client:
        client.wait("connected")
        rooms = asyncio.run(rooms_of(platform))
        client.leave()
    assert rooms["made-by-a-token"].departure_timeout == 47


async def rooms_of(platform: Platform) -> dict[str, Any]:
    """Return livekit-server's rooms by name."""
    livekit = api.LiveKitAPI(platform.home.livekit_url, *platform.home.livekit_keys())
    try:
        answer = await livekit.room.list_rooms(api.ListRoomsRequest())
    finally:
        await livekit.aclose()
    return {room.name: room for room in answer.rooms}
