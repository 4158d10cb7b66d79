"""What the Revox reference lets be written in more than one way, and what it then means."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.factories import NUMBER, OURS

pytestmark = pytest.mark.db

PLAIN = {"name": "A", "prompt": "p"}


@pytest.mark.parametrize("written", ["300", "300.0", "3e2", "3.0E+2", "30000e-2"])
async def test_a_whole_number_may_be_written_as_json_lets_it(
    api: httpx.AsyncClient, written: str
) -> None:
    body = f'{{"name": "A", "prompt": "p", "max_call_duration_secs": {written}}}'
    made = await api.post("/assistant", content=body)
    assert made.status_code == 201, made.text
    assert '"max_call_duration_secs":300,' in made.text, "as a whole number"


@pytest.mark.parametrize("written", ["300.5", "1e400", "9007199254740994.0", '"300"', "true"])
async def test_what_is_no_whole_number_is_refused(api: httpx.AsyncClient, written: str) -> None:
    body = f'{{"name": "A", "prompt": "p", "max_call_duration_secs": {written}}}'
    answer = await api.post("/assistant", content=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == "max_call_duration_secs"


async def test_a_row_of_a_batch_and_an_order_write_numbers_alike(api: httpx.AsyncClient) -> None:
    order = {
        "phone_number": NUMBER,
        "concurrency": {"key": "", "max": 2.0},
        "call_retry_config": {"max_retry_attempts": 2.0},
    }
    for path, body in (("/call", order), ("/call/batch", {"calls": [order]})):
        answer = (await api.post(path, json=body)).json()
        order_id = answer["call"]["id"] if path == "/call" else answer["calls"][0]["id"]
        call = (await api.get(f"/call/{order_id}")).json()["call"]
        assert call["concurrency"] == {"key": "", "max": 2}
        assert call["call_retry_config"]["max_retry_attempts"] == 2


async def test_text_is_not_changed_by_the_numbers_beside_it(api: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {
        "phone_number": NUMBER,
        "metadata": {"price": "300.0"},
        "concurrency": {"key": "5.0", "max": 1.0},
    }
    call = (await api.post("/call", json=body)).json()["call"]
    assert (call["metadata"], call["concurrency"]["key"]) == ({"price": "300.0"}, "5.0")


async def test_an_empty_address_or_number_is_none_at_all(api: httpx.AsyncClient) -> None:
    names = ("webhook_url", "from_phone_number", "transfer_phone_number")
    given = {**PLAIN, "webhook_url": "https://example.com/hook", "from_phone_number": OURS}
    made = (await api.post("/assistant", json=given)).json()["assistant"]
    path = f"/assistant/{made['id']}"
    emptied = (await api.patch(path, json=dict.fromkeys(names, ""))).json()["assistant"]
    assert [emptied[name] for name in names] == [None, None, None]


async def test_an_empty_zone_or_time_is_the_default(api: httpx.AsyncClient) -> None:
    window = {"calling_window_start_time": "", "calling_window_end_time": ""}
    times = {"timezone": "", "calling_windows": [window]}
    calls = [
        (await api.post("/call", json={"phone_number": NUMBER, "call_retry_config": given})).json()
        for given in (times, {})
    ]
    first, usual = (each["call"] for each in calls)
    assert first["timezones"] == usual["timezones"] != []
    # A window may be open now: then both are due at once.
    assert (first["status"], first["waiting_for"]) == (usual["status"], usual["waiting_for"])


async def test_options_beside_another_type_than_enum_are_kept(api: httpx.AsyncClient) -> None:
    """The reference's own example has them beside `string`."""
    field = {"name": "x", "required": True, "type": "string", "enum_options": ["string"]}
    made = await api.post("/assistant", json={**PLAIN, "structured_output_config": [field]})
    assert made.status_code == 201, made.text
    [kept] = made.json()["assistant"]["structured_output_config"]
    assert kept == {**field, "description": None}
