"""livekit.yaml as docs/how-to/public.md has it: sound comes through TURN, which speaks TLS, too."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from livekit import rtc

from offhook import installation
from tests import free_ports
from tests.contract.sip.conftest import end, run_livekit
from tests.contract.sip.voice import LOUD, level
from tests.contract.sip.watcher import HEARD_RATE, Watcher
from tests.providers.certificate import make_certificate

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PAGE = installation.ROOT / "docs" / "how-to" / "public.md"
TONE_HZ, LIMIT_S = 500.0, 30.0


class Public:
    """A livekit-server that is reached from elsewhere."""

    def __init__(self, home: installation.Installation, turn: dict[str, Any], ca: Path) -> None:
        self.turn = turn
        self.ca = ca
        self._url = home.livekit_url
        keys = yaml.safe_load(home.livekit_config.read_text())["keys"]
        ((self._key, self._secret),) = keys.items()

    def participant(self) -> Watcher:
        """Return one of the one room, who is to join yet."""
        return Watcher(self._url, self._key, self._secret, "public")


def address() -> str:
    """Return this machine's address on its network: no browser looks for a relay on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Public]:
    ports = free_ports.block(5)
    config = yaml.safe_load((installation.ROOT / "livekit.yaml").read_text())
    rtc_lines, turn_lines = map(
        yaml.safe_load, re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    )
    config["rtc"] |= rtc_lines["rtc"] | {"node_ip": address()}
    certificate, _ = make_certificate(tmp_path, turn_lines["turn"]["domain"])
    here = {"udp_port": ports + 3, "tls_port": ports + 4}
    files = {"cert_file": str(certificate), "key_file": str(certificate.with_suffix(".key"))}
    allowed = {"allow_restricted_peer_cidrs": [f"{address()}/32"]}
    config["turn"] = turn_lines["turn"] | here | files | allowed
    (tmp_path / "livekit.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    names = ("OFFHOOK_LIVEKIT_PORT", "OFFHOOK_LIVEKIT_TCP_PORT", "OFFHOOK_LIVEKIT_UDP_PORT")
    given = {name: str(ports + n) for n, name in enumerate(names)}
    home = installation.Installation({"OFFHOOK_DATA": str(tmp_path / "data"), **given})
    home.prepare()
    server = run_livekit(home.livekit_config, ports)
    try:
        yield Public(home, config["turn"], certificate)
    finally:
        end(server)


async def test_who_reaches_nothing_but_turn_hears(public: Public) -> None:
    relay = rtc.RtcConfiguration(ice_transport_type=rtc.IceTransportType.TRANSPORT_RELAY)
    agent, person = public.participant(), public.participant()
    await agent.join()
    await person.join(rtc.RoomOptions(rtc_config=relay))
    await agent.publish(TONE_HZ)
    await person.until(lambda: level(person.sound, HEARD_RATE, TONE_HZ) > LOUD, LIMIT_S)
    await person.leave()
    await agent.leave()


def test_turn_speaks_tls_for_its_domain(public: Public) -> None:
    context = ssl.create_default_context(cafile=str(public.ca))
    port = public.turn["tls_port"]
    with (
        socket.create_connection((address(), port), 5) as connection,
        context.wrap_socket(connection, server_hostname=public.turn["domain"]) as turn,
    ):
        assert turn.version() is not None
