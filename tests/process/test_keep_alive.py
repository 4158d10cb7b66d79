"""Clients give up idle connections before servers do."""

from __future__ import annotations

import pytest
import uvicorn

from agent.aftercall.job_api import JobApi
from agent.internal_api import InternalApi
from offhook.api_client import ApiClient

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("client", [ApiClient, InternalApi, JobApi])
def test_no_client_sends_while_a_server_closes(client: type) -> None:
    kept = client("http://127.0.0.1:1", "token")._http._transport._pool._keepalive_expiry
    assert kept < uvicorn.Config("app").timeout_keep_alive
