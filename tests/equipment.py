"""The tests of the test equipment: run when it, or anything that it stands on, has changed.

What they passed with is kept in `.pytest_cache`, which is not in git: a new clone runs them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    "tests/carrier",
    "tests/listener",
    "tests/wire",
    "tests/providers/test_servers.py",
)
STANDS_ON = (
    "bench",
    "control_plane/__init__.py",
    "control_plane/domain",
    "process",
    "pyproject.toml",
    "requirements",
    "sip",
    "speech",
    "tests/carrier",
    "tests/listener",
    "tests/equipment.py",
    "tests/free_ports.py",
    "tests/providers",
    "tests/raw_http.py",
    "tests/timing.py",
    "tests/wire",
)
_PASSED = Path(".pytest_cache", "equipment-passed")


def has_passed(root: Path = ROOT) -> bool:
    """Return whether its tests have passed in this checkout with everything as it is now."""
    kept = root / _PASSED
    return kept.exists() and kept.read_text() == _state(root)


def passed(modules: Iterable[str], root: Path = ROOT) -> str | None:
    """Keep that they have passed; returns why not, where that cannot be known.

    Args:
        modules: the files that were imported for them: one that is not watched could change.
    """
    strangers = [name for name in modules if not _is_watched(name)]
    if strangers:
        return f"{', '.join(strangers[:5])} not in tests.equipment.STANDS_ON"
    (root / _PASSED).parent.mkdir(exist_ok=True)
    (root / _PASSED).write_text(_state(root))
    return None


def _is_watched(name: str) -> bool:
    return any(name == each or name.startswith(f"{each}/") for each in STANDS_ON)


def _state(root: Path) -> str:
    """Return a digest of every file that they stand on, and of the interpreter."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(_files(root)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root)} {content}\n".encode())
    return digest.hexdigest()


def _files(root: Path) -> Iterable[Path]:
    for each in STANDS_ON:
        path = root / each
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and file.suffix != ".pyc")
