"""What a stranger looks for first is there, and says what is done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_licence_is_the_one_that_is_named() -> None:
    assert "Apache License\n                           Version 2.0" in read("LICENSE")
    for name in ("README.md", "pyproject.toml", "CONTRIBUTING.md"):
        assert "Apache-2.0" in read(name)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "README.md"])
def test_every_page_and_target_that_is_named_exists(name: str) -> None:
    text = read(name)
    for link in re.findall(r"\]\(([^)#:]+)", text):
        assert (ROOT / link).exists(), link
    makefile = read("Makefile")
    for target in re.findall(r"(?:`|^)make ([a-z][a-z -]*?)(?:`| {2}|$)", text, re.MULTILINE):
        for each in target.split():
            assert re.search(rf"^{each}:", makefile, re.MULTILINE), each


def test_ci_runs_the_one_script() -> None:
    workflow: dict[str, Any] = yaml.safe_load(read(".github/workflows/ci.yml"))
    suite = workflow["jobs"]["suite"]
    assert [step.get("run") for step in suite["steps"]][-1] == "bash .ci/run"
    assert suite["timeout-minutes"] == 90
    pythons = {
        version
        for job in workflow["jobs"].values()
        for version in job["strategy"]["matrix"]["python"]
    }
    assert pythons == {"3.11", "3.12", "3.13"}, "what pyproject.toml's requires-python allows"


def test_the_hooks_fetch_nothing() -> None:
    hooks: dict[str, Any] = yaml.safe_load(read(".pre-commit-config.yaml"))
    assert [repository["repo"] for repository in hooks["repos"]] == ["local"]
    for hook in hooks["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")
