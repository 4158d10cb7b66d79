"""Modules, functions and constructors stay readable."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "bench", "control_plane", "offhook", "process", "scheduler", "sip", "speech")
MODULE_LINES, TEST_MODULE_LINES, BODY_LINES, PARAMETERS = 400, 600, 60, 12
DRAWERS = {"utils", "helpers", "common", "core"}


def _modules(*packages: str) -> Iterator[Path]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "versions" not in path.parts:
                yield path


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_modules_are_short() -> None:
    limits = [(path, MODULE_LINES) for path in _modules(*PACKAGES)]
    limits += [(path, TEST_MODULE_LINES) for path in _modules("tests")]
    long = {
        str(path.relative_to(ROOT)): lines
        for path, limit in limits
        if (lines := len(path.read_text().splitlines())) > limit
    }
    assert long == {}


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{function.name}": lines
        for path in _modules(*PACKAGES)
        for function in _functions(path)
        if (lines := _body_lines(function)) > BODY_LINES
    }
    assert long == {}


def test_constructors_take_few_parameters() -> None:
    many = {
        f"{path.relative_to(ROOT)}:{function.lineno}": count
        for path in _modules(*PACKAGES)
        for function in _functions(path)
        if function.name == "__init__"
        and (count := len(function.args.args) - 1 + len(function.args.kwonlyargs)) > PARAMETERS
    }
    assert many == {}


def test_no_module_is_a_drawer() -> None:
    named = [str(p.relative_to(ROOT)) for p in _modules(*PACKAGES) if p.stem in DRAWERS]
    assert named == []


def test_tests_use_ports_instead_of_patches() -> None:
    """At most one mock line in ten tests."""
    mocks = tests = 0
    for path in _modules("tests"):
        if path == Path(__file__):
            continue
        text = path.read_text()
        mocks += text.count("mock.patch") + text.count("MagicMock(") + text.count("AsyncMock(")
        mocks += text.count("monkeypatch.setattr(")
        tests += sum(function.name.startswith("test_") for function in _functions(path))
    assert mocks <= tests * 0.1


def test_every_test_module_names_its_category() -> None:
    missing = [
        str(path.relative_to(ROOT))
        for path in _modules("tests")
        if path.name.startswith("test_") and "pytestmark = " not in path.read_text()
    ]
    assert missing == []
