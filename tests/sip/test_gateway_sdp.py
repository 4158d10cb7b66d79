"""Codecs in SDP: what is offered, and which comes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.gateway.sdp import formats, preferring

pytestmark = pytest.mark.unit
OFFER = (
    "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 9 110 18 101 \r\n"
    "a=rtpmap:110 OPUS/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
    "m=video 4002 RTP/AVP 18 0\r\na=rtpmap:18 H264/90000\r\n"
)


def test_the_formats_of_the_first_audio_stream_in_their_order() -> None:
    assert formats(OFFER) == {
        0: "pcmu/8000",
        9: "g722/8000",
        110: "opus/48000",
        18: "",
        101: "telephone-event/8000",
    }
    assert list(formats(OFFER)) == [0, 9, 110, 18, 101]
    assert formats("m=audio 0 RTP/SAVPF 96\na=rtpmap:96 PCMU/8000") == {96: "pcmu/8000"}
    assert formats("v=0\r\nm=video 1 RTP/AVP 0\r\n") == {}


def test_only_the_order_of_that_stream_changes() -> None:
    wanted = OFFER.replace("RTP/AVP 0 9 110 18 101", "RTP/AVP 110 0 9 18 101")
    assert preferring(OFFER, 110) == wanted
    assert preferring(wanted, 110) == wanted
    part = f"--x\r\nContent-Type: application/sdp\r\n\r\n{OFFER}--x--\r\n"
    assert formats(part) == formats(OFFER)


def test_a_payload_type_that_is_none_is_left_out() -> None:
    offer = f"m=audio 1 RTP/AVP 0 {'9' * 5_000}\r\na=rtpmap:{'9' * 5_000} PCMU/8000\r\n"
    assert formats(offer) == {0: "pcmu/8000"}
    assert preferring(offer, 0) == offer


@given(st.text())
def test_no_text_stops_it(text: str) -> None:
    assert isinstance(formats("m=audio 1 RTP/AVP 0" + text), dict)
    preferring("m=audio 1 RTP/AVP 0" + text, 0)
