"""What docs/reference says is what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.main import get_command

from agent.aftercall.settings import AfterCallSettings
from agent.settings import AgentSettings
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.dial_errors import DialFailureKind, of_kind, of_status
from control_plane.domain.events import EndReason
from control_plane.domain.providers import Provider
from control_plane.domain.waiting import Cause
from control_plane.recordings.settings import RecordingSettings
from control_plane.settings import ApiSettings, StorageSettings
from offhook import ports
from offhook.cli import app
from offhook.voices import VOICES
from process.addresses import HttpSettings
from process.traces import TraceSettings
from scheduler.settings import SchedulerSettings
from sip.carrier.scenarios import listing
from sip.carrier.settings import CarrierSettings
from sip.gateway.settings import Settings as GatewaySettings
from sip.settings import LiveKitSettings

pytestmark = pytest.mark.unit

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
STRUCTS = (
    AfterCallSettings,
    AgentSettings,
    ApiSettings,
    CarrierSettings,
    GatewaySettings,
    HttpSettings,
    LiveKitSettings,
    RecordingSettings,
    SchedulerSettings,
    StorageSettings,
    TraceSettings,
)


def rows(page: str) -> list[list[str]]:
    """Return the cells of every row of the page's tables."""
    text = (FOLDER / page).read_text()
    return [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]


def commands() -> dict[str, Any]:
    """Return every command by its name on the command line."""
    found: dict[str, Any] = {}
    top: Any = get_command(app)
    for name, command in top.commands.items():
        inner = getattr(command, "commands", {})
        found |= {f"{name} {each}": one for each, one in inner.items()} or {name: command}
    return found


def words(page: str, column: int = 0) -> set[str]:
    """Return what stands in code style in a column of the page's tables."""
    return {word for row in rows(page) for word in re.findall(r"`([^`]+)`", row[column])}


def test_every_setting_is_there_with_its_default() -> None:
    told = {
        name: row[1] for row in rows("settings.md") for name in re.findall(r"[A-Z0-9_]{5,}", row[0])
    }
    for kind in STRUCTS:
        for field in msgspec.structs.fields(kind):
            name = field.encode_name
            assert name in told, name
            if "PORT" not in name and not field.required and field.default:
                shown = str(field.default).removesuffix(".0")
                shown = shown.lower() if field.default is True else shown
                assert f"`{shown}`" in told[name], name
    for setting, default, _ in ports.table():
        for name in setting.split(", "):
            assert default in told[name]


def test_every_command_is_there() -> None:
    assert words("commands.md") >= {f"offhook {name}" for name in commands()}


def test_every_option_is_there() -> None:
    text = (FOLDER / "commands.md").read_text()
    for name, command in commands().items():
        for flag in (flag for option in command.params for flag in option.opts):
            if flag.startswith("--") and flag not in {"--help", "--default", "--follow"}:
                assert flag in text, (name, flag)


def test_every_provider_is_there() -> None:
    text = " ".join((FOLDER / "commands.md").read_text().split())
    assert f"NAME one of {', '.join(Provider)}" in text
    assert f"--provider {'|'.join(VOICES)}" in text


def test_the_simulators_numbers_are_those_it_lists() -> None:
    told = [[cell.strip(" `") for cell in row[:3]] for row in rows("simulator.md")[2:]]
    printed = [re.split(r"\s{2,}", line.strip(), maxsplit=2) for line in listing().splitlines()]
    assert told == [row for row in printed if row[0].startswith("+")]


def test_every_state_is_there() -> None:
    told = words("call-states.md")
    assert told >= {each.value for each in (*OrderStatus, *AttemptStatus, *Cause)}
    text = (FOLDER / "call-states.md").read_text()
    assert [reason for reason in EndReason if f"`{reason.value}`" not in text] == []


def test_every_sip_answer_of_the_table_is_there() -> None:
    told = {
        int(status): row[1].strip(" `")
        for row in rows("call-states.md")
        for status in re.findall(r"\b[3-6]\d\d\b", row[0])
    }
    rest = of_kind(DialFailureKind.OUTCOME_UNKNOWN)
    table = {s: of_status(s).dial_error for s in range(300, 700) if of_status(s) != rest}
    assert told == table
