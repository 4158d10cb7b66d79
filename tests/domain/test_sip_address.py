"""Addresses of trunks: host or host:port, and a remedy for everything else people write."""

from __future__ import annotations

import pytest

from control_plane.domain.errors import BadInput
from control_plane.domain.sip_address import check_trunk_address

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "address",
    [
        "sip.carrier.example",
        "sip.carrier.example:5080",
        "my_pbx",
        "192.0.2.1",
        "192.0.2.1:5060",
        "[2001:db8::1]",
        "[2001:db8::1]:5080",
        "example.com.",
    ],
)
def test_a_host_with_or_without_a_port_is_taken(address: str) -> None:
    check_trunk_address(address)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("sip:carrier.example", "with sip: before the host: write carrier.example"),
        ("SIP:carrier.example:5080", "with sip: before the host: write carrier.example:5080"),
        ("sip:me@carrier.example", "has a user before the host"),
        ("me@carrier.example", "(username and password are fields): write carrier.example"),
        ("sips:carrier.example", "wants TLS, which trunks do not offer"),
        ("https://carrier.example/", "with https:// before the host"),
        ("sip://carrier.example", "write carrier.example"),
        ("carrier.example;transport=tcp", "(transport is a field, udp or tcp): write carrier."),
        ("sip:carrier.example:5060;transport=tls", "write carrier.example:5060"),
        (" carrier.example", "blanks around it: write carrier.example"),
        ("carrier.example:0", "a port that is not a number from 1 to 65535: write a host name"),
        ("carrier.example:65536", "from 1 to 65535"),
        ("carrier.example:sip", "from 1 to 65535"),
        ("carrier.example:", "from 1 to 65535"),
        ("2001:db8::1", "stands in brackets"),
        ("[192.0.2.1]", "no IPv6 address in its brackets"),
        ("300.1.1.1", "is not an IPv4 address"),
        ("carrier.example, other.example", "is not such an address: write a host name"),
        ("sip:", "write a host name or an IP address, with :port where it is not 5060"),
        ("-carrier.example", "is not such an address"),
        ("a..b", "is not such an address"),
        ("x\r\nVia: y", "write a host name"),
        ("", "is not such an address"),
    ],
)
def test_what_is_no_such_address_is_told_what_to_write(address: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_trunk_address(address)
    assert caught.value.field == "address"
    assert told in caught.value.detail, caught.value.detail
    assert "\r" not in caught.value.detail
