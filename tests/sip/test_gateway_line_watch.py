"""When a silent line is given up, and which SDP of the far end holds the call."""

from __future__ import annotations

import pytest

from sip.gateway.line_watch import LineWatch
from sip.gateway.sdp import Ends, Place, asks_for_no_sound
from sip.message import Request, Response

pytestmark = pytest.mark.unit
AUDIO = "v=0\r\nc=IN IP4 192.0.2.1\r\n{session}m=audio 9 RTP/AVP 0\r\n{media}"


@pytest.mark.parametrize(
    ("ever", "given", "limit", "why"),
    [
        (True, 0.0, 15.0, "no RTP came for 15 s"),
        (False, 0.0, 30.0, "no RTP came within 30 s of the answer"),
        (True, 40.0, 40.0, "no RTP came for 40 s"),
    ],
)
def test_a_silent_line_is_given_up(ever: bool, given: float, limit: float, why: str) -> None:
    watch = LineWatch(given, 600.0)
    assert watch.why_lost(100.0, ever=ever, quiet=limit - 0.1) == ""
    assert watch.why_lost(100.0, ever=ever, quiet=limit) == why


def test_a_hold_counts_for_itself_and_what_follows_it_anew() -> None:
    watch = LineWatch(0.0, 60.0)
    watch.turn(True, 100.0)
    assert watch.why_lost(159.0, ever=True, quiet=59.0) == ""
    assert watch.why_lost(160.0, ever=True, quiet=0.0) == "on hold for 60 s"
    watch.turn(False, 150.0)
    assert watch.why_lost(164.9, ever=True, quiet=64.9) == ""
    assert watch.why_lost(165.0, ever=True, quiet=65.0) == "no RTP came for 15 s"


@pytest.mark.parametrize(
    ("session", "media", "holds"),
    [
        ("", "", False),
        ("", "a=sendrecv\r\n", False),
        ("", "a=recvonly\r\n", False),
        ("", "a=sendonly\r\n", True),
        ("", "a=inactive\r\n", True),
        ("a=inactive\r\n", "", True),
        ("a=inactive\r\n", "a=sendrecv\r\n", False),
        ("", "c=IN IP4 0.0.0.0\r\n", True),
        ("", "m=video 7 RTP/AVP 99\r\na=inactive\r\n", False),
        ("m=video 7 RTP/AVP 99\r\na=inactive\r\n", "", False),
    ],
)
def test_which_sdp_asks_for_no_sound(session: str, media: str, holds: bool) -> None:
    assert asks_for_no_sound(AUDIO.format(session=session, media=media)) is holds


def _headers(number: int, method: str) -> list[tuple[str, str]]:
    return [("CSeq", f"{number} {method}")]


def _request(number: int, method: str) -> Request:
    return Request(_headers(number, method), b"", method, "sip:us@192.0.2.9")


def _response(number: int, method: str, status: int) -> Response:
    return Response(_headers(number, method), b"", status, "")


PLACE = Place("192.0.2.9", 7)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_holds_once_it_is_accepted(method: str) -> None:
    ends = Ends()
    ends.received(_request(2, method), None, True)
    assert not ends.is_on_hold
    ends.sent(_response(2, method, 200), PLACE)
    assert ends.is_on_hold
    ends.received(_request(3, method), PLACE, False)
    ends.sent(_response(3, method, 200), PLACE)
    assert not ends.is_on_hold


def test_an_answer_to_our_own_invite_holds_nothing_and_one_in_an_ack_does() -> None:
    ends = Ends()
    ends.received(_response(1, "INVITE", 200), PLACE, True)
    assert not ends.is_on_hold
    ends.received(_request(1, "ACK"), PLACE, True)
    assert ends.is_on_hold
