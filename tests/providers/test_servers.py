"""The servers themselves: in a thread, as a process, by the control port, and how they stop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time

import httpx
import pytest

from tests import free_ports
from tests.providers.behaviour import Behaviour, Fault
from tests.providers.script import Rule
from tests.providers.servers import KEY, PORTS, ProviderServers, in_background, serving

pytestmark = pytest.mark.system

ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
HEADERS = {"Authorization": f"Bearer {KEY}"}


def ask(url: str, timeout_s: float = 5.0) -> httpx.Response:
    """Ask the chat server at `url` from outside its loop."""
    return httpx.post(
        f"{url}/chat/completions", json=ASKED, headers=HEADERS, timeout=timeout_s, trust_env=False
    )


def text(response: httpx.Response) -> str:
    answer: str = response.json()["choices"][0]["message"]["content"]
    return answer


def test_a_thread_serves_tests_that_have_no_loop() -> None:
    first = free_ports.block(PORTS)
    with in_background(first, tone=True) as servers:
        assert servers.openai_url == f"http://127.0.0.1:{first}/v1"
        assert text(ask(servers.openai_url)) == "You said: Hi."
        servers.controls.rules(Rule(say="Told."))
        assert text(ask(servers.openai_url)) == "Told."
        entry = servers.journal.wait(lambda entry: entry.event == "end", 5.0)
        assert entry.capability == "openai.chat"
    with pytest.raises(httpx.ConnectError):
        ask(servers.openai_url)


def test_stopping_does_not_wait_for_answers_that_hang() -> None:
    with in_background(tone=True) as servers:
        servers.controls.behave("openai.chat", Behaviour(fault=Fault.HANG))
        failures: list[httpx.HTTPError] = []

        def wait() -> None:
            try:
                ask(servers.openai_url, timeout_s=15.0)
            except httpx.HTTPError as failure:
                failures.append(failure)

        waiting = threading.Thread(target=wait)
        waiting.start()
        servers.journal.wait(lambda entry: entry.event == "request", 5.0)
        began = time.monotonic()
    waiting.join(5.0)
    assert time.monotonic() - began < 5.0
    assert len(failures) == 1


async def test_two_sets_of_servers_do_not_meet() -> None:
    async with serving(tone=True) as one, serving(tone=True) as other:
        one.controls.rules(Rule(say="One."))
        assert text(await asyncio.to_thread(ask, one.openai_url)) == "One."
        assert text(await asyncio.to_thread(ask, other.openai_url)) == "You said: Hi."


def control(servers: ProviderServers, **command: object) -> httpx.Response:
    return httpx.post(f"{servers.control_url}/control", json=command, trust_env=False)


def test_the_control_port_says_and_does_the_same() -> None:
    with in_background(tone=True) as servers:
        rules = [{"when": "hi", "say": "Over the wire.", "times": 1}]
        assert control(servers, rules=rules).status_code == httpx.codes.OK
        assert text(ask(servers.openai_url)) == "Over the wire."

        behaviour = {"status": 503}
        control(servers, capability="openai.chat", behaviour=behaviour, times=1)
        refused = ask(servers.openai_url)
        assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert refused.json()["error"]["type"] == "server_error"

        control(servers, refuse_keys=[KEY])
        assert ask(servers.openai_url).status_code == httpx.codes.UNAUTHORIZED
        control(servers, reset=True)
        assert text(ask(servers.openai_url)) == "You said: Hi."

        log = httpx.get(
            f"{servers.control_url}/log", params={"event": "request"}, trust_env=False
        ).json()
        assert [entry["asked"]["text"] for entry in log] == ["Hi", "Hi", "Hi"]
        httpx.delete(f"{servers.control_url}/log", trust_env=False)
        assert httpx.get(f"{servers.control_url}/log", trust_env=False).json() == []


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ({"capability": "openai.smell", "behaviour": {}}, "openai.chat"),
        ({"behaviour": {"latency_ms": 1}}, "capability"),
        ({"capability": "openai.chat", "behaviour": {"latency": 1}}, "latency"),
        ({"capability": "openai.chat", "behaviour": {"fault": "sulk"}}, "sulk"),
        ({"rules": [{"when": "x"}]}, "say"),
    ],
)
def test_a_mistaken_command_is_told(command: dict[str, object], named: str) -> None:
    with in_background(tone=True) as servers:
        answer = control(servers, **command)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert named in answer.json()["error"]


def test_the_process_says_where_it_is_and_stops_at_once() -> None:
    first = free_ports.block(PORTS)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.providers", "--first-port", str(first), "--tone"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    with process:
        try:
            assert process.stdout is not None
            first_line = process.stdout.readline()
            url = f"http://127.0.0.1:{first}/v1"
            assert f"offhook provider set openai --api-url {url}" in first_line
            assert text(ask(url)) == "You said: Hi."
        finally:
            process.terminate()
        assert process.wait(5.0) == 0
