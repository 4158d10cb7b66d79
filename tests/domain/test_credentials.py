"""What looks like a credential, and what does not."""

from __future__ import annotations

import pytest

from control_plane.domain.credentials import (
    check_json_keeps_none,
    check_url_keeps_none,
    is_credential,
)
from control_plane.domain.errors import BadInput

pytestmark = pytest.mark.unit

RANDOM = "a8F2kLm9Qz71XyBv03"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", "short"),
        ("access_token", "x"),
        ("apiKey", "x"),
        ("api-key", "x"),
        ("X-Api-Key", "x"),
        ("apikey", "x"),
        ("client_secret", "x"),
        ("password", "hunter2"),
        ("sig", "x"),
        ("authorization", "Bearer abc"),
        ("token", "abc{{name}}"),
        ("key", RANDOM),
        ("code", RANDOM),
    ],
)
def test_credentials(name: str, value: str) -> None:
    assert is_credential(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", "{{token}}"),
        ("authorization", "Bearer {{token}}"),
        ("token", ""),
        ("key", "greeting"),
        ("code", "DE-10115"),
        ("city", "Stockholm"),
        ("monkey", RANDOM),
        ("keyword", RANDOM),
        ("calendar_id", RANDOM),
        ("key", "01a224e5-b4e8-7197-9f1d-f72f8fbf7e88"),
    ],
)
def test_what_is_none(name: str, value: str) -> None:
    assert not is_credential(name, value)


def test_a_url_and_a_body_name_the_place_and_not_the_value() -> None:
    with pytest.raises(BadInput, match=r"carries a credential \(token\).*use a header") as refused:
        check_url_keeps_none(
            f"https://a.example/x?day=1&token={RANDOM}", field="f", remedy="use a header"
        )
    assert RANDOM not in refused.value.detail
    for url in ("https://a.example/x?token={{token}}&day={{day}}", "https://a.example/{{key}}"):
        check_url_keeps_none(url, field="f", remedy="")
    with pytest.raises(BadInput, match=r"carries a credential \(api_key\)") as refused:
        check_json_keeps_none({"a": [{"api_key": RANDOM}]}, field="f", remedy="")
    assert RANDOM not in refused.value.detail
    check_json_keeps_none({"token": "1", "auth": "Bearer 1", "n": [2]}, field="f", remedy="")
