"""Jobs of the after-call worker: what it is given, what it reports, and when nobody does one."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec import Struct

from control_plane.domain.assistant import AssistantSpec, Language
from control_plane.domain.brief import ProviderAccess
from control_plane.domain.providers import Provider, Voice

LEASE = timedelta(seconds=20)
"""How long a job belongs to a worker after its last sign of life.

Longer than a worker on a busy machine takes to load every plugin, with its first job.
"""
HEARTBEAT_S = 3.0
TAKES = 2
"""A job that stopped this many workers is given to no other."""
NO_WORKER = (
    "no after-call worker is running: `offhook up` starts one, and so does "
    "`python -m agent.aftercall`"
)
LOST = "the after-call worker stopped before it was done: its log says why"


class JobKind(StrEnum):
    """What the after-call worker is to do."""

    TEST = "assistant_test"  # probe every provider of an assistant
    PREVIEW = "voice_preview"  # speak one sentence


WAITS = {JobKind.TEST: timedelta(days=1), JobKind.PREVIEW: timedelta(seconds=30)}
"""How long a job waits for a worker; who asked for a preview holds the line meanwhile."""


class ProviderPart(StrEnum):
    """What a provider does for an assistant."""

    MODEL = "model"
    VOICE = "voice"
    STT = "stt"
    REALTIME = "realtime"


class JobStatus(StrEnum):
    """Whether there is more to come."""

    QUEUED = "queued"  # for a worker, the first or, when that one stopped, another
    RUNNING = "running"
    DONE = "done"


class ProbeResult(Struct, frozen=True, kw_only=True):
    """How one provider did.

    Attributes:
        provider: its name as `offhook provider set` has it, else `custom` or `offline`.
        fallback: it steps in when the one before it fails.
        took_ms: until its answer was complete.
        said: what a model answered or a voice spoke; `heard`: what a recogniser understood.
        error: what went wrong and what to do; null when `ok`.
    """

    part: ProviderPart
    provider: str
    ok: bool
    took_ms: int
    fallback: bool = False
    said: str | None = None
    heard: str | None = None
    error: str | None = None


class Preview(Struct, frozen=True, kw_only=True):
    """A sentence to speak; no voice is the embedded one."""

    text: str
    voice: Voice | None
    language: Language


class Job(Struct, frozen=True, kw_only=True):
    """A job and all that it needs, secrets in clear.

    Attributes:
        token: bearer for the reports of this job, by this worker.
        text: what a preview speaks.
        providers: keys for the cloud providers that `assistant` names, and no others.
    """

    id: str
    kind: JobKind
    token: str
    assistant: AssistantSpec
    text: str | None = None
    providers: dict[Provider, ProviderAccess] = msgspec.field(default_factory=dict)


class TakenJob(Struct, frozen=True):
    """The answer to a worker that asks for a job; null when there is none."""

    job: Job | None


class JobReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All results so far; also the sign of life that keeps the job.

    Attributes:
        sound: a WAV file, of a preview.
    """

    results: tuple[ProbeResult, ...]
    done: bool = False
    sound: bytes | None = None


def verdict(
    kind: JobKind,
    *,
    created_at: datetime,
    takes: int,
    lease_until: datetime | None,
    done_at: datetime | None,
    now: datetime,
) -> tuple[JobStatus, str | None]:
    """Return a job's status, and for one that ended without a worker's word the reason.

    Args:
        takes: how many workers have taken it.
    """
    if done_at is not None:
        return JobStatus.DONE, None
    if lease_until is not None and now < lease_until:
        return JobStatus.RUNNING, None
    if takes < TAKES and now - created_at < WAITS[kind]:
        return JobStatus.QUEUED, None
    return JobStatus.DONE, LOST if takes else NO_WORKER
