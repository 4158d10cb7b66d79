"""livekit.yaml as docs/how-to/public.md has it: sound comes through TURN, which speaks TLS, too."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from livekit import api, rtc

from offhook import installation
from tests import free_ports
from tests.contract.sip.conftest import end, livekit_server, wait_http
from tests.providers.certificate import make_certificate

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PAGE = installation.ROOT / "docs" / "how-to" / "public.md"
RATE = 24_000


class Public:
    """A livekit-server that is reached from elsewhere."""

    def __init__(self, home: installation.Installation, turn: dict[str, Any], ca: Path) -> None:
        self.url = home.livekit_url
        self.turn = turn
        self.ca = ca
        ((self._key, self._secret),) = yaml.safe_load(home.livekit_config.read_text())[
            "keys"
        ].items()

    def token(self, identity: str) -> str:
        """Return a token for the one room."""
        grants = api.VideoGrants(room_join=True, room="public")
        token = api.AccessToken(self._key, self._secret).with_identity(identity)
        return token.with_grants(grants).to_jwt()


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
    with (tmp_path / "livekit.log").open("wb") as log:
        server = subprocess.Popen(
            [str(livekit_server()), "--config", str(home.livekit_config)], stdout=log, stderr=log
        )
        try:
            wait_http(home.livekit_url.replace("ws", "http", 1), server)
            yield Public(home, config["turn"], certificate)
        finally:
            end(server)


async def test_who_reaches_nothing_but_turn_hears(public: Public) -> None:
    relay = rtc.RtcConfiguration(ice_transport_type=rtc.IceTransportType.TRANSPORT_RELAY)
    by_relay = rtc.RoomOptions(rtc_config=relay)
    agent, person, heard = rtc.Room(), rtc.Room(), asyncio.Event()
    person.on("track_subscribed", lambda track, *_: tasks.create_task(listen(track, heard)))
    async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
        await agent.connect(public.url, public.token("agent"))
        await person.connect(public.url, public.token("person"), by_relay)
        source = rtc.AudioSource(RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("agent", source)
        await agent.local_participant.publish_track(track)
        speaking = tasks.create_task(speak(source))
        await heard.wait()
        speaking.cancel()
        await person.disconnect()
        await agent.disconnect()


def test_turn_speaks_tls_for_its_domain(public: Public) -> None:
    context = ssl.create_default_context(cafile=str(public.ca))
    port = public.turn["tls_port"]
    with (
        socket.create_connection((address(), port), 5) as connection,
        context.wrap_socket(connection, server_hostname=public.turn["domain"]) as turn,
    ):
        assert turn.version() is not None


async def listen(track: rtc.Track, heard: asyncio.Event) -> None:
    stream = rtc.AudioStream(track)
    async for event in stream:
        if np.abs(np.frombuffer(event.frame.data, np.int16).astype(int)).max() > 3_000:
            heard.set()
            break
    await stream.aclose()


async def speak(source: rtc.AudioSource) -> None:
    tone = 8_000 * np.sin(2 * np.pi * 500 * np.arange(RATE // 50) / RATE)
    frame = rtc.AudioFrame(tone.astype(np.int16).tobytes(), RATE, 1, RATE // 50)
    while True:
        await source.capture_frame(frame)
