"""An answer that comes again gets the ACK that it got before, and no other message does."""

from __future__ import annotations

import pytest

from sip.gateway.acks import Acks
from sip.gateway.sdp import Place
from sip.message import Request, Response, parse

pytestmark = pytest.mark.unit
HEAD = (
    "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1\r\nFrom: <sip:us@127.0.0.1>;tag=1\r\n"
    "To: <sip:them@127.0.0.1>;tag={tag}\r\nCall-ID: one\r\nCSeq: {cseq} {method}"
)
OUT, IN = (f"{way} UDP 127.0.0.1:5070 -> 127.0.0.9:5090" for way in ("TX", "RX"))
ACK = ("ACK sip:them@127.0.0.9:5090 SIP/2.0\r\n" + HEAD).format(tag="2", cseq=7, method="ACK")


def message(text: str) -> Request | Response:
    return parse(text.encode() + b"\r\n\r\n", ("", 0))


def response(status: int, *, tag: str = "2", cseq: int = 7, method: str = "INVITE") -> Response:
    found = message(f"SIP/2.0 {status} X\r\n" + HEAD.format(tag=tag, cseq=cseq, method=method))
    assert isinstance(found, Response)
    return found


def test_the_same_answer_gets_the_same_ack() -> None:
    sent: list[tuple[bytes, Place]] = []
    acks = Acks(lambda datagram, to: sent.append((datagram, to)))
    acks.passed(IN, response(200), "")
    assert sent == [], "the first is the stack's own business"
    acks.passed(OUT, message(ACK), ACK)
    acks.passed(IN, response(200), "")
    assert sent == [(ACK.encode() + b"\r\n\r\n", Place("127.0.0.9", 5090))]


@pytest.mark.parametrize(
    "other",
    [
        response(486),
        response(200, tag="3"),  # of another phone that the INVITE was forked to
        response(200, cseq=8),
        response(200, method="BYE"),
    ],
    ids=["a refusal", "another phone", "another INVITE", "another method"],
)
def test_another_message_gets_none(other: Response) -> None:
    sent: list[bytes] = []
    acks = Acks(lambda datagram, _to: sent.append(datagram))
    acks.passed(OUT, message(ACK), ACK)
    acks.passed(IN, other, "")
    assert sent == []
