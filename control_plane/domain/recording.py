"""A recording: where it is, and which files it has."""

from __future__ import annotations

from enum import StrEnum


class RecordingState(StrEnum):
    """Where an attempt's recording is."""

    SPOOLING = "spooling"  # the agent may still be sending it
    STORED = "stored"  # whole, in the store
    ABSENT = "absent"  # there is none and none will come
    DELETED = "deleted"  # there was one


class RecordingKind(StrEnum):
    """Which file of an attempt's recording."""

    STEREO = "stereo"  # the person left, the agent right
    MIX = "mix"  # everything that both heard, on one channel
