"""A whole carrier on free loopback ports, for the tests that call it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sip.carrier.carrier import Carrier
from sip.carrier.senses import Senses
from sip.carrier.settings import CarrierSettings
from sip.carrier.witness import Witness


@dataclass
class Running:
    """A carrier that is up, and its witness's lines so far."""

    carrier: Carrier
    path: Path

    @property
    def address(self) -> tuple[str, int]:
        return self.carrier.address

    def lines(self, call_id: str, event: str = "") -> list[dict[str, Any]]:
        told = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [
            line for line in told if line["call_id"] == call_id and event in ("", line["event"])
        ]


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def senses() -> Iterator[Senses]:
    loaded = Senses.load()
    yield loaded
    loaded.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    senses: Senses, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    path = tmp_path_factory.mktemp("carrier") / "invites.jsonl"
    settings = CarrierSettings(
        port=0, ua_port=free_udp_port(), rtp_port_min=23_000, rtp_port_max=23_399
    )
    witness = Witness(path)
    carrier = Carrier(settings, witness, senses=senses)
    await carrier.start()
    yield Running(carrier, path)
    await carrier.stop()
    witness.close()
