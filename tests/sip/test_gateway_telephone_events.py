"""A phone's keys, read from packets that come late, twice or not at all: each once, in order."""

from __future__ import annotations

import random
import struct

import pytest
from msgspec import Struct

from sip.gateway.dtmf import KEYS, PressedKeys
from sip.gateway.rtp import parse
from sip.gateway.telephone_events import KeyReader

pytestmark = pytest.mark.unit

PTIME = 160  # 20 ms
ENDS = 3
LONGEST = 0xFFFF


class Sent(Struct, frozen=True):
    """A packet, and when it leaves (ms)."""

    at: float
    datagram: bytes


class Sender:
    """A phone that presses keys as RFC 4733 has it."""

    def __init__(self, source: int = 7, *, starts_at: int = 0) -> None:
        self.source = source
        self.sequence = 65_000
        self.clock = starts_at
        self.sent: list[Sent] = []

    def packet(self, timestamp: int, payload: bytes, *, marker: bool = False) -> None:
        first = struct.pack(
            ">BBHII",
            0x80,
            101 | 0x80 * marker,
            self.sequence,
            timestamp % 2**32,
            self.source,
        )
        self.sent.append(Sent(self.clock / 8, first + payload))
        self.sequence = (self.sequence + 1) % 2**16

    def press(self, key: str, packets: int, gap: int, *, marker: bool = True) -> None:
        """Hold a key for so many packets, and wait for `gap` (in time stamps) after it."""
        began, event = self.clock, KEYS.index(key)
        for n in range(packets + ENDS):
            duration = (min(n, packets - 1) + 1) * PTIME
            segments, duration = divmod(duration - 1, LONGEST)
            last = n >= packets
            payload = struct.pack(">BBH", event, 0x80 * last | 10, duration + 1)
            self.packet(began + segments * LONGEST, payload, marker=marker and n == 0)
            if not last:
                self.clock += PTIME
        self.clock += gap


def read(datagrams: list[bytes]) -> str:
    reader = KeyReader()
    packets = [packet for each in datagrams if (packet := parse(each)) is not None]
    return "".join(key for packet in packets if (key := reader.read(packet)) is not None)


@pytest.mark.parametrize("starts_at", [0, 2**32 - 50_000])
@pytest.mark.parametrize("seed", range(4))
def test_ten_thousand_keys(seed: int, starts_at: int) -> None:
    """Of each key a third is lost, whatever part of it; what arrives is doubled and reordered."""
    chance = random.Random(seed)
    sender = Sender(starts_at=starts_at)
    pressed, arrived = "", []
    for _ in range(10_000):
        key = chance.choice((pressed[-1:] or "1") + KEYS)  # equal ones in a row are common
        held = 420 if chance.random() < 0.003 else chance.randint(2, 20)  # 8.4 s, or 40 to 400 ms
        sender.press(key, held, chance.randint(10, 40) * 80, marker=chance.random() < 0.5)
        pressed += key
        sent, sender.sent = sender.sent, []
        kept = [each for each in sent if chance.random() > 1 / 3] or [chance.choice(sent)]
        for each in kept:
            times = 1 + (chance.random() < 0.1)
            arrived += [(each.at + chance.random() * 60, each.datagram) for _ in range(times)]
    assert read([datagram for _, datagram in sorted(arrived)]) == pressed


@pytest.mark.parametrize(
    "kept", [slice(None), slice(0, 1), slice(3, 4), slice(-1, None)], ids=lambda s: str(s)
)
def test_any_packet_of_a_key_will_do(kept: slice) -> None:
    sender = Sender()
    sender.press("5", 6, 800, marker=False)
    assert read([each.datagram for each in sender.sent][kept]) == "5"


def test_two_equal_keys_are_two_though_the_first_ones_end_is_lost() -> None:
    sender = Sender()
    sender.press("4", 5, 800)
    del sender.sent[-ENDS:]
    sender.press("4", 5, 800)
    assert read([each.datagram for each in sender.sent]) == "44"


def test_a_sender_that_counts_on_within_one_key_presses_one() -> None:
    sender = Sender()
    for n in range(12):
        sender.packet(n * PTIME, struct.pack(">BBH", 3, 10, (n + 1) * PTIME))
    assert read([each.datagram for each in sender.sent]) == "3"


def test_sound_flash_and_other_senders_are_told_apart() -> None:
    sender = Sender()
    sender.packet(0, struct.pack(">BBH", 16, 10, PTIME))  # a flash, which is no key
    sender.packet(0, bytes(160))
    sender.packet(0, b"\x01")
    other = Sender(source=8)
    other.press("9", 3, 800)
    sender.press("9", 3, 800)
    assert read([each.datagram for each in (*other.sent, *sender.sent)]) == "99"


def test_baresip_tells_the_keys_until_they_are_read() -> None:
    heard: list[str] = []
    reads_since: float | None = None
    now = 0.0
    keys = PressedKeys(lambda _, digit: heard.append(digit), lambda: reads_since, lambda: now)
    keys.told("1", down=True)
    keys.told("1", down=False)
    keys.told("2", down=True)
    reads_since = 0.0  # while it is held
    keys.read("2")
    keys.told("2", down=False)
    now = 1.0
    keys.told("2", down=True)
    keys.read("2")
    assert heard == ["1", "2", "2"]


@pytest.mark.parametrize("told_late", [False, True])
def test_a_key_that_came_just_before_reading_began_is_pressed_once(*, told_late: bool) -> None:
    heard: list[str] = []
    keys = PressedKeys(lambda _, digit: heard.append(digit), lambda: 0.0, lambda: 0.2)
    keys.told("1", down=True)  # its packets were baresip's alone
    keys.told("1", down=False)
    if told_late:
        keys.read("2")
    keys.told("2", down=True)
    if not told_late:
        keys.read("2")
    keys.told("2", down=False)
    assert heard == ["1", "2"]
