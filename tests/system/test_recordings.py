"""The recording of a real call: into a bucket, opened by its link, and deleted."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from speech.offline.voice import Speaker
from tests.recordings.s3_server import BUCKET
from tests.system.far_end import phone, render
from tests.system.platform import Platform, wait_for
from tests.system.test_conversation import CALLEE, number_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

GREETING = "Hello, this is the Bright Smile dental clinic. How can I help you today?"
LINE = "I would like to book a cleaning for next Tuesday, please."


def listed(endpoint: str) -> str:
    """Return the bucket's list of objects, as XML."""
    answer = httpx.get(f"{endpoint}/{BUCKET}", params={"list-type": 2}, trust_env=False)
    return answer.raise_for_status().text


def loudness(content: bytes) -> list[float]:
    """Return the level of each channel, of 1."""
    with av.open(io.BytesIO(content)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return [float(np.sqrt(np.mean(side**2))) for side in np.concatenate(frames, axis=1)]


def test_a_recording_goes_into_the_bucket_and_out_of_it_again(
    platform: Platform,
    s3: str,
    folder: Path,
    speaker: Speaker,
    record_property: Callable[[str, object], None],
) -> None:
    assistant: dict[str, Any] = {
        "name": "Recorded",
        "prompt": "You are a receptionist.",
        "first_sentence": GREETING,
        "first_sentence_mode": "static",
        "recording_full_mix": True,
        "recording_retention_days": 30,
    }
    script = [{"stay": 6}, {"say": render(speaker, folder, LINE)}, {"stay": 2}, {"hangup": True}]
    with phone(folder, script) as far_end:
        number = number_at(platform, "recorded", far_end.port)
        placed = platform.order(CALLEE, from_phone_number=number, assistant=assistant)
        far_end.wait("over", 100.0)
        over = time.monotonic()
    call = platform.wait_call(
        placed["id"],
        lambda seen: seen["last_call_attempt"]["recording_state"] == "stored",
        30.0,
    )
    record_property("seconds from the hang-up until it is stored", time.monotonic() - over)
    attempt = call["last_call_attempt"]
    assert attempt["recording_intact"] is True
    assert attempt["recording_expires_at"] is not None
    assert f"{attempt['id']}.ogg" in listed(s3)
    wait_for(lambda: list((platform.home.data / "spool").iterdir()), lambda left: not left, 10.0)
    whole = httpx.get(attempt["recording_url"], trust_env=False)
    assert whole.status_code == httpx.codes.OK, whole.text
    caller, agent = loudness(whole.content)
    assert caller > 0.005
    assert agent > 0.005
    mix = httpx.get(attempt["recording_mix_url"], trust_env=False).content
    assert len(loudness(mix)) == 1
    part = httpx.get(attempt["recording_url"], headers={"Range": "bytes=0-3"}, trust_env=False)
    assert (part.status_code, part.content) == (httpx.codes.PARTIAL_CONTENT, b"OggS")
    credentials = platform.home.credentials()
    deleted = httpx.delete(
        f"{credentials['api_url']}/recording/{attempt['id']}",
        headers={"Authorization": f"Bearer {credentials['api_key']}"},
        trust_env=False,
    )
    assert deleted.status_code == httpx.codes.NO_CONTENT
    assert attempt["id"] not in listed(s3)
    gone = httpx.get(attempt["recording_url"], trust_env=False)
    assert gone.status_code == httpx.codes.GONE
    seen = platform.call(placed["id"])["last_call_attempt"]
    assert (seen["recording_state"], seen["recording_url"]) == ("deleted", None)
