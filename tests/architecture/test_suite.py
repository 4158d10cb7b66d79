"""What `make test` runs: every module once, and the equipment's own whenever in doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import equipment, suite

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
PARTS = [*suite.ALL_ALONG, *(each for lanes in suite.STAGES for lane in lanes for each in lane)]
MODULES = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/**/test_*.py"))]


def runs(part: suite.Part, module: str) -> bool:
    """Return whether a part runs a module."""

    def within(folders: tuple[str, ...]) -> bool:
        return any(module == each or module.startswith(f"{each}/") for each in folders)

    return within(part.only) and not within(part.without)


@pytest.mark.parametrize("module", MODULES)
def test_each_module_is_run_by_one_part(module: str) -> None:
    assert len([part.name for part in PARTS if runs(part, module)]) == 1


def test_what_a_part_names_is_there() -> None:
    named = {each for part in PARTS for each in (*part.only, *part.without)}
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []
    assert [each for each in equipment.STANDS_ON if not (ROOT / each).exists()] == []


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
    why_not = equipment.passed(["sip/front.py", "agent/audio_output.py"], tmp_path)
    assert why_not is not None
    assert "agent/audio_output.py" in why_not
    assert not equipment.has_passed(tmp_path)
