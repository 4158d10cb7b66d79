"""docker-compose.yml is valid and keeps its secrets in .env; no Docker engine is needed to know."""

from __future__ import annotations

import importlib.resources
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from offhook import livekit_server

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SECRET_WORDS = ("PASSWORD", "SECRET", "LIVEKIT_KEYS")


def _schema() -> dict[str, Any]:
    bundled = importlib.resources.files("check_jsonschema.builtin_schemas.vendor")
    schema: dict[str, Any] = json.loads((bundled / "compose-spec.json").read_text())
    return schema


def test_it_follows_the_compose_specification() -> None:
    jsonschema.validate(COMPOSE, _schema())


def test_the_schema_would_notice_a_mistake() -> None:
    broken = {**COMPOSE, "services": {"x": {"image": 3}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, _schema())


def test_every_part_is_there() -> None:
    ours = {"control-plane", "scheduler", "agent", "aftercall"}
    assert set(COMPOSE["services"]) == ours | {"livekit", "sip", "redis", "postgres"}
    assert COMPOSE["services"]["livekit"]["image"].endswith(f":v{livekit_server.VERSION}")


def test_secrets_come_from_the_environment_or_nothing_starts() -> None:
    for service in COMPOSE["services"].values():
        for name, value in (service.get("environment") or {}).items():
            if any(word in name for word in SECRET_WORDS):
                assert re.search(r"\$\{\w+:\?", str(value)), name
    assert ":-" not in TEXT, "a secret with a default is no secret"
    assert not re.search(r"://\w+:(?!\$)\w+@", TEXT)


def test_the_internal_listener_and_the_stores_are_not_published() -> None:
    for name, service in COMPOSE["services"].items():
        for mapping in service.get("ports", []):
            if name in ("control-plane", "redis", "postgres"):
                assert mapping.startswith("127.0.0.1:"), mapping
            assert "7901" not in mapping


def test_processes_start_as_modules_and_the_image_holds_them() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name in ("control-plane", "scheduler", "agent", "aftercall"):
        command = COMPOSE["services"][name]["command"]
        assert command[:2] == ["python", "-m"]
        module = command[2].split(".")
        assert ROOT.joinpath(*module, "__main__.py").is_file()
        assert f"COPY {module[0]} {module[0]}" in dockerfile
