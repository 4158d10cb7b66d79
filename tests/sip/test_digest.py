"""Digest: the RFCs' own examples, nonces bound to time and call, hostile headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.digest import Authority, CheckResult, expected_response, parse_credentials

pytestmark = pytest.mark.unit

RFC2617 = (
    'Digest username="Mufasa", realm="testrealm@host.com", '
    'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, '
    'cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f017"'
)
RFC7616 = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
    'algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
    'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"'
)


@pytest.mark.parametrize(
    ("header", "password"), [(RFC2617, "Circle Of Life"), (RFC7616, "Circle of Life")]
)
def test_the_examples_of_the_rfcs(header: str, password: str) -> None:
    credentials = parse_credentials(header)
    assert credentials is not None
    assert expected_response(credentials, "GET", password) == credentials.response
    assert expected_response(credentials, "POST", password) != credentials.response


def answer(challenge: str, password: str, *, user: str = "bob", qop: bool = True) -> str:
    """What a phone sends back, computed by the function the RFC examples proved."""
    nonce = challenge.split('nonce="')[1].split('"')[0]
    more = ', qop=auth, nc=00000001, cnonce="c"' if qop else ""
    head = f'Digest username="{user}", realm="Offhook", nonce="{nonce}", uri="sip:1@h"{more}'
    credentials = parse_credentials(f'{head}, response="x"')
    assert credentials is not None
    return f'{head}, response="{expected_response(credentials, "INVITE", password)}"'


def check(authority: Authority, header: str, context: str = "call-1") -> CheckResult:
    return authority.check(
        header, method="INVITE", context=context, username="bob", password="secret"
    )


def test_right_wrong_and_stale() -> None:
    now = [1000.0]
    authority = Authority("Offhook", lifetime=60, clock=lambda: now[0])
    asked = authority.challenge("call-1")
    assert check(authority, answer(asked, "secret")) is CheckResult.VALID
    assert check(authority, answer(asked, "secret", qop=False)) is CheckResult.VALID
    assert check(authority, answer(asked, "guess")) is CheckResult.WRONG
    assert check(authority, answer(asked, "secret", user="eve")) is CheckResult.WRONG
    assert check(authority, answer(asked, "secret"), context="call-2") is CheckResult.STALE
    now[0] += 61
    assert check(authority, answer(asked, "secret")) is CheckResult.STALE
    assert "stale=true" in authority.challenge("call-1", stale=True)


@given(st.text(max_size=200))
def test_any_header_is_refused_without_a_crash(text: str) -> None:
    authority = Authority("Offhook")
    assert check(authority, text) is CheckResult.WRONG
    assert check(authority, f"Digest {text}") is CheckResult.WRONG
