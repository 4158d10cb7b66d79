"""The short way's protocol: what is said, who may say it, and what happens to anybody else."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from process.short_way.carrier import Broken, Carrier
from process.short_way.messages import (
    MOST,
    Bye,
    Clear,
    Hello,
    Malformed,
    Message,
    Room,
    Sound,
    decode,
    encode,
)
from process.short_way.offers import Folder, NoFolder, Offer
from process.unix_sockets import short_path

pytestmark = pytest.mark.unit

RATE = 8_000


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / ("deep" * 30))  # past the 108 bytes of a Unix address
    made.prepare()
    return made


@pytest.fixture
def offer(folder: Folder) -> Iterator[Offer]:
    made = folder.offer()
    yield made
    made.close()


def pair() -> tuple[Carrier, Carrier]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Carrier(one), Carrier(other)


@pytest.mark.parametrize(
    "message",
    [
        Hello("0" * 32, "agent-é"),
        Hello(rate=16_000),
        Sound(-5, b"\1\2" * 160),
        Sound(2**62, b"\0\0"),
        Clear(),
        Room(True),
        Room(False),
        Bye(),
    ],
)
def test_messages_arrive_as_they_were_sent(message: Message) -> None:
    one, other = pair()
    assert one.send(message)
    assert other.receive() == message
    assert other.receive() is None
    one.close()
    other.close()


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0",
        b"\5",
        b"\3x",
        b"\5\2",
        b"\1\1",
        b"\1\2\0\0" + b"0" * 32,
        b"\1\1\0\0" + b"0" * 31,
        b"\1\1\x40\x1f" + b"0" * 32,
        b"\1\1\1\0",
        b"\1\1\0\0" + b"\xff" * 32,
        b"\2" + bytes(8),
        b"\2" + bytes(9),
        b"\2" + bytes(MOST),
    ],
)
def test_what_is_no_message_is_refused(packet: bytes) -> None:
    with pytest.raises(Malformed):
        decode(packet)


@given(st.binary(max_size=64))
def test_no_packet_does_more_than_be_refused(packet: bytes) -> None:
    try:
        message = decode(packet)
    except Malformed:
        return
    assert encode(message) == packet


def test_an_end_without_a_word_is_told_from_a_farewell() -> None:
    one, other = pair()
    one.close(bye=True)
    one.close()
    assert other.receive() == Bye()
    with pytest.raises(Broken):
        other.receive()
    with pytest.raises(Broken):
        other.send(Clear())
    other.close()
    assert other.fileno() == -1


def test_who_sends_what_is_no_message_is_broken_with() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.send(b"\7")
    with pytest.raises(Broken):
        Carrier(other).receive()
    one.close()
    other.close()


def test_sending_to_who_does_not_read_never_waits() -> None:
    one, other = pair()
    sent = 0
    while one.send(Sound(0, bytes(320))):
        sent += 1
        assert sent < 10_000
    assert sent > 50, "a process that is a second late loses nothing"
    one.close()
    other.close()


def test_who_shows_the_token_has_the_way(folder: Folder, offer: Offer) -> None:
    assert offer.accepted(0.0, RATE) is None
    mine = folder.accept(offer.token, "agent-1")
    assert mine is not None
    taken = offer.accepted(0.0, RATE)
    assert taken is not None
    assert taken.identity == "agent-1"
    assert mine.receive() == Hello(rate=RATE)
    taken.carrier.send(Sound(1, b"\1\1"))
    assert mine.receive() == Sound(1, b"\1\1")
    mine.close()
    taken.carrier.close()


def test_a_second_taker_is_refused(folder: Folder, offer: Offer) -> None:
    first, second = (folder.accept(offer.token, name) for name in ("first", "second"))
    assert first is not None
    assert second is not None
    taken = offer.accepted(0.0, RATE)
    assert taken is not None
    assert taken.identity == "first"
    with pytest.raises(Broken):
        second.receive()
    assert folder.accept(offer.token, "third") is None
    for each in (first, second, taken.carrier):
        each.close()


def test_a_wrong_token_is_refused_and_the_right_one_comes_through(
    folder: Folder, offer: Offer, tmp_path: Path
) -> None:
    assert folder.accept("0" * 32, "stranger") is None, "its name is not even there"
    (path,) = tmp_path.rglob("*.sock")
    assert offer.token not in path.name
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        with short_path(path) as name:
            stranger.connect(name)
        stranger.send(encode(Hello("0" * 32, "stranger")))
        assert offer.accepted(0.0, RATE) is None
        stranger.settimeout(1.0)
        assert stranger.recv(10) == b""
    mine = folder.accept(offer.token, "agent")
    taken = offer.accepted(0.0, RATE)
    assert mine is not None
    assert taken is not None
    mine.close()
    taken.carrier.close()


def test_who_says_nothing_or_leaves_does_not_keep_others_out(folder: Folder, offer: Offer) -> None:
    paths = [offer._path] * 6
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in paths]
    for path, each in zip(paths, silent, strict=True):
        each.setblocking(False)
        with short_path(path) as name:
            try:
                each.connect(name)
            except BlockingIOError:
                each.close()
        offer.accepted(0.0, RATE)
    silent[0].close()
    assert offer.accepted(2.0, RATE) is None
    assert offer.accepted(2.0, RATE) is None
    offer.accepted(4.0, RATE)
    mine = folder.accept(offer.token, "agent")
    taken = offer.accepted(4.0, RATE)
    assert mine is not None
    assert taken is not None
    for each in silent:
        each.close()
    mine.close()
    taken.carrier.close()


def test_an_offer_that_was_withdrawn_is_gone(folder: Folder, tmp_path: Path) -> None:
    made = folder.offer()
    made.close()
    assert folder.accept(made.token, "agent") is None
    assert list(tmp_path.rglob("*.sock")) == []


def test_the_folder_is_its_users_alone(folder: Folder, tmp_path: Path) -> None:
    (path,) = tmp_path.rglob("short-way")
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    path.chmod(0o750)
    with pytest.raises(NoFolder, match="chmod 700"):
        folder.offer()
    assert folder.accept("0" * 32, "agent") is None
    folder.prepare()
    folder.offer().close()


def test_a_folder_that_is_a_link_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "short-way").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NoFolder, match="not a folder"):
        Folder(tmp_path).offer()


def test_a_start_removes_what_a_dead_process_left(folder: Folder, tmp_path: Path) -> None:
    living, dead = folder.offer(), folder.offer()
    dead._listening.close()
    folder.prepare()
    assert [path.name for path in tmp_path.rglob("*.sock")] == [living._path.name]
    living.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused_even_where_the_folder_lets_it_in() -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        folder = Folder(Path(open_to_all))
        folder.prepare()
        offer = folder.offer()
        for path in (Path(open_to_all), *Path(open_to_all).rglob("*")):
            path.chmod(0o777)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
            os.seteuid(65_534)
            try:
                stranger.connect(str(offer._path))
            finally:
                os.seteuid(0)
            stranger.send(encode(Hello(offer.token, "stranger")))
            assert offer.accepted(0.0, RATE) is None
            stranger.settimeout(1.0)
            with pytest.raises(ConnectionResetError):
                stranger.recv(10)
        offer.close()
