"""What the widget is built from, and how much of it a page loads."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from offhook import widget

pytestmark = pytest.mark.system

LARGEST = 180_000
"""Bytes that a page loads, compressed."""


@pytest.mark.parametrize("name", ["offhook-call.js", "offhook-call.mjs"])
def test_a_page_loads_little(built: Path, name: str) -> None:
    assert 50_000 < (built / f"{name}.gz").stat().st_size <= LARGEST


def test_the_types_agree(built: Path, axe: str) -> None:
    node = widget.find_node(os.environ, print)
    done = subprocess.run(
        [node.node, "node_modules/typescript/bin/tsc", "--noEmit"],
        cwd=widget.WEB,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_lock_names_no_registry_and_no_sponsor() -> None:
    lock = json.loads((widget.WEB / "package-lock.json").read_text())
    packages = {path: each for path, each in lock["packages"].items() if path}
    assert len(packages) > 10
    for path, each in packages.items():
        assert "resolved" not in each, path
        assert "funding" not in each, path  # `npm install` writes it again: take it out
        assert each["integrity"].startswith("sha512-"), path
