"""The second socket at a call's RTP port, on real sockets: who gets what, and who is kept out."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from sip.gateway.ear import Ear
from sip.gateway.rtp_port import RtpPort
from sip.gateway.rtp_socket import SocketGone
from sip.gateway.sdp import Place

pytestmark = pytest.mark.unit
HOST = "127.0.0.1"


def packet(sequence: int) -> bytes:
    return b"\x80\x00" + sequence.to_bytes(2, "big") + bytes(8) + b"sound"


class Line:
    """baresip's socket, bound as it binds them, a phone and a stranger."""

    def __init__(self) -> None:
        self.baresip, self.phone, self.stranger = (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)
        )
        self.baresip.bind(("0.0.0.0", 0))
        self.phone.bind((HOST, 0))
        self.stranger.bind((HOST, 0))
        self.place = Place(HOST, self.baresip.getsockname()[1])
        for each in (self.baresip, self.phone, self.stranger):
            each.settimeout(1.0)

    def send(self, sequence: int, sender: socket.socket | None = None, host: str = HOST) -> None:
        (sender or self.phone).sendto(packet(sequence), (host, self.place.port))

    def close(self) -> None:
        for each in (self.baresip, self.phone, self.stranger):
            each.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


@pytest.fixture
def port(line: Line) -> Iterator[RtpPort]:
    made = RtpPort()
    made.wants_ear = True
    yield made
    made.close()


def heard(ear: Ear | None) -> list[int]:
    assert ear is not None
    return [each.sequence for each in ear.packets()]


def test_each_packet_is_heard_and_passed_on(line: Line, port: RtpPort) -> None:
    found = port.at(line.place)
    assert found is port.ear
    for sequence in (5, 7, 6):
        line.send(sequence)
    assert heard(port.ear) == [5, 7, 6]
    assert [line.baresip.recv(99) for _ in range(3)] == [packet(5), packet(7), packet(6)]
    line.baresip.sendto(b"out", line.phone.getsockname())
    assert line.phone.recvfrom(99) == (b"out", (HOST, line.place.port)), "from the same port"


def test_what_is_no_rtp_is_passed_on_and_not_heard(line: Line, port: RtpPort) -> None:
    port.at(line.place)
    line.phone.sendto(b"STUN or so", (HOST, line.place.port))
    assert heard(port.ear) == []
    assert line.baresip.recv(99) == b"STUN or so"


def test_strangers_are_refused_before_it_and_behind_it(line: Line, port: RtpPort) -> None:
    port.at(line.place).only(Place(*line.phone.getsockname()))
    line.send(1, line.stranger)
    line.send(2)
    line.send(3, line.stranger, "127.0.0.2")  # past the ear, to baresip itself
    assert heard(port.ear) == [2]
    assert port.at(line.place).refused() == 1
    assert line.baresip.recv(99) == packet(2)
    line.baresip.settimeout(0.05)
    with pytest.raises(TimeoutError):
        line.baresip.recv(99)


def test_nobody_else_can_do_the_same(line: Line, port: RtpPort) -> None:
    port.at(line.place)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind((HOST, line.place.port))


def test_a_new_offer_at_the_same_port_keeps_it_and_one_at_another_moves_it(
    line: Line, port: RtpPort
) -> None:
    port.at(line.place)
    first = port.ear
    assert port.at(line.place) is first
    other = Line()
    port.at(other.place)
    assert port.ear is not first
    other.send(9)
    assert heard(port.ear) == [9]
    assert heard(first) == [], "closed"
    other.close()


def test_without_it_baresip_has_the_port_as_ever(line: Line, port: RtpPort) -> None:
    port.wants_ear = False
    assert port.at(line.place).refused() == 0
    line.send(4)
    assert line.baresip.recv(99) == packet(4)
    with pytest.raises(SocketGone):
        port.at(Place(HOST, 1))


def test_a_port_at_one_address_alone_has_no_room_for_it(port: RtpPort) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as narrow:
        narrow.bind((HOST, 0))
        place = Place(HOST, narrow.getsockname()[1])
        assert port.at(place).refused() == 0
        assert port.ear is None
        narrow.sendto(packet(1), narrow.getsockname())
        assert narrow.recv(99) == packet(1)
