"""Every port Offhook listens on, each a setting; a busy one is named before anything starts."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress

import psutil
from msgspec import Struct


class Port(Struct, frozen=True):
    """One listening port: its setting, default, protocol and purpose."""

    setting: str
    default: int
    protocol: str  # tcp or udp
    purpose: str


PORTS = (
    Port("OFFHOOK_API_PORT", 7900, "tcp", "REST API and OpenAPI"),
    Port("OFFHOOK_INTERNAL_PORT", 7901, "tcp", "internal API for agents; loopback only"),
    Port("OFFHOOK_LIVEKIT_PORT", 7880, "tcp", "LiveKit signalling and API"),
    Port("OFFHOOK_LIVEKIT_TCP_PORT", 7881, "tcp", "LiveKit media over TCP"),
    Port("OFFHOOK_LIVEKIT_UDP_PORT", 7882, "udp", "LiveKit media"),
    Port("OFFHOOK_SIP_API_PORT", 7890, "tcp", "SIP gateway's LiveKit SIP API"),
    Port("OFFHOOK_WORKER_PORT", 7891, "tcp", "agent worker's health"),
    Port("OFFHOOK_SIP_PORT", 5060, "udp", "SIP: softphones and trunks call in here"),
    Port("OFFHOOK_SIP_UA_PORT", 5070, "udp", "SIP user agents behind it"),
    Port("OFFHOOK_CARRIER_PORT", 5090, "udp", "carrier simulator's SIP"),
    Port("OFFHOOK_CARRIER_UA_PORT", 5091, "udp", "carrier simulator's phones behind it"),
    Port("OFFHOOK_CARRIER_HEALTH_PORT", 5099, "tcp", "carrier simulator's health"),
)
RANGES = (
    ("OFFHOOK_RTP_PORT_MIN", "OFFHOOK_RTP_PORT_MAX", 20000, 20399, "RTP of the SIP gateway"),
    (
        "OFFHOOK_CARRIER_RTP_PORT_MIN",
        "OFFHOOK_CARRIER_RTP_PORT_MAX",
        21000,
        21399,
        "RTP of the carrier simulator",
    ),
)


class PortRefused(Exception):
    """A port setting cannot be used; the message says which and what to do."""


def resolve(environ: Mapping[str, str]) -> dict[str, int]:
    """Return every port by its setting's name.

    Raises:
        PortRefused: a value is no port number, or two settings have the same one.
    """
    defaults = {port.setting: port.default for port in PORTS}
    for low, high, first, last, _ in RANGES:
        defaults |= {low: first, high: last}
    ports = {name: _number(name, environ.get(name), value) for name, value in defaults.items()}
    seen: dict[tuple[str, int], str] = {}
    for port in PORTS:
        key = (port.protocol, ports[port.setting])
        if key in seen:
            raise PortRefused(f"{port.setting} and {seen[key]} are both {key[1]}; change one")
        seen[key] = port.setting
    return ports


def check_free(ports: Mapping[str, int], hosts: Mapping[str, str]) -> None:
    """Bind each port for a moment.

    Args:
        hosts: the address of each setting that does not bind 127.0.0.1.

    Raises:
        PortRefused: naming every busy port, who has it, and the remedy.
    """
    busy = []
    for port in PORTS:
        host, number = hosts.get(port.setting, "127.0.0.1"), ports[port.setting]
        problem = _try(host, number, port.protocol)
        if problem:
            busy.append(
                f"port {number}/{port.protocol} ({port.purpose}) {problem}"
                f"{_owner(number, port.protocol)}; "
                f"stop that program or start with {port.setting}=OTHER"
            )
    if busy:
        raise PortRefused("\n".join(busy))


def table() -> Iterable[tuple[str, str, str]]:
    """Yield (setting, default, purpose) of every port, as README lists them."""
    for port in PORTS:
        yield port.setting, f"{port.default}/{port.protocol}", port.purpose
    for low, high, first, last, purpose in RANGES:
        yield f"{low}, {high}", f"{first}–{last}/udp", purpose


def _number(name: str, given: str | None, default: int) -> int:
    if not given:
        return default
    if not given.isdigit() or not 0 < int(given) < 65_536:
        raise PortRefused(f"{name} is {given!r}; it must be a port number from 1 to 65535")
    return int(given)


def _try(host: str, number: int, protocol: str) -> str | None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if protocol == "tcp":
            # As servers do: a connection of the last run that lingers is not a program.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except PermissionError:
            return "needs more rights than you have"
        except OSError as exc:
            if exc.errno == 99:  # EADDRNOTAVAIL
                return f"cannot be bound: {host} is not an address of this machine"
            return "is in use"
    return None


def _owner(number: int, protocol: str) -> str:
    with suppress(psutil.Error):
        for connection in psutil.net_connections(kind=protocol):
            if connection.laddr and connection.laddr.port == number and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
