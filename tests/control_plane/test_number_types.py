"""Costly numbers are called only where the organization allows their type."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.db

PREMIUM = "+19002345678"
COMMAND = "`offhook allow --type premium_rate`"
ALWAYS = {
    "timezone": "America/New_York",
    "allowed_days": [
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ],
    "calling_windows": [{"calling_window_start_time": "0:00", "calling_window_end_time": "24:00"}],
}  # fmt: skip
CALL = {"phone_number": PREMIUM, "call_retry_config": ALWAYS}


async def allow(api: httpx.AsyncClient, *kinds: str) -> Any:
    answer = await api.patch("/organization", json={"allowed_number_types": list(kinds)})
    assert answer.status_code == 200, answer.text
    return answer.json()["allowed_number_types"]


@pytest.mark.parametrize(
    ("number", "country", "kind"),
    [
        (PREMIUM, "US", "premium_rate"),
        ("+447012345678", "GB", "personal_number"),
        ("+449098790123", "GB", "premium_rate"),
        ("+33899123456", "FR", "premium_rate"),
        ("+443001234567", "GB", "uan"),
        ("+491801234567", "DE", "shared_cost"),
    ],
)
async def test_a_call_is_refused_by_type_until_it_is_allowed(
    api: httpx.AsyncClient, number: str, country: str, kind: str
) -> None:
    await api.patch("/organization", json={"allowed_countries": ["US", country]})
    body = {**CALL, "phone_number": number}
    told = (await api.post("/call", json=body)).json()
    assert (told["code"], told["rule"], told["field"]) == (
        "not_callable", "number_type", "phone_number",
    )  # fmt: skip
    assert f"`offhook allow --type {kind}`" in told["detail"]
    assert await allow(api, kind.upper()) == [kind]
    assert (await api.post("/call", json=body)).status_code == 200
    assert await allow(api) == []
    assert (await api.post("/call", json=body)).status_code == 422


async def test_a_type_that_is_allowed_opens_no_other_country(api: httpx.AsyncClient) -> None:
    await allow(api, "premium_rate")
    told = (await api.post("/call", json={**CALL, "phone_number": "+33899123456"})).json()
    assert told["rule"] == "country"


async def test_a_batch_is_refused_too(api: httpx.AsyncClient) -> None:
    good = {**CALL, "phone_number": "+12025550123"}
    answer = await api.post("/call/batch", json={"calls": [good, CALL]})
    assert "number_type" in answer.text
    assert COMMAND in answer.text


async def test_a_word_that_is_no_costly_type_is_named(api: httpx.AsyncClient) -> None:
    for word in ("mobile", "gold"):
        body = {"allowed_number_types": ["pager", word]}
        bad = await api.patch("/organization", json=body)
        assert (bad.status_code, bad.json()["field"]) == (422, "allowed_number_types[1]")
        assert "premium_rate" in bad.json()["detail"]
    assert (await api.get("/organization")).json()["allowed_number_types"] == []


async def test_no_assistant_transfers_to_a_country_that_may_not_be_called(
    api: httpx.AsyncClient,
) -> None:
    await api.patch("/organization", json={"allowed_countries": ["US"]})
    body = {"name": "Ann", "prompt": "Be kind.", "transfer_phone_number": "+493023125000"}
    told = await api.post("/assistant", json=body)
    assert (told.status_code, told.json()["field"]) == (422, "transfer_phone_number")
    assert "`offhook allow COUNTRY`" in told.json()["detail"]
    await api.patch("/organization", json={"allowed_countries": ["US", "DE"]})
    assert (await api.post("/assistant", json=body)).status_code == 201


async def test_no_assistant_transfers_to_a_costly_number(api: httpx.AsyncClient) -> None:
    body = {"name": "Ann", "prompt": "Be kind.", "transfer_phone_number": PREMIUM}
    told = (await api.post("/assistant", json=body)).json()
    assert told["field"] == "transfer_phone_number"
    assert COMMAND in told["detail"]
    inline = {"phone_number": "+12025550123", "assistant": body, "call_retry_config": ALWAYS}
    told = (await api.post("/call", json=inline)).json()
    assert told["field"] == "assistant.transfer_phone_number"
    made = (await api.post("/assistant", json={"name": "Ann", "prompt": "Be kind."})).json()
    path = f"/assistant/{made['assistant']['id']}"
    told = (await api.patch(path, json={"transfer_phone_number": PREMIUM})).json()
    assert told["field"] == "transfer_phone_number"
    await allow(api, "premium_rate")
    assert (await api.post("/assistant", json=body)).status_code == 201
