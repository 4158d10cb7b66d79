"""Origins as they are given for a public key and as browsers send them."""

from __future__ import annotations

import pytest

from control_plane.domain.errors import BadInput
from control_plane.domain.public_key import is_allowed, origin_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://www.example.com", "https://www.example.com"),
        ("https://WWW.Example.com/", "https://www.example.com"),
        ("https://example.com:443", "https://example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:7900", "http://[::1]:7900"),
        ("https://xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(given: str, origin: str) -> None:
    assert origin_of(given, field="allowed_origins") == origin
    assert is_allowed(origin, [origin])


@pytest.mark.parametrize(
    "given",
    [
        *("*", "https://*.example.com", "example.com", "null", "", "https://"),
        *("https://example.com/shop", "https://example.com?a", "https://example.com#a"),
        *("https://user@example.com", "ftp://example.com", "https://example.com:0"),
        *("https://example.com:99999", "https://münchen.example", "https://a b.example"),
        *("https://example.com,https://b.example", "http://example.com", "javascript://x"),
    ],
)
def test_what_is_no_origin_of_a_page_that_can_talk_is_refused(given: str) -> None:
    with pytest.raises(BadInput) as refused:
        origin_of(given, field="allowed_origins")
    assert refused.value.field == "allowed_origins"
    assert "https://" in refused.value.detail


@pytest.mark.parametrize(
    "sent",
    [
        *(None, "", "null", "http://a.example", "https://a.example:8443", "https://b.example"),
        *("https://a.example.b.example", "https://xa.example", "https://a.example@b.example"),
    ],
)
def test_another_origin_is_not_allowed(sent: str | None) -> None:
    assert not is_allowed(sent, ["https://a.example"])
