"""Workers that begin anew are counted, by the reason; nobody else is believed."""

from __future__ import annotations

import httpx
import pytest

from process.worker_key import worker_key

pytestmark = [pytest.mark.db, pytest.mark.engines]

OURS = {"Authorization": f"Bearer {worker_key('s' * 32)}"}
PATH = "/internal/workers/restarts"


async def counted(internal: httpx.AsyncClient, reason: str) -> float:
    text = (await internal.get("/metrics")).text
    name = f'offhook_worker_restarts_total{{reason="{reason}"}}'
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


async def test_restarts_are_counted_by_reason(internal: httpx.AsyncClient) -> None:
    answer = await internal.post(PATH, json={"reason": "memory"}, headers=OURS)
    assert answer.status_code == 204
    assert (await counted(internal, "memory"), await counted(internal, "threads")) == (1, 0)


async def test_only_ours_and_known_reasons_are_counted(internal: httpx.AsyncClient) -> None:
    wrong = {"Authorization": f"Bearer {worker_key('another secret')}"}
    answer = await internal.post(PATH, json={"reason": "memory"}, headers=wrong)
    assert answer.status_code == 401
    answer = await internal.post(PATH, json={"reason": "+12025550100"}, headers=OURS)
    assert answer.status_code == 422
    assert await counted(internal, "memory") == 0
