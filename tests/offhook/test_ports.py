"""A port that cannot be used is named with the remedy before anything starts."""

from __future__ import annotations

import os
import socket

import pytest

from offhook import ports

pytestmark = pytest.mark.unit


def _free() -> dict[str, int]:
    chosen = {}
    held = []
    for port in ports.PORTS:
        kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
        probe = socket.socket(socket.AF_INET, kind)
        probe.bind(("127.0.0.1", 0))
        held.append(probe)
        chosen[port.setting] = probe.getsockname()[1]
    for probe in held:
        probe.close()
    return chosen


def test_a_busy_port_is_reported_with_its_owner_and_its_setting() -> None:
    chosen = _free()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", chosen["OFFHOOK_SIP_PORT"]))
        with pytest.raises(ports.PortRefused) as refused:
            ports.check_free(chosen, {})
    message = str(refused.value)
    assert f"port {chosen['OFFHOOK_SIP_PORT']}/udp (SIP" in message
    assert "OFFHOOK_SIP_PORT=OTHER" in message
    assert f"pid {os.getpid()}" in message


def test_free_ports_pass() -> None:
    ports.check_free(_free(), {})


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(ports.PortRefused, match=r"192\.0\.2\.200 is not an address"):
        ports.check_free(_free(), {"OFFHOOK_SIP_PORT": "192.0.2.200"})


@pytest.mark.parametrize("value", ["0", "70000", "sip", "-1"])
def test_a_setting_that_is_no_port_is_refused(value: str) -> None:
    with pytest.raises(ports.PortRefused, match="OFFHOOK_API_PORT"):
        ports.resolve({"OFFHOOK_API_PORT": value})


def test_two_settings_cannot_share_a_port() -> None:
    with pytest.raises(ports.PortRefused, match="OFFHOOK_INTERNAL_PORT"):
        ports.resolve({"OFFHOOK_API_PORT": "7901"})
