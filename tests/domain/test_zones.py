"""Which zones a number may be in, and when the order has to say."""

from __future__ import annotations

from datetime import UTC, datetime

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from control_plane.domain.calling_times import CallingWindow, CallRetryConfig, Weekday, next_open
from control_plane.domain.errors import BadInput
from control_plane.domain.wall_clock import known_zones
from control_plane.domain.zones import country, plausible_zones, resolve

pytestmark = pytest.mark.unit

NOW = datetime(2026, 6, 3, 10, tzinfo=UTC)
WORK = CallRetryConfig()
ROUND_THE_CLOCK = CallRetryConfig(
    allowed_days=tuple(Weekday), calling_windows=(CallingWindow("00:00", "24:00"),)
)
WASHINGTON, AUSTRALIAN_MOBILE = "+12025550123", "+61412345678"
RUSSIAN_MOBILE, TOLL_FREE, PLACELESS = "+79161234567", "+18005550123", "+80012345678"


@pytest.mark.parametrize(
    ("number", "count", "one"),
    [
        (WASHINGTON, 1, "America/New_York"),
        ("+33612345678", 1, "Europe/Paris"),
        (AUSTRALIAN_MOBILE, 8, "Australia/Lord_Howe"),
        (RUSSIAN_MOBILE, 16, "Asia/Kamchatka"),
        (TOLL_FREE, 42, "Pacific/Honolulu"),
    ],
)
def test_a_number_tells_its_zones(number: str, count: int, one: str) -> None:
    zones = plausible_zones(number)
    assert len(zones) == count
    assert one in zones
    assert set(zones) <= known_zones()


def test_a_number_of_no_known_place_has_no_zone() -> None:
    assert plausible_zones(PLACELESS) == ()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (WASHINGTON, "US"),
        ("+14165550123", "CA"),
        ("+447400123456", "GB"),
        (RUSSIAN_MOBILE, "RU"),
        ("+77011234567", "KZ"),
        ("+80012345678", None),
        ("+883510012345", None),
    ],
)
def test_a_number_tells_its_country(number: str, code: str | None) -> None:
    assert country(number) == code


@pytest.mark.parametrize("number", [WASHINGTON, TOLL_FREE, PLACELESS])
def test_the_order_s_zone_stands_alone(number: str) -> None:
    found = resolve(number, explicit="Asia/Tokyo", default="Europe/Paris", config=WORK, now=NOW)
    assert found == ("Asia/Tokyo",)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        resolve(WASHINGTON, explicit="Europe/Pariss", default=None, config=WORK, now=NOW)
    assert refused.value.field == "call_retry_config.timezone"
    assert "Europe/Paris" in refused.value.detail


@pytest.mark.parametrize("number", [WASHINGTON, AUSTRALIAN_MOBILE])
@pytest.mark.parametrize("default", [None, "Europe/Paris"])
def test_a_number_s_zones_with_a_common_opening_all_count(number: str, default: str | None) -> None:
    zones = resolve(number, explicit=None, default=default, config=WORK, now=NOW)
    assert zones == plausible_zones(number)


@pytest.mark.parametrize("number", [RUSSIAN_MOBILE, TOLL_FREE, PLACELESS])
def test_other_numbers_fall_to_the_organization_s_zone(number: str) -> None:
    zones = resolve(number, explicit=None, default="Europe/Paris", config=WORK, now=NOW)
    assert zones == ("Europe/Paris",)


@pytest.mark.parametrize(
    ("number", "named"),
    [
        (RUSSIAN_MOBILE, ["Asia/Almaty", "13 more"]),
        (TOLL_FREE, ["America/Adak", "39 more"]),
        (PLACELESS, ["does not tell"]),
    ],
)
@pytest.mark.parametrize("default", [None, "Atlantis/Capital"])
def test_without_one_the_order_has_to_say(
    number: str, named: list[str], default: str | None
) -> None:
    with pytest.raises(BadInput) as refused:
        resolve(number, explicit=None, default=default, config=WORK, now=NOW)
    assert refused.value.field == "call_retry_config.timezone"
    assert "give call_retry_config.timezone" in refused.value.detail
    assert number not in refused.value.detail
    for words in named:
        assert words in refused.value.detail


def test_narrow_windows_need_a_zone_where_wide_ones_do_not() -> None:
    narrow = CallRetryConfig(calling_windows=(CallingWindow("10:00", "11:00"),))
    with pytest.raises(BadInput, match="Australia/Adelaide"):
        resolve(AUSTRALIAN_MOBILE, explicit=None, default=None, config=narrow, now=NOW)
    wide = CallRetryConfig(calling_windows=(CallingWindow("8:00", "22:00"),))
    zones = resolve(RUSSIAN_MOBILE, explicit=None, default=None, config=wide, now=NOW)
    assert zones == plausible_zones(RUSSIAN_MOBILE)


def test_round_the_clock_no_zone_has_to_be_known() -> None:
    for number in (WASHINGTON, TOLL_FREE, PLACELESS):
        zones = resolve(number, explicit=None, default=None, config=ROUND_THE_CLOCK, now=NOW)
        assert next_open(ROUND_THE_CLOCK, zones, NOW) == NOW


REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


@given(st.sampled_from(REGIONS), st.booleans())
def test_every_country_s_number_is_resolved_or_asked_about(region: str, mobile: bool) -> None:
    kind = (
        phonenumbers.PhoneNumberType.MOBILE if mobile else phonenumbers.PhoneNumberType.FIXED_LINE
    )
    example = phonenumbers.example_number_for_type(region, kind)
    if example is None:
        return
    number = phonenumbers.format_number(example, PhoneNumberFormat.E164)
    try:
        zones = resolve(number, explicit=None, default=None, config=WORK, now=NOW)
    except BadInput:
        possible = plausible_zones(number)
        assert not possible or next_open(WORK, possible, NOW) is None
    else:
        assert next_open(WORK, zones, NOW) is not None
