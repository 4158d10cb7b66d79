"""The lock files hold everything pyproject.toml asks for, and agree with it, on every Python."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.lock import LOCKS, pinned

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = {"3.11": "3.11.0", "3.12": "3.12.0", "3.13": "3.13.0"}
OF_PYPROJECT = [lock for lock in LOCKS if not lock.wanted]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"

Environment = dict[str, str]


def environment(python: str) -> Environment:
    """The markers' world: Linux x86-64 with CPython."""
    return {
        "implementation_name": "cpython",
        "implementation_version": PYTHONS[python],
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": PYTHONS[python],
        "python_version": python,
        "sys_platform": "linux",
    }


def pins(name: str, where: Environment) -> dict[str, Version]:
    """What a lock installs in an environment; twice the same name is a mistake."""
    found: dict[str, Version] = {}
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    for line in re.findall(r"^[\w.-]+==[^\\\n]+", text, re.MULTILINE):
        pin = Requirement(line)
        if pin.marker is not None and not pin.marker.evaluate({**where}):
            continue
        key = canonicalize_name(pin.name)
        assert key not in found, f"{key} is pinned twice"
        found[key] = Version(str(pin.specifier).removeprefix("=="))
    return found


def locked(name: str, where: Environment) -> dict[str, Version]:
    """What is installed once a lock is: its own, and that of the lock it lies beside."""
    lock = next(each for each in LOCKS if each.name == name)
    return (pins(lock.upon, where) if lock.beside else {}) | pins(name, where)


def wanted(extras: tuple[str, ...]) -> list[Requirement]:
    """What pyproject.toml asks for."""
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def walk(
    start: list[Requirement], have: dict[str, Version], where: Environment
) -> tuple[set[str], set[str], list[str]]:
    """Follow requirements through the installed packages' own words.

    Returns:
        The packages that are needed; those of them whose needs are unknown here; what is wrong.
    """
    needed: set[str] = set()
    unknown: set[str] = set()
    wrong: list[str] = []
    seen: set[tuple[str, str]] = set()
    todo = [(each, "") for each in start]
    while todo:
        asked, extra = todo.pop()
        if asked.marker is not None and not asked.marker.evaluate({**where, "extra": extra}):
            continue
        name = canonicalize_name(asked.name)
        needed.add(name)
        if name not in have:
            wrong.append(f"{asked} is not locked")
            continue
        if not asked.specifier.contains(have[name], prereleases=True):
            wrong.append(f"{asked}, but {have[name]} is locked")
        for each in ("", *asked.extras):
            if (name, each) in seen:
                continue
            seen.add((name, each))
            try:
                theirs = requires(name) or []
            except PackageNotFoundError:
                unknown.add(name)
                continue
            todo += [(Requirement(line), each) for line in theirs]
    return needed, unknown, wrong


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", [lock.name for lock in OF_PYPROJECT])
def test_a_lock_is_complete_and_agrees_with_pyproject(lock: str, python: str) -> None:
    extras = next(each.extras for each in LOCKS if each.name == lock)
    where = environment(python)
    have = locked(lock, where)
    needed, unknown, wrong = walk(wanted(extras), have, where)
    assert wrong == []
    # What is not installed here tells nobody what it needs: the peers, and other Pythons' own.
    assert unknown <= set(pins("bench", where)) | (set(have) - set(locked(lock, environment(HERE))))
    if not unknown:
        assert set(have) == needed, "locked, but nothing asks for it"


@pytest.mark.parametrize("python", PYTHONS)
def test_a_missing_pin_and_a_wrong_one_are_found(python: str) -> None:
    where = environment(python)
    have = locked("run", where)
    broken = {**have, "google-auth": Version("1.0")}
    del broken["rsa" if "rsa" in broken else "cachetools" if "cachetools" in broken else "anyio"]
    _, _, wrong = walk(wanted(("embedded",)), broken, where)
    assert any("google-auth" in line for line in wrong)
    assert any("is not locked" in line for line in wrong)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_locks_agree_with_each_other(python: str) -> None:
    where = environment(python)
    run, dev = pins("run", where), pins("dev", where)
    assert {name: dev.get(name) for name in run} == run


def test_no_pin_of_bench_is_one_of_dev() -> None:
    dev, bench = ((ROOT / "requirements" / f"{name}.txt").read_text() for name in ("dev", "bench"))
    assert pinned(dev) & pinned(bench) == set()


def test_every_lock_is_made_by_the_tool() -> None:
    files = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    assert files == {lock.name for lock in LOCKS}


def test_the_image_installs_the_lock_and_resolves_nothing() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    lines = [line for line in dockerfile.splitlines() if "pip install" in line]
    assert lines
    for line in lines:
        assert "--no-deps --require-hashes" in line
        assert "pip check" in line
