"""Parsing and writing SIP messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.message import MalformedMessage, Request, parse, parse_address, split_list, uri_user
from sip.via import parse_via, reply_address
from tests.sip.wire import PHONE, invite

pytestmark = pytest.mark.unit


def test_a_request_survives_a_round_trip() -> None:
    data = invite(extra='X-A: "a, b" <sip:x@y>\r\n', body="v=0\r\n")
    first = parse(data, PHONE)
    assert isinstance(first, Request)
    assert parse(first.encode(), PHONE) == first
    assert (first.user, first.in_dialog, first.cseq) == ("100", False, (1, "INVITE"))


@pytest.mark.parametrize(
    ("value", "display", "uri", "tag"),
    [
        ('"A \\"B\\"" <sip:a@b;x=1>;tag=t', 'A "B"', "sip:a@b;x=1", "t"),
        ("Bob <sip:bob@h>", "Bob", "sip:bob@h", None),
        ("sip:bob@h;tag=9", "", "sip:bob@h", "9"),
        ("<tel:+1555;ext=5>", "", "tel:+1555;ext=5", None),
    ],
)
def test_addresses(value: str, display: str, uri: str, tag: str | None) -> None:
    found = parse_address(value)
    assert (found.display, found.uri, found.params.get("tag")) == (display, uri, tag)


def test_users_of_uris() -> None:
    uris = ["sip:+1555;x=1@h", "sip:a:secret@h", "tel:+1555;ext=5", "sip:host"]
    assert [uri_user(uri) for uri in uris] == ["+1555", "a", "+1555", ""]


def test_lists_split_outside_quotes_and_brackets() -> None:
    assert split_list('"a,b" <sip:x,y@z>, c') == ['"a,b" <sip:x,y@z>', "c"]


def test_where_an_answer_goes() -> None:
    assert reply_address(parse_via("SIP/2.0/UDP 10.0.0.1;branch=x")) == ("10.0.0.1", 5060)
    via = parse_via("SIP/2.0/UDP 10.0.0.1:99;received=1.2.3.4;rport=7;branch=x")
    assert reply_address(via) == ("1.2.3.4", 7)


@given(st.binary(max_size=600))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    try:
        parse(data, PHONE)
    except MalformedMessage:
        return
