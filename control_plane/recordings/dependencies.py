"""What handlers are given of this slice: the files of recordings, and who waits for them."""

from __future__ import annotations

from litestar.di import NamedDependency

from control_plane.recordings.retention import OnSettled
from control_plane.recordings.spool import RecordingFiles

GivenRecordings = NamedDependency[RecordingFiles]
GivenOnSettled = NamedDependency[OnSettled]
