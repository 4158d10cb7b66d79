"""What `make test` runs: every module once, and the equipment's own whenever in doubt."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import equipment, long_tests, suite

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
PARTS = [*suite.ALL_ALONG, *(each for lanes in suite.STAGES for lane in lanes for each in lane)]
MODULES = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/**/test_*.py"))]


ON_BOTH_ENGINES = tuple(
    f"tests/{name}/"
    for name in ("campaigns", "compliance", "control_plane", "recordings", "scheduler", "webhooks")
)


def runs(part: suite.Part, module: str) -> bool:
    """Return whether a part runs a module."""

    def within(folders: tuple[str, ...]) -> bool:
        return any(module == each or module.startswith(f"{each}/") for each in folders)

    return within(part.only) and not within(part.without)


def test_each_module_is_run_by_one_part() -> None:
    run_by = {each: [part.name for part in PARTS if runs(part, each)] for each in MODULES}
    assert {each: names for each, names in run_by.items() if len(names) != 1} == {}


def test_what_is_marked_long_is_run_by_a_part_of_the_long_suite() -> None:
    parts = [each for lanes in suite.LONG for lane in lanes for each in lane]
    others = [module for module in MODULES if ROOT / module != Path(__file__)]
    marked = [module for module in others if "pytest.mark.long" in (ROOT / module).read_text()]
    assert marked
    marked += [module for module in others if module.startswith(ON_BOTH_ENGINES)]
    assert [each for each in marked if not any(runs(part, each) for part in parts)] == []


SOME = """
import pytest

@pytest.mark.long
def test_long():
    pass

def test_short():
    pass

@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_plain(engine):
    pass

@pytest.mark.engines
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_locks(engine):
    pass
"""
USUAL = ["short", "plain[sqlite]", "locks[sqlite]", "locks[postgresql]"]
ALL = ["long", "short", "plain[sqlite]", "plain[postgresql]", *USUAL[2:]]


@pytest.mark.parametrize(
    ("asked", "with_all", "run"),
    [
        ("test_some.py", "", USUAL),
        ("test_some.py::test_long", "", ["long"]),
        ("test_some.py::test_plain", "", ["plain[sqlite]", "plain[postgresql]"]),
        ("test_some.py", "1", ALL),
    ],
)
def test_what_is_long_runs_where_it_is_asked_for(
    tmp_path: Path, asked: str, with_all: str, run: list[str]
) -> None:
    (tmp_path / "test_some.py").write_text(SOME)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n long: takes long\n engines: differs"
    )
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-p", "tests.long_tests"]
    told = subprocess.run(
        [*command, "--collect-only", "-q", asked],
        env={**os.environ, "PYTHONPATH": str(ROOT), long_tests.VARIABLE: with_all},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = [line.split("::test_")[1] for line in told.splitlines() if "::" in line]
    assert found == run


def test_what_a_part_names_is_there() -> None:
    named = {each for part in PARTS for each in (*part.only, *part.without)}
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []
    assert [each for each in equipment.STANDS_ON if not (ROOT / each).exists()] == []


FLAKY = """
from pathlib import Path

def test_flaky():
    begun = Path(__file__).with_suffix(".begun")
    times = len(begun.read_text()) if begun.exists() else 0
    begun.write_text("." * (times + 1))
    assert times >= {times}, "the machine was busy"

def test_sound():
    pass
"""


@pytest.mark.parametrize(
    ("text", "is_green", "runs"),
    [
        (FLAKY.format(times=1), True, 2),
        (FLAKY.format(times=2), True, 3),
        (FLAKY.format(times=3), False, 3),
        ("def test_wrong():\n    assert False, 'wrong'", False, 3),
        ("def test_wrong(:", False, 1),
    ],
)
def test_what_failed_is_judged_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    is_green: bool,
    runs: int,
) -> None:
    (tmp_path / "test_timed.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    part = suite.Part("timed", ("test_timed.py",))
    run = suite.Suite(tmp_path, is_long=False)
    asyncio.run(run.run([[[part]]], ()))
    run.conclude(0.0)
    told = capsys.readouterr().out
    assert len(run.done) == runs
    assert any(done.status for done in run.done) is not is_green
    if is_green:
        assert "failed, and passed alone" in told
        assert "the machine was busy" in told
        assert [*run.done[1].times.tests] == list(run.done[0].times.failed)
    else:
        assert "== failed: " in told or "SyntaxError" in told


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout whose equipment's tests have passed."""
    (tmp_path / "sip").mkdir()
    (tmp_path / "sip" / "front.py").write_text("PORT = 5060")
    (tmp_path / "pyproject.toml").write_text("")
    assert not equipment.has_passed(tmp_path)
    assert equipment.passed(["sip/front.py", "tests/wire/test_wire.py"], tmp_path) is None
    return tmp_path


def test_what_has_not_changed_has_passed(checkout: Path) -> None:
    (checkout / "README.md").write_text("nothing stands on it")
    assert equipment.has_passed(checkout)


@pytest.mark.parametrize("name", ["sip/front.py", "sip/new.py", "pyproject.toml"])
def test_what_has_changed_is_tested_again(checkout: Path, name: str) -> None:
    (checkout / name).write_text("PORT = 5070")
    assert not equipment.has_passed(checkout)


def test_what_is_gone_is_tested_again(checkout: Path) -> None:
    (checkout / "sip" / "front.py").unlink()
    assert not equipment.has_passed(checkout)


def test_nothing_is_kept_where_something_unwatched_was_imported(tmp_path: Path) -> None:
    why_not = equipment.passed(["sip/front.py", "agent/audio/output.py"], tmp_path)
    assert why_not is not None
    assert "agent/audio/output.py" in why_not
    assert not equipment.has_passed(tmp_path)
