"""The gateway's end of the short way, by a told clock: who gets what, and when."""

from __future__ import annotations

import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.short_way.carrier import Broken, Carrier
from process.short_way.messages import Bye, Clear, Hello, Message, Room, Sound
from process.short_way.offers import ATTRIBUTE, Folder
from sip.gateway.attributes import header_attributes
from sip.gateway.bridge import Bridge
from sip.gateway.rooms import Member
from sip.gateway.said import Said
from sip.gateway.short_way import ShortWay
from sip.gateway.ways import with_token
from sip.message import Request
from tests.sip.test_gateway_bridge import CHUNK, FRAME, SILENCE, FakePhone, Owner, frame

pytestmark = pytest.mark.unit


class Draining(FakePhone):
    """A phone that takes 20 ms whenever it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fill = 0

    def write(self, pcm: bytes) -> int:
        self.fill += len(pcm)
        return super().write(pcm)

    def take(self) -> None:
        self.fill = max(0, self.fill - FRAME)


class Call:
    """A bridge whose short way an agent has taken, ticking every 10 ms."""

    def __init__(self, folder: Path) -> None:
        offers = Folder(folder)
        offers.prepare()
        self.now = 50.0
        self.captured: list[bytes] = []
        self.taken: list[str] = []
        self.lost = 0
        self.bridge = Bridge(None, self.captured.append, 8_000, lambda: self.now)  # type: ignore[arg-type]
        offer = offers.offer()
        self.way = ShortWay(offer, self.taken.append, self._on_lost, 8_000)
        self.bridge.offer(self.way)
        self.phone = Draining()
        self.bridge.connect(self.phone, self.now)  # type: ignore[arg-type]
        agent = offers.accept(offer.token, "agent")
        assert agent is not None
        self.agent: Carrier = agent
        self.tick()
        assert self.agent.receive() == Hello(rate=8_000)

    def _on_lost(self) -> None:
        self.lost += 1

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.bridge.tick(self.now)
            self.now += 0.01

    def say(self, pcm: bytes, at: float | None = None) -> None:
        assert self.agent.send(Sound(round((self.now if at is None else at) * 1e6), pcm))

    def told(self) -> list[Message]:
        """What the agent is told, up to the end of it."""
        found: list[Message] = []
        try:
            while (message := self.agent.receive()) is not None:
                found.append(message)
        except Broken:
            pass
        return found


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Call]:
    made = Call(tmp_path)
    yield made
    made.bridge.close()
    made.agent.close()


def test_the_agent_is_played_as_the_phone_takes_it(call: Call) -> None:
    assert call.taken == ["agent"]
    for n in range(15):
        call.say(frame(1_000 + n), call.now + n * 0.02)
    call.tick()
    assert call.phone.fill == 2 * FRAME, "40 ms are out of reach, and no more"
    for _ in range(20):
        call.phone.take()
        call.tick(2)
    assert b"".join(call.phone.written) == b"".join(frame(1_000 + n) for n in range(15))


def test_an_interruption_leaves_what_the_phone_has_and_a_short_fade(call: Call) -> None:
    for n in range(15):
        call.say(frame(8_000), call.now + n * 0.02)
    call.tick()
    written = len(call.phone.written)
    call.agent.send(Clear())
    call.phone.take()
    call.tick(30)
    (last,) = call.phone.written[written:]
    samples = array.array("h", last)
    assert samples[0] == 8_000
    assert list(samples[:40]) == sorted(samples[:40], reverse=True)
    assert not any(samples[40:]), "5 ms"
    assert not call.way.waiting


def test_what_is_early_waits(call: Call) -> None:
    call.say(frame(5), call.now + 0.2)
    call.tick(16)
    assert call.phone.written == []
    call.tick(3)
    assert b"".join(call.phone.written) == frame(5)


def test_the_room_is_left_alone_only_while_nobody_needs_it(call: Call) -> None:
    call.phone.incoming = frame(7)
    call.tick()
    assert b"".join(call.captured)[-FRAME:] == frame(7)
    call.way.room_rests = True
    call.captured.clear()
    call.phone.incoming = frame(8)
    call.tick(20)
    assert call.captured == []
    heard = b"".join(m.pcm for m in call.told() if isinstance(m, Sound))
    assert frame(7) + frame(8) in heard
    call.way.room_rests = False
    call.phone.incoming = frame(9)
    call.tick()
    assert b"".join(call.captured) == frame(9)


def test_the_agent_is_told_when_the_room_is_needed(call: Call) -> None:
    call.way.room_carries(True)
    call.way.room_carries(False)
    assert [m for m in call.told() if isinstance(m, Room)] == [Room(True), Room(False)]


def test_what_others_say_is_mixed_with_what_the_agent_says(call: Call) -> None:
    call.bridge.add_track("TR_1", 7, Owner())
    for n in range(4):
        call.say(frame(100), call.now + n * 0.02)
    call.phone.fill = FRAME
    call.bridge.heard(7, frame(1)[:CHUNK])
    call.tick()
    call.bridge.heard(7, frame(1)[:CHUNK])
    call.tick()
    assert call.phone.written == [frame(1)[:CHUNK], frame(101)[:CHUNK]], "once it has come in"
    call.tick(6)
    assert call.phone.written[2:] == [], "the room goes on: nothing is played beside it"
    call.phone.fill = 0
    call.tick(3)
    assert call.phone.written[2] == frame(100)[:CHUNK], "until it says nothing more"


def test_digits_and_tones_let_what_is_said_meanwhile_pass(call: Call) -> None:
    call.bridge.hold(room=True, phone=False)
    call.say(frame(5))
    call.tick(5)
    call.bridge.hold(room=False, phone=False)
    call.tick(5)
    assert call.phone.written == []
    assert not call.way.waiting


def test_an_end_without_a_word_gives_the_call_to_the_room_at_once(call: Call) -> None:
    call.way.room_rests = True
    call.captured.clear()
    call.say(frame(5))
    call.agent.close()
    call.phone.incoming = frame(7)
    call.tick()
    assert call.lost == 1
    assert b"".join(call.captured) == frame(7)
    assert b"".join(call.phone.written) == frame(5), "what was held is played"
    call.tick(5)
    assert call.lost == 1


def test_a_farewell_ends_it_too(call: Call) -> None:
    call.agent.close(bye=True)
    call.tick()
    assert not call.way.carries


def test_what_the_taker_may_not_say_ends_it(call: Call) -> None:
    call.agent.send(Hello("0" * 32, "again"))
    call.tick()
    assert not call.way.carries
    assert call.lost == 1


def test_an_agent_that_reads_nothing_stops_nobody(call: Call) -> None:
    for _ in range(2_000):
        call.phone.incoming = frame(3)
        call.tick()
    assert call.way.refused_pieces > 0
    assert call.way.carries
    call.way.room_carries(True)
    assert not call.way.carries, "it would not know that the room is needed"


def test_the_end_of_the_call_is_told(call: Call) -> None:
    call.bridge.close()
    assert call.told()[-1] == Bye()


def test_at_most_a_second_is_held() -> None:
    said = Said(8_000)
    for n in range(200):
        said.put(n * 20_000, frame(n))
    assert len(said) == 100
    assert said.dropped == 300
    assert said.read(3_000_000) == frame(150)[:CHUNK]


def test_a_delay_goes_where_nobody_hears_it_go() -> None:
    said = Said(8_000)
    said.put(0, frame(5_000) + frame(1) + frame(5_000))
    late = [said.read(100_000) for _ in range(4)]
    assert late == [frame(5_000)[:CHUNK]] * 4
    assert said.read(100_000) is None
    assert said.dropped == 2


def test_a_queue_that_waits_for_its_time_does_not_fade() -> None:
    said = Said(8_000)
    said.put(500_000, frame(9_000))
    said.clear(0)
    assert len(said) == 0


def test_half_a_piece_is_made_whole() -> None:
    said = Said(8_000)
    said.put(0, frame(9)[:100])
    assert said.read(0) == frame(9)[:100] + SILENCE[100:]


def test_no_header_and_no_request_sets_the_token(tmp_path: Path) -> None:
    message = Request([("X-Way", "stolen"), ("X-Other", "kept")], b"", "INVITE", "sip:a@b")
    mapping = {"X-Way": ATTRIBUTE, "X-Other": "other"}
    assert header_attributes(message, mapping, 0) == {"other": "kept"}
    member = Member("room", "phone", attributes={ATTRIBUTE: "stolen", "other": "kept"})
    assert with_token(member, None).attributes == {"other": "kept"}
    folder = Folder(tmp_path)
    folder.prepare()
    offer = folder.offer()
    assert with_token(member, offer).attributes == {ATTRIBUTE: offer.token, "other": "kept"}
    offer.close()
