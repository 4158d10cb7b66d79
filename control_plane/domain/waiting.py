"""What an order waits for, in words that its owner understands."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Why an attempt could not be made now; the order is tried again."""

    AGENT_NOT_READY = "agent_not_ready"  # no agent worker took the call in time
    AGENT_GAVE_UP = "agent_gave_up"  # an agent took it and failed before the dial
    PROVIDER_FAILED = "provider_failed"  # a model's or voice's service failed before the dial
    LIVEKIT_UNAVAILABLE = "livekit_unavailable"  # livekit-server does not answer
    SIP_SERVICE_UNAVAILABLE = "sip_service_unavailable"  # the SIP service does not answer
    TRUNK_NOT_APPLIED = "trunk_not_applied"  # the SIP service does not have the trunk yet
    TRUNK_UNREACHABLE = "trunk_unreachable"  # the trunk's host does not answer
    TRUNK_BACKING_OFF = "trunk_backing_off"  # the trunk asked for patience (SIP 429, 5xx)
    SCHEDULER_LOST = "scheduler_lost"  # the scheduler died with the attempt in its hands
    NOBODY_JOINED = "nobody_joined"  # the token of a browser session has run out unused


PARTS: dict[str, Cause] = {
    "livekit": Cause.LIVEKIT_UNAVAILABLE,
    "sip": Cause.SIP_SERVICE_UNAVAILABLE,
    "worker": Cause.AGENT_NOT_READY,
}
"""The parts of `/health/ready`, and what orders wait for while one is missing."""
