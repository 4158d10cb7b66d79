"""What a REFER asks for, by the trunk's template."""

from __future__ import annotations

import pytest

from control_plane.domain.errors import BadInput
from control_plane.domain.refer_uri import DEFAULT, check_template, refer_uri

pytestmark = pytest.mark.unit

NUMBER = "+12025550142"


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        (DEFAULT, "tel:+12025550142"),
        ("tel:{digits}", "tel:12025550142"),
        ("tel:{digits};phone-context=+1", "tel:12025550142;phone-context=+1"),
        ("sip:{number}@pbx.example", "sip:+12025550142@pbx.example"),
        ("sip:{number}@192.0.2.1:5080", "sip:+12025550142@192.0.2.1:5080"),
        ("sip:{number}@[2001:db8::1]", "sip:+12025550142@[2001:db8::1]"),
        ("sip:0{digits}@pbx.example;user=phone", "sip:012025550142@pbx.example;user=phone"),
        ("SIPS:{number}@pbx", "SIPS:+12025550142@pbx"),
    ],
)
def test_a_template_becomes_a_uri(template: str, uri: str) -> None:
    check_template(template)
    assert refer_uri(template, NUMBER) == uri


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("", "place in it once"),
        ("tel:+12025550142", "place in it once"),
        ("tel:{number}{number}", "place in it once"),
        ("tel:{number}{other}", "place in it once"),
        ("tel:{number}{digits}", "place in it once"),
        ("sip:{number}", "no SIP URI with a user and a host"),
        ("sip:me@{number}", "no SIP URI with a user and a host"),
        ("sip:{number}@", "no SIP URI with a user and a host"),
        ("sip:{number}@pbx@other", "no SIP URI with a user and a host"),
        ("tel:{number}@pbx", "no tel: URI"),
        ("https://pbx/{number}", "a tel:, sip: or sips: URI"),
        ("{number}", "a tel:, sip: or sips: URI"),
        ("sip:{number}@pbx?Replaces=1", "a header of its own"),
        ("sip:{number}@pbx\r\nX: y", "cannot stand in a Refer-To header"),
        ("<sip:{number}@pbx>", "cannot stand in a Refer-To header"),
        ("sip:{number}@pbx ", "cannot stand in a Refer-To header"),
        ("sip:{number}@bücher.example", "cannot stand in a Refer-To header"),
    ],
)
def test_what_is_none_is_told_with_a_remedy(template: str, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_template(template)
    assert refused.value.field == "refer_to"
    assert told in str(refused.value)
    assert "write tel:{number}" in str(refused.value)
