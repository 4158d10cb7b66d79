"""Recordings of a running Offhook, as samples."""

from __future__ import annotations

import io
from typing import Any

import av
import httpx
import numpy as np
import numpy.typing as npt

from tests.system.far_end import RATE
from tests.system.platform import Platform

Samples = npt.NDArray[np.int16]


def channels(
    platform: Platform, attempt: dict[str, Any], *, rate: int = RATE
) -> tuple[Samples, Samples]:
    """Return the recording's left and right channel, downloaded over the API.

    Args:
        rate: Hz; the telephone's unless more is to be heard.
    """
    left, right = _downloaded(platform, attempt["recording_url"], "stereo", rate)
    return left, right


def full_mix(platform: Platform, attempt: dict[str, Any]) -> Samples:
    """Return the one channel of the recording's full mix, likewise."""
    (both,) = _downloaded(platform, attempt["recording_mix_url"], "mono")
    return both


def _downloaded(platform: Platform, url: str, layout: str, rate: int = RATE) -> Samples:
    key = platform.home.credentials()["api_key"]
    answer = httpx.get(url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.headers["content-type"] == "audio/ogg"
    resampler = av.AudioResampler(format="s16p", layout=layout, rate=rate)
    with av.open(io.BytesIO(answer.content)) as container:
        assert container.streams.audio[0].layout.name == layout
        frames = [
            part.to_ndarray()
            for frame in container.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    return np.concatenate(frames, axis=1)


def level_where(samples: Samples, *, until_s: float | None = None) -> float:
    """Return the level (root mean square, of 1) of the first `until_s` seconds, or of all."""
    part = samples[: int(until_s * RATE)] if until_s else samples
    return float(np.sqrt(np.mean((part / 32_768.0) ** 2)))
