"""What README says of the code is true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from offhook import ports

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def _defined(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


def test_every_symbol_of_the_call_path_exists() -> None:
    rows = re.findall(r"`([\w/]+\.py)` `(\w+)`", README)
    assert len(rows) >= 9
    missing = [f"{file} {name}" for file, name in rows if name not in _defined(ROOT / file)]
    assert missing == []


def test_the_port_table_is_the_ports_in_use() -> None:
    rows = re.findall(r"^\| `([A-Z_, ]+)` \| (\S+) \| (.+) \|$", README, re.MULTILINE)
    assert rows == list(ports.table())


def test_every_make_target_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z][a-z-]+)", README))
    assert named
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.M)} == set()
