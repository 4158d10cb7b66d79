"""The processes of Offhook on one machine, in the order in which they start."""

from __future__ import annotations

import sys

from msgspec import Struct

from offhook.installation import Installation
from offhook.livekit_server import IMAGE, LiveKitServer


class Part(Struct, frozen=True):
    """One process.

    Attributes:
        health_url: answers 200 once the process works; null: it works once the API says so.
        after: the parts that must be healthy before this one is started.
        start_limit_s: how long it may take to become healthy.
    """

    name: str
    command: tuple[str, ...]
    health_url: str | None
    after: tuple[str, ...] = ()
    start_limit_s: float = 60.0


def parts(home: Installation, livekit: LiveKitServer) -> list[Part]:
    """Return the parts, each with the command that starts it."""
    config = str(home.livekit_config)
    command = livekit.command
    if livekit.kind == "docker":
        command = (*command, "-v", f"{config}:{config}:ro", IMAGE)
    port = home.ports
    local = "http://127.0.0.1"
    return [
        Part(
            "livekit",
            (*command, "--config", config),
            f"{local}:{port['OFFHOOK_LIVEKIT_PORT']}/",
            start_limit_s=300.0 if livekit.kind == "docker" else 30.0,
        ),
        # The one that takes longest comes first: two cores are busy with all of them.
        Part(
            "agent",
            (*_module("agent"), "start"),
            f"{local}:{port['OFFHOOK_WORKER_PORT']}/worker",
            after=("livekit",),
            start_limit_s=120.0,
        ),
        Part("control-plane", _module("control_plane"), f"{home.api_url}/health/live"),
        Part("gateway", _module("sip.gateway"), f"{home.sip_api_url}/healthz", ("livekit",)),
        Part(
            "carrier",
            _module("sip.carrier"),
            f"http://{home.sip_host}:{port['OFFHOOK_CARRIER_HEALTH_PORT']}/healthz",
        ),
        Part("scheduler", _module("scheduler"), None, ("control-plane",)),
        Part("aftercall", _module("agent.aftercall"), None, ("control-plane",)),
    ]


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)
