"""A whole carrier on free loopback ports, for the tests that call it."""

from __future__ import annotations

import json
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
from tests.free_ports import area, block


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
    media = area()
    settings = CarrierSettings(
        port=0, ua_port=block(2), rtp_port_min=media, rtp_port_max=media + 399
    )
    witness = Witness(path)
    carrier = Carrier(settings, witness, senses=senses)
    await carrier.start()
    yield Running(carrier, path)
    await carrier.stop()
    witness.close()
