"""What strangers send costs no more than its length: eight times the input, not 64 times the time.

Measured as this thread's own processor time, the best of several runs, so that a busy machine
changes nothing: a quadratic reader is told from a linear one by a factor of eight.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
from google.protobuf.json_format import ParseError
from livekit.protocol import sip as proto

from sip.carrier.rtp import NoCommonCodec, offered_audio
from sip.digest import parse_credentials
from sip.gateway import validate
from sip.gateway.dtmf import playable
from sip.gateway.errors import TwirpError
from sip.gateway.sdp import asks_for_no_sound, audio_place, formats, preferring
from sip.limits import MAX_DATAGRAM
from sip.message import MalformedMessage, parse, parse_address, split_list
from sip.via import parse_via
from tests.sip.wire import PHONE, invite

pytestmark = pytest.mark.unit

_SHORT, _TIMES = 4_000, 8
_MOST = 2.5 * _TIMES  # linear is 8, quadratic 64
_TELLING = (MalformedMessage, NoCommonCodec, TwirpError, ParseError)

Read = Callable[[str], object]

TEXTS: dict[str, tuple[Read, str, str, str]] = {
    # name: the reader, how the text begins, what is repeated, how it ends
    "Via, spaces": (parse_via, "SIP/2.0/UDP h", " ", "x"),
    "Via, spaces around colons": (parse_via, "SIP/2.0/UDP h :", " : ", ""),
    "Via, spaces around slashes": (parse_via, "SIP / 2.0 / UDP", " / ", ""),
    "Via, a long host": (parse_via, "SIP/2.0/UDP ", "a", "!"),
    "Via, empty parameters": (parse_via, "SIP/2.0/UDP h", ";", ""),
    "Via, spaces in parameters": (parse_via, "SIP/2.0/UDP h", "; ", ""),
    "Via, spaces after a parameter": (parse_via, "SIP/2.0/UDP h;a", " ", "="),
    "Via, open quotes": (parse_via, "SIP/2.0/UDP h", ';a="\\"', ""),
    "address, escapes": (parse_address, '"', "\\\\", ""),
    "address, open quotes": (parse_address, "<sip:a@b>", ';a="\\', ""),
    "address, brackets": (parse_address, "", "<", ""),
    "list, commas": (split_list, "", ",", ""),
    "list, quotes": (split_list, "", '",', ""),
    "digest, a word": (parse_credentials, "Digest ", "a", ""),
    "digest, words": (parse_credentials, "Digest ", "a ", ""),
    "digest, spaces": (parse_credentials, "Digest a", " ", "!"),
    "digest, open quotes": (parse_credentials, "Digest ", 'a="\\', ""),
    "SDP, lines": (audio_place, "v=0\r\n", "c=\r\n", ""),
    "SDP, its direction": (asks_for_no_sound, "v=0\r\n", "a=sendonly\r\n", ""),
    "SDP, payload types": (formats, "m=audio 9 RTP/AVP ", "0 ", "x"),
    "SDP, what they are": (formats, "m=audio 9 RTP/AVP 0\r\n", "a=rtpmap:0 a/8000\r\n", ""),
    "SDP, spaces after one": (formats, "m=audio 9 RTP/AVP 0", " ", "x"),
    "SDP, one preferred": (lambda text: preferring(text, 9), "m=audio 9 RTP/AVP", " 0", ""),
    "SDP, one line": (audio_place, "v=0\r\nc=", "1 ", ""),
    "SDP, a host": (audio_place, "v=0\r\nm=audio 9 \r\nc=", ".", ""),
    "SDP, ports": (lambda text: offered_audio(text.encode()), "m=audio ", "1", ""),
    "keys of a phone": (playable, "", "1w?", ""),
}


def _cost(work: Callable[[], object]) -> float:
    """Seconds of this thread, the best of several runs."""
    best = float("inf")
    for _ in range(7):
        began = time.thread_time()
        with contextlib.suppress(_TELLING):
            work()
        best = min(best, time.thread_time() - began)
    return best


def _grows(work: Callable[[int], Callable[[], object]], short: int, long: int) -> float:
    """How many times more the long one costs."""
    return _cost(work(long)) / max(_cost(work(short)), 20e-6)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_reader_takes_time_in_proportion(name: str) -> None:
    read, begin, piece, end = TEXTS[name]

    def work(size: int) -> Callable[[], object]:
        text = begin + piece * (size // len(piece)) + end
        return lambda: read(text)

    assert _grows(work, _SHORT, _TIMES * _SHORT) <= _MOST


MESSAGES: dict[str, tuple[str, str]] = {
    "headers": ("X: 1\r\n", ""),
    "continuations": (" a\r\n", "X: 1\r\n"),
    "line ends": ("\r\n", ""),
    "Vias": ("SIP/2.0/UDP a,", "Via: "),
    "compact Vias": ("v:SIP/2.0/UDP a\r\n", ""),
    "spaces": (" ", "X: "),
}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_datagram_takes_time_in_proportion(name: str) -> None:
    piece, before = MESSAGES[name]
    room = MAX_DATAGRAM - 600

    def work(size: int) -> Callable[[], object]:
        data = invite(extra=before + piece * (size // len(piece)) + "\r\n")
        return lambda: parse(data, PHONE)

    assert _grows(work, room // _TIMES, room) <= _MOST


def test_numbers_of_two_trunks_are_compared_in_proportion() -> None:
    def work(size: int) -> Callable[[], object]:
        mine = proto.SIPInboundTrunkInfo(numbers=[f"+1{n}" for n in range(size)])
        theirs = proto.SIPInboundTrunkInfo(
            sip_trunk_id="ST_1", numbers=[f"+2{n}" for n in range(size)]
        )
        return lambda: validate.inbound_trunk(mine, [theirs])

    assert _grows(work, 250, _TIMES * 250) <= _MOST
