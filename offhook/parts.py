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
        wave: parts of one wave start together, once every part of the wave before is healthy.
        start_limit_s: how long it may take to become healthy.
    """

    name: str
    command: tuple[str, ...]
    health_url: str | None
    wave: int
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
            wave=0,
            start_limit_s=300.0 if livekit.kind == "docker" else 30.0,
        ),
        Part("gateway", _module("sip.gateway"), f"{home.sip_api_url}/healthz", wave=1),
        Part(
            "carrier",
            _module("sip.carrier"),
            f"http://{home.sip_host}:{port['OFFHOOK_CARRIER_HEALTH_PORT']}/healthz",
            wave=1,
        ),
        Part("control-plane", _module("control_plane"), f"{home.api_url}/health/live", wave=1),
        Part(
            "agent",
            (*_module("agent"), "start"),
            f"{local}:{port['OFFHOOK_WORKER_PORT']}/worker",
            wave=1,
            start_limit_s=120.0,
        ),
        Part("scheduler", _module("scheduler"), None, wave=2),
        Part("aftercall", _module("agent.aftercall"), None, wave=2),
    ]


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)
