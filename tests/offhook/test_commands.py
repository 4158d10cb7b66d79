"""The command line against a real API: what it says, and the status it ends with."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from sqlalchemy import select
from typer.testing import CliRunner, Result

from control_plane.app import Resources, create_public_app, open_resources
from control_plane.db.models.trunk import Trunk
from control_plane.settings import ApiSettings, Settings, StorageSettings
from control_plane.trunks import pace
from offhook import parts
from offhook.api_client import ApiClient, ApiProblem, connect
from offhook.cli import PARTS, app
from offhook.doctor import Finding, keys
from offhook.installation import Installation
from offhook.livekit_server import LiveKitServer
from process.addresses import HttpSettings
from sip.settings import LiveKitSettings
from tests.providers.servers import ProviderServers, serving

pytestmark = pytest.mark.db

GOOD, BAD = "sk-good-0123456789abcdef", "sk-bad-0123456789abcdef"


class Line:
    """A data folder whose API is up, and the command line that uses it."""

    def __init__(self, resources: Resources, home: Installation):
        self.resources = resources
        self.home = home

    async def run(self, *words: str, typed: str = "") -> Result:
        """Return what a command printed and its status."""
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, list(words), input=typed))

    async def ask(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """Return the API's answer to what the command line has no command for."""
        with connect(self.home) as api:
            return await asyncio.to_thread(getattr(api, method), path, body)

    async def doctor(self) -> list[Finding]:
        """Return what the doctor says of keys."""
        with connect(self.home) as api:
            return await asyncio.to_thread(lambda: list(keys(api)))


@pytest.fixture
async def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    """A first start with its API on a port; it may reach this machine."""
    data = tmp_path / "data"
    settings = Settings(
        storage=StorageSettings(data=str(data)),
        api=ApiSettings(embedded=True, worker_health_url="http://127.0.0.1:1/worker"),
        livekit=LiveKitSettings(url="ws://127.0.0.1:1", api_key="key", api_secret="s" * 32),
        outbound=HttpSettings("127.0.0.0/8"),
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # who connects before the server is up waits for it
        port = str(listening.getsockname()[1])
        monkeypatch.setenv("OFFHOOK_DATA", str(data))
        monkeypatch.setenv("OFFHOOK_API_PORT", port)
        async with open_resources(settings) as resources:
            server = uvicorn.Server(
                uvicorn.Config(create_public_app(resources), ws="none", log_config=None)
            )
            serve = asyncio.create_task(server.serve([listening]))
            home = Installation({"OFFHOOK_DATA": str(data), "OFFHOOK_API_PORT": port})
            yield Line(resources, home)
            server.should_exit = True
            await serve


@pytest.fixture
async def servers() -> AsyncIterator[ProviderServers]:
    async with serving(tone=True) as started:
        started.controls.refuse_keys(BAD)
        yield started


async def test_provider_set_says_what_the_provider_answered(
    line: Line, servers: ProviderServers
) -> None:
    openai = ("provider", "set", "openai", "--api-url", servers.openai_url)
    bad = await line.run(*openai, typed=BAD)
    assert bad.exit_code == 1
    assert "openai refused the key (401)" in bad.output
    assert "nothing was stored" in bad.output
    assert (await line.run("provider", "list")).output == ""
    good = await line.run(*openai, typed=GOOD)
    assert (good.exit_code, good.output) == (
        0,
        "provider openai stored: openai accepted the key: it listed its models\n",
    )
    assert "openai  ****cdef" in (await line.run("provider", "list")).output


async def test_no_check_stores_what_cannot_be_asked_about(line: Line) -> None:
    nobody = ("provider", "set", "cartesia", "--api-url", "http://127.0.0.1:9")
    away = await line.run(*nobody, typed=GOOD)
    assert away.exit_code == 1
    assert "could not be reached" in away.output
    assert "--no-check" in away.output
    kept = await line.run(*nobody, "--no-check", typed=GOOD)
    assert (kept.exit_code, kept.output) == (
        0,
        "provider cartesia stored: cartesia was not asked about the key\n",
    )


async def test_the_doctor_says_of_keys_what_it_verified(
    line: Line, servers: ProviderServers
) -> None:
    [none] = await line.doctor()
    assert (none.good, none.seen) == (True, "no provider key: the embedded demo speaks")
    for name, key in (("openai", GOOD), ("mistral", BAD)):
        url = servers.openai_url if name == "openai" else servers.mistral_url
        await line.ask("put", f"/provider/{name}", {"api_key": key, "api_url": url})
    await line.ask("put", "/provider/cartesia", {"api_key": GOOD, "api_url": "http://127.0.0.1:9"})
    cartesia, mistral, openai = await line.doctor()
    assert (openai.check, openai.good) == ("provider openai", True)
    assert openai.seen == "asked just now, it accepted the key: it listed its models"
    assert not mistral.good
    assert "refused the key (401)" in mistral.seen
    assert mistral.remedy == "`offhook provider set mistral`"
    assert not cartesia.good
    assert "could not be reached" in cartesia.seen


async def test_an_assistant_that_nothing_uses_does_not_fail_the_doctor(line: Line) -> None:
    model = {"type": "dedicated-instance", "name": "gpt-4.1"}
    body = {"name": "Ann", "prompt": "p", "llm_model": model}
    made = (await line.ask("post", "/assistant", body))["assistant"]
    _, unused = await line.doctor()
    assert (unused.check, unused.good) == ("assistant Ann", True)
    assert "needs a key for openai, once a number or an order names it" in unused.seen
    number = {"phone_number": "+14155552671", "assistant_id": made["id"]}
    added = await line.ask("post", "/number", number)
    _, answering = await line.doctor()
    assert (answering.good, answering.seen) == (False, "needs a key for openai")
    assert answering.remedy == "`offhook provider set openai`"
    await line.ask("patch", f"/number/{added['id']}", {"assistant_id": None})
    await line.ask("patch", f"/assistant/{made['id']}", {"is_default": True})
    _, default = await line.doctor()
    assert not default.good


async def test_trunk_list_says_why_calls_are_stopped(line: Line) -> None:
    plain = await line.run("trunk", "list")
    assert plain.exit_code == 0
    assert "simulator  outbound  127.0.0.1:5090  0 of 20 calls  default\n" in plain.output
    assert "None" not in plain.output
    async with line.resources.database.transaction() as session:
        trunk = (await session.scalars(select(Trunk).where(Trunk.name == "simulator"))).one()
        now = datetime.now(UTC)
        await pace.stop_destination(session, trunk.id, "+44", "SIP 403 Forbidden", now)
        trunk.apply_error = "no such host"
    stopped = (await line.run("trunk", "list")).output
    assert "calls to +44 stopped at " in stopped
    assert ": SIP 403 Forbidden\n" in stopped
    assert "`offhook trunk resume simulator`" in stopped
    assert "not at the SIP service: no such host" in stopped
    async with line.resources.database.transaction() as session:
        await pace.stop(session, trunk.id, "SIP 407 the password was refused", now)
    whole = (await line.run("trunk", "list")).output
    assert "SIP 407 the password was refused" in whole
    assert (await line.run("trunk", "resume", "simulator")).exit_code == 0
    assert "stopped" not in (await line.run("trunk", "list")).output


async def test_an_organization_is_added_used_suspended_and_resumed(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = await line.run("org", "add", "Acme")
    assert added.exit_code == 0, added.output
    assert added.output.startswith("organization Acme added\n")
    key = next(word for word in added.output.split() if word.startswith("ok_"))
    assert "OFFHOOK_API_KEY" in added.output
    trunk = ("trunk", "add", "real", "--number", "+14155552671", "--address", "carrier.example")
    with monkeypatch.context() as of_acme:
        of_acme.setenv("OFFHOOK_API_KEY", key)
        assert (await line.run(*trunk)).output == "trunk real added\n"
        refused = await line.run("org", "list")
        assert (refused.exit_code, "lacks the scope operator" in refused.output) == (1, True)
    assert "real" not in (await line.run("trunk", "list")).output
    listed = (await line.run("org", "list")).output.splitlines()
    [acme, default] = [each.split("  ") for each in listed]
    assert (acme[1:], default[1:]) == (["Acme"], ["default"])
    assert added.output.splitlines()[1] == f"  id   {acme[0]}"
    told = await line.run("org", "suspend", "Acme")
    assert (told.exit_code, "is suspended: no new call" in told.output) == (0, True)
    assert f"{acme[0]}  Acme  suspended since 20" in (await line.run("org", "list")).output
    gone_on = await line.run("org", "resume", acme[0])
    assert (gone_on.exit_code, gone_on.output) == (0, "organization Acme goes on\n")
    assert "suspended" not in (await line.run("org", "list")).output
    for words in (("suspend", "Nobody"), ("add", "Acme")):
        failed = await line.run("org", *words)
        assert failed.exit_code == 1
        assert "`offhook org list`" in failed.output or "choose another" in failed.output


async def test_a_name_is_no_trick_on_whoever_reads_it(line: Line) -> None:
    """An organization names itself: by another's id, or with what a terminal would obey."""
    made = [await line.ask("post", "/organizations", {"name": name}) for name in ("a", "b")]
    a, b = (each["organization"]["id"] for each in made)
    for name, seen in ((a, a), ("x\x1b[2J\ny", "x?[2J?y")):
        with ApiClient(line.home.api_url, made[1]["key"]["key"]) as api:
            await asyncio.to_thread(api.patch, "/organization", {"name": name})
        assert f"{b}  {seen}\n" in (await line.run("org", "list")).output
        await line.run("org", "suspend", a)
        listed = (await line.run("org", "list")).output
        assert f"{b}  {seen}\n{a}  a  suspended" in listed


def test_the_key_of_a_command_is_not_handed_to_every_process(tmp_path: Path) -> None:
    given = {"OFFHOOK_DATA": str(tmp_path), "OFFHOOK_API_KEY": "ok_1_secret", "OFFHOOK_X": "y"}
    home = Installation(given)
    home.prepare()
    assert home.api_key == "ok_1_secret"
    assert "OFFHOOK_API_KEY" not in home.environment()
    assert home.environment()["OFFHOOK_X"] == "y"
    with pytest.raises(ApiProblem, match="no credentials"):
        connect(home, first=True)


async def test_an_address_that_is_a_uri_is_refused_by_the_command_line(line: Line) -> None:
    words = ("trunk", "add", "real", "--number", "+14155552671", "--address")
    refused = await line.run(*words, "sip:carrier.example")
    assert refused.exit_code == 1
    assert "with sip: before the host: write carrier.example" in refused.output
    assert (await line.run(*words, "carrier.example")).output == "trunk real added\n"


@pytest.mark.parametrize(
    "words",
    [
        ("cal",),
        ("trunk", "ad"),
        ("call",),
        ("doctor", "x"),
        ("up", "--onec"),
        ("reset", "--no"),
        ("logs", "gatewai"),
        ("provider", "set", "opnai"),
        ("voices", "--provider", "openai"),
        ("voices", "preview", "x", "--provider", "openai"),
        ("trunk", "add", "x", "--address", "a", "--number", "+14155552671", "--transport", "tls"),
        ("trunk", "add", "x", "--address", "a", "--number", "+14155552671", "--max-calls", "many"),
    ],
)
def test_what_is_typed_wrong_ends_with_2(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFHOOK_DATA", str(tmp_path))
    assert CliRunner().invoke(app, list(words)).exit_code == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("logs", "gateway"), "no log of gateway yet"),
        (("reset",), "`offhook reset --yes`"),
        (("trunk", "list"), "`make up`"),
        (("allow", "GB"), "`make up`"),
    ],
)
def test_what_cannot_be_done_ends_with_1_and_the_remedy(
    words: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFHOOK_DATA", str(tmp_path))
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 1
    assert told in done.output


@pytest.mark.parametrize(
    "words",
    [("trunk", "list"), ("voices",), ("allow", "GB"), ("webhooks", "replay", "x"), ("down",)],
)
def test_a_setting_that_cannot_be_used_is_named(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFHOOK_API_PORT", "seven")
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 1
    assert "OFFHOOK_API_PORT is 'seven'" in done.output


def test_logs_knows_every_part(tmp_path: Path) -> None:
    home = Installation({"OFFHOOK_DATA": str(tmp_path)})
    livekit = LiveKitServer(("livekit-server",), "path", "it is on PATH")
    assert {part.name for part in parts.parts(home, livekit)} == set(PARTS)
