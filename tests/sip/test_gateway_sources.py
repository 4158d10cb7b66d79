"""Whose RTP a call takes: the judge by a told clock, the filter and the gate on real sockets."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from process.logs import get_logger
from process.settings import SettingsError, load
from sip.gateway.endpoint import Endpoint
from sip.gateway.rtp_socket import RtpSocket, SocketGone, program
from sip.gateway.sdp import Place, audio_place
from sip.gateway.settings import Settings
from sip.gateway.sources import FarEnds, Gate, Judge, Mode
from sip.gateway.trace import SipTrace

pytestmark = pytest.mark.unit
KEYS = {"LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s"}


class Line:
    """A line as a judge sees it: looked at when the judge asks, a packet every 20 ms."""

    def __init__(self, *, opened: bool = False, start: float = 100.0):
        self.now = self._look_at = start
        self.judge = Judge(start, opened=opened)
        self.sound_at: float | None = None
        self.refused = 0
        self.silent = False  # whether the packets carry no sound
        self.turns: list[tuple[float, Mode]] = []

    def run(
        self,
        seconds: float,
        *,
        right: bool = False,
        wrong: bool = False,
        third: bool = False,
        gap: float = 0.02,
    ) -> Line:
        """Let packets come for a while: from the right place, a wrong port, another host."""
        end, packet_at = self.now + seconds, self.now
        while self.now < end:
            if self.now >= packet_at:
                opened, moved = (self.judge.mode is each for each in (Mode.OPEN, Mode.MOVED))
                taken = (right and not opened, wrong and (opened or moved), third and opened)
                self.refused += right + wrong + third - sum(taken)
                if any(taken) and not self.silent:
                    self.sound_at = self.now
                packet_at += gap
            if self.now >= self._look_at:
                before = self.judge.mode
                if self.judge.judge(self.now, self.sound_at, self.refused) is not before:
                    self.turns.append((self.now, self.judge.mode))
                self._look_at = self.now + self.judge.wait
            self.now += 0.01
        return self

    @property
    def modes(self) -> list[Mode]:
        return [mode for _, mode in self.turns]


def test_sound_from_the_right_place_locks() -> None:
    line = Line().run(1.0, right=True)
    assert line.modes == [Mode.LOCKED]
    assert line.judge.wait == 0.25


def test_sound_from_elsewhere_opens_within_a_quarter_of_a_second() -> None:
    line = Line().run(1.0, wrong=True)
    assert line.modes == [Mode.OPEN]
    assert line.turns[0][0] - 100.0 <= 0.26


@pytest.mark.parametrize("late", [0.0, 0.1, 1.0, 30.0])
def test_silence_alone_opens_nothing(late: float) -> None:
    line = Line().run(late)
    assert line.modes == []
    assert line.run(0.5, right=True).modes == [Mode.LOCKED]


def test_both_from_the_start_lock() -> None:
    assert Line().run(5.0, right=True, wrong=True).modes == [Mode.LOCKED]


def test_a_few_refused_packets_open_nothing() -> None:
    line = Line().run(2.0, wrong=True, gap=0.2)
    assert line.modes == []


def test_what_the_jitter_buffer_still_held_proves_nothing() -> None:
    line = Line()
    line.sound_at = 100.1
    assert line.run(0.2).modes == []
    assert line.run(0.5, wrong=True).modes == [Mode.OPEN]


def test_a_stranger_before_the_phone_is_put_out_when_it_speaks() -> None:
    line = Line().run(1.0, wrong=True)
    spoke = line.now
    line.run(2.0, right=True, wrong=True)
    assert line.modes == [Mode.OPEN, Mode.STRICT, Mode.LOCKED]
    assert line.turns[1][0] - spoke < 0.16


def test_a_locked_line_stays_so_in_silence() -> None:
    line = Line().run(1.0, right=True).run(60.0)
    assert line.modes == [Mode.LOCKED]
    assert line.run(1.0, right=True, wrong=True).modes == [Mode.LOCKED]


@pytest.mark.parametrize("third", [False, True])
def test_another_port_of_the_host_is_let_in_after_two_seconds(third: bool) -> None:
    line = Line().run(1.0, right=True)
    moved = line.now
    line.run(30.0, wrong=True, third=third)
    assert line.modes == [Mode.LOCKED, Mode.MOVED]
    assert 2.0 <= line.turns[-1][0] - moved < 2.3


def test_another_host_is_never_let_in_once_the_phone_was_heard() -> None:
    line = Line().run(1.0, right=True).run(30.0, third=True)
    assert Mode.OPEN not in line.modes
    back = line.now
    line.run(0.1, right=True, third=True)
    assert line.sound_at is not None
    assert line.sound_at > back, "and the phone is heard as soon as it is back"


def test_a_port_that_gives_no_sound_is_not_let_in_for_long() -> None:
    line = Line().run(1.0, right=True)
    line.silent = True  # as when two of them take turns
    line.run(4.5, right=True, wrong=True)
    assert line.modes == [Mode.LOCKED, Mode.MOVED, Mode.LOCKED]


def test_an_open_line_stays_open_while_only_others_send() -> None:
    assert Line(opened=True).run(30.0, wrong=True).run(30.0).run(5.0, wrong=True).modes == []


@pytest.mark.parametrize("wrong", [False, True])
def test_an_open_line_turns_to_the_right_place_as_soon_as_it_sends(wrong: bool) -> None:
    line = Line(opened=True).run(1.0, right=True, wrong=wrong)
    assert line.modes == [Mode.STRICT, Mode.LOCKED]
    assert line.turns[0][0] - 100.0 < 0.16


def test_keep_alives_from_the_right_place_are_no_stream() -> None:
    line = Line(opened=True)
    line.silent = True
    assert line.run(30.0, right=True, gap=0.2).modes == []


def test_trials_of_an_open_line_grow_rare() -> None:
    """The right place sends what gives no sound, the sound comes from elsewhere."""
    line = Line(opened=True)
    line.silent = True
    line.run(120.0, right=True, wrong=True)
    trials = [at for at, mode in line.turns if mode is Mode.STRICT]
    pauses = [round(b - a) for a, b in itertools.pairwise(trials)]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 16
    assert len(trials) < 13


def test_far_ends_are_bounded() -> None:
    kept = FarEnds(2)
    for host in ("a", "b", "c"):
        kept.add(host)
    assert [host in kept for host in ("a", "b", "c")] == [False, True, True]
    kept.discard("c")
    kept.discard("c")
    assert "c" not in kept


# -- sockets ----------------------------------------------------------------------


@pytest.fixture
def ports() -> Iterator[Callable[[], socket.socket]]:
    """UDP sockets on loopback."""
    opened: list[socket.socket] = []

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()


Ports = Callable[[], socket.socket]


def place(port: socket.socket) -> Place:
    return Place(*port.getsockname())


def waiting(port: socket.socket) -> list[bytes]:
    """What has come; loopback delivers before sendto returns."""
    found: list[bytes] = []
    while True:
        try:
            found.append(port.recv(100))
        except BlockingIOError:
            return found


@pytest.mark.parametrize("wanted", [True, False])
def test_the_program_in_bytes(wanted: bool) -> None:
    steps = struct.iter_unpack("=HBBI", program(Place("192.0.2.7", 0x1234), wanted=wanted))
    assert list(steps) == [
        (0x20, 0, 0, 0xFFF0000C),  # the source address
        (0x15, 0, 3, 0xC0000207),
        (0x28, 0, 0, 0),  # the source port
        (0x15, 0, 1, 0x1234),
        (0x06, 0, 0, 0x3FFFF if wanted else 0),
        (0x06, 0, 0, 0 if wanted else 0x3FFFF),
    ]


def test_only_the_chosen_source_comes_in_or_all_but_it(ports: Ports) -> None:
    ours, phone, stranger = ports(), ports(), ports()
    found = RtpSocket.at(place(ours))

    def came() -> list[bytes]:
        phone.sendto(b"phone", ours.getsockname())
        stranger.sendto(b"stranger", ours.getsockname())
        return waiting(ours)

    assert (came(), found.refused()) == ([b"phone", b"stranger"], 0)
    found.only(place(phone))
    assert (came(), found.refused()) == ([b"phone"], 1)
    assert (came(), found.refused()) == ([b"phone"], 2)
    found.all_but(place(phone))
    assert (came(), found.refused()) == ([b"stranger"], 3)


def test_every_port_of_a_host_comes_in_and_no_other_host(ports: Ports) -> None:
    ours, phone, other_port = ports(), ports(), ports()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as third:
        third.bind(("127.0.0.9", 0))
        RtpSocket.at(place(ours)).from_host(place(phone))
        for sender, text in ((phone, b"phone"), (other_port, b"moved"), (third, b"third")):
            sender.sendto(text, ours.getsockname())
        assert waiting(ours) == [b"phone", b"moved"]


def test_another_address_with_the_right_port_is_refused(ports: Ports) -> None:
    ours, phone = ports(), ports()
    RtpSocket.at(place(ours)).only(Place("127.0.0.2", place(phone).port))
    phone.sendto(b"no", ours.getsockname())
    assert waiting(ours) == []


def test_a_socket_bound_to_every_address_is_found(ports: Ports) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("0.0.0.0", 0))
        found = RtpSocket.at(Place("127.0.0.1", ours.getsockname()[1]))
        assert found.refused() == 0


def test_the_port_is_free_as_soon_as_its_owner_closes_it(ports: Ports) -> None:
    ours = ports()
    where = place(ours)
    found = RtpSocket.at(where)
    found.only(Place("127.0.0.1", 9))
    found.refused()
    ours.close()
    with pytest.raises(SocketGone):
        found.refused()
    with pytest.raises(SocketGone):
        RtpSocket.at(where)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as next_one:
        next_one.bind((where.host, where.port))
        with pytest.raises(SocketGone):  # its descriptor has most likely got the same number
            found.all_but(Place("127.0.0.1", 9))


# -- SDP and the gate ---------------------------------------------------------------


SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n{c}t=0 0\r\n{m}"


@pytest.mark.parametrize(
    ("c", "m", "wanted"),
    [
        ("c=IN IP4 192.0.2.7\r\n", "m=audio 4000 RTP/AVP 0\r\n", Place("192.0.2.7", 4000)),
        ("", "m=audio 4000/2 RTP/AVP 0\r\nc=IN IP4 192.0.2.8/127\r\n", Place("192.0.2.8", 4000)),
        (
            "c=IN IP4 192.0.2.7\r\n",
            "m=audio 4000 RTP/AVP 0\r\nm=video 9 RTP/AVP 96\r\nc=IN IP4 192.0.2.9\r\n",
            Place("192.0.2.7", 4000),
        ),
        (
            "c=IN IP4 192.0.2.7\r\n",
            "m=audio 4000 RTP/AVP 0\r\n--edge\r\nc=IN IP4 1.2.3.4\r\n",
            Place("192.0.2.7", 4000),
        ),
        ("c=IN IP4 0.0.0.0\r\n", "m=audio 4000 RTP/AVP 0\r\n", None),
        ("c=IN IP6 2001:db8::1\r\n", "m=audio 4000 RTP/AVP 0\r\n", None),
        ("c=IN IP4 phone.example\r\n", "m=audio 4000 RTP/AVP 0\r\n", None),
        ("c=IN IP4 192.0.2.7\r\n", "m=audio 0 RTP/AVP 0\r\n", None),
        ("c=IN IP4 192.0.2.7\r\n", "m=audio 70000 RTP/AVP 0\r\n", None),
        ("c=IN IP4 192.0.2.7\r\n", "m=audio \r\n", None),
        ("c=\r\n", "m=image 4000 udptl t38\r\n", None),
        ("", "", None),
    ],
)
def test_where_the_audio_is_wanted(c: str, m: str, wanted: Place | None) -> None:
    assert audio_place(SDP.format(c=c, m=m)) == wanted


def test_what_is_no_sdp_names_no_place() -> None:
    assert audio_place("SIP/2.0 180 Ringing") is None


HEAD = (
    "Via: SIP/2.0/UDP 127.0.0.1:5;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n"
    "To: <sip:b@x>;tag=2\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\nContent-Length: 999\r\n"
)


class Messages:
    """A trace fed with messages, as baresip's would be."""

    def __init__(self) -> None:
        self.trace = SipTrace(asyncio.get_running_loop())

    async def pass_(self, direction: str, what: str, at: Place | None, cseq: int = 1) -> None:
        """A message such as "INVITE" or "200 INVITE", with SDP if it names a place."""
        status, _, method = what.rpartition(" ")
        start = f"SIP/2.0 {status} Any" if status else f"{method} sip:b@x SIP/2.0"
        body = ""
        if at is not None:
            c, m = f"c=IN IP4 {at.host}\r\n", f"m=audio {at.port} RTP/AVP 0\r\n"
            body = SDP.format(c=c, m=m)
        head = HEAD.format(call="one", cseq=cseq, method=method)
        text = f"{direction} UDP a -> b\n{start}\r\n{head}\r\n{body}"
        self.trace.emit(logging.makeLogRecord({"msg": text.replace("%", "%%")}))
        await asyncio.sleep(0)  # the trace hands over by the loop

    def places(self) -> tuple[Place | None, Place | None]:
        ends = self.trace.ends("one")
        return (None, None) if ends is None else (ends.ours, ends.theirs)


A, B, C, D = (Place("192.0.2.1", port) for port in (1, 2, 3, 4))


async def test_ends_of_a_call_out_and_its_moves() -> None:
    call = Messages()
    await call.pass_("TX", "INVITE", A)
    assert call.places() == (A, None)
    await call.pass_("RX", "180 INVITE", None)
    await call.pass_("RX", "183 INVITE", B)
    assert call.places() == (A, B)
    await call.pass_("RX", "200 INVITE", C)
    assert call.places() == (A, C)
    await call.pass_("RX", "INVITE", D, cseq=100)
    assert call.places() == (A, C)  # not accepted yet
    await call.pass_("TX", "200 INVITE", A, cseq=100)
    assert call.places() == (A, D)
    await call.pass_("RX", "INVITE", None, cseq=101)  # an offer is asked for
    await call.pass_("TX", "200 INVITE", A, cseq=101)
    await call.pass_("RX", "ACK", B, cseq=101)
    assert call.places() == (A, B)
    call.trace.delete("one")
    assert call.places() == (None, None)


async def test_an_offer_that_is_refused_moves_nothing() -> None:
    call = Messages()
    await call.pass_("RX", "INVITE", B)
    await call.pass_("TX", "200 INVITE", A)
    assert call.places() == (A, B)
    await call.pass_("RX", "INVITE", C, cseq=2)
    await call.pass_("TX", "488 INVITE", A, cseq=2)
    assert call.places() == (A, B)
    await call.pass_("RX", "INVITE", Place("0.0.0.0", 3), cseq=3)
    await call.pass_("TX", "200 INVITE", A, cseq=3)
    assert call.places() == (A, B)


class GatedCall:
    """A gate before a real socket, with a phone and a stranger."""

    def __init__(self, ports: Ports, far_ends: FarEnds):
        self.ours, self.phone, self.stranger = ports(), ports(), ports()
        self.messages = Messages()
        self.sound_at: float | None = None
        self.gate = Gate(
            self.messages.trace, "one", lambda: self.sound_at, far_ends, get_logger("test")
        )

    async def agree(self, theirs: Place, cseq: int = 1) -> None:
        await self.messages.pass_("RX", "INVITE", theirs, cseq)
        await self.messages.pass_("TX", "200 INVITE", place(self.ours), cseq)

    def take(self) -> tuple[bool, bool]:
        """Whether a packet of the phone, and one of the stranger, comes in."""
        for sender, text in ((self.phone, b"p"), (self.stranger, b"s")):
            sender.sendto(text, self.ours.getsockname())
        came = waiting(self.ours)
        return b"p" in came, b"s" in came

    def last_words(self) -> list[int]:
        """The numbers of refused packets that the log tells when the gate closes."""
        with capture_logs() as lines:
            self.gate.close()
        return [line["packets"] for line in lines if line["log_level"] == "warning"]

    def look(self, start: float, seconds: float, *, sound: bool) -> None:
        """Both send for a while, and the gate looks every 20 ms."""
        for step in range(round(seconds * 50) + 1):
            now = start + step / 50
            self.take()
            self.sound_at = now if sound else self.sound_at
            self.gate.check(now)


async def test_the_gate_locks_counts_and_moves(ports: Ports) -> None:
    call = GatedCall(ports, FarEnds())
    assert call.gate.check(9.0) is None  # no SDP yet
    assert call.take() == (True, True)
    await call.agree(place(call.phone))
    call.look(10.0, 1.0, sound=True)
    assert call.gate.mode is Mode.LOCKED
    assert call.take() == (True, False)
    before = call.gate.refused
    call.look(12.0, 0.5, sound=True)
    assert call.gate.refused >= before + 26
    assert call.last_words() == [call.gate.refused]
    await call.agree(place(call.stranger), cseq=2)
    call.look(14.0, 0.02, sound=True)
    assert call.gate.mode is Mode.STRICT
    assert call.take() == (False, True)
    await call.agree(place(call.stranger), cseq=3)  # nothing new
    call.look(14.04, 0.5, sound=True)
    assert call.gate.mode is Mode.LOCKED


async def test_a_far_end_whose_sound_comes_from_elsewhere_is_kept_in_mind(ports: Ports) -> None:
    far_ends = FarEnds()
    call = GatedCall(ports, far_ends)
    await call.agree(Place("127.0.0.9", 4000))
    call.look(10.0, 0.5, sound=False)
    assert call.gate.mode is Mode.OPEN
    assert call.take() == (True, True)
    assert "127.0.0.9" in far_ends
    assert call.last_words() == []  # they were the phone's own
    again = GatedCall(ports, far_ends)
    await again.agree(Place("127.0.0.9", 4002))
    again.gate.check(20.0)
    assert again.take() == (True, True)
    await again.agree(place(again.phone), cseq=2)
    again.gate.check(21.0)
    assert again.take() == (True, False)


async def test_the_right_place_is_let_in_even_where_others_were(ports: Ports) -> None:
    far_ends = FarEnds()
    far_ends.add("127.0.0.1")
    call = GatedCall(ports, far_ends)
    await call.agree(place(call.phone))
    call.look(10.0, 0.04, sound=True)
    assert call.take() == (False, True)
    call.look(10.06, 0.5, sound=True)
    assert call.gate.mode is Mode.LOCKED
    assert call.take() == (True, False)
    assert "127.0.0.1" not in far_ends


async def test_a_gate_whose_socket_is_gone_ends_looking(ports: Ports) -> None:
    call = GatedCall(ports, FarEnds())
    await call.agree(place(call.phone))
    assert call.gate.check(10.0) is not None
    call.ours.close()
    assert call.gate.check(11.0) is None
    call.gate.close()


async def test_messages_wake_a_started_gate(ports: Ports) -> None:
    call = GatedCall(ports, FarEnds())
    call.gate.start()
    assert call.take() == (True, True)
    await call.agree(place(call.phone))
    assert call.take() == (True, False)
    call.gate.close()


async def test_the_setting() -> None:
    log = get_logger("test")
    for value, gated in (("strict", True), ("any", False), ("", True)):
        settings = load(Settings, {**KEYS, "OFFHOOK_RTP_SOURCE": value})
        gate = Endpoint(settings, lambda call: None).guard("one", lambda: None, log)
        assert (gate is not None) == gated
        if gate is not None:
            gate.close()
    with pytest.raises(SettingsError, match=r"OFFHOOK_RTP_SOURCE.*strict\|any"):
        load(Settings, {**KEYS, "OFFHOOK_RTP_SOURCE": "loose"})
