"""Set-up installs what the locks list, whatever has been released since."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from offhook import dependencies
from offhook.dependencies import uv_path
from offhook.installation import Installation
from offhook.livekit_server import LiveKitServer
from offhook.parts import parts
from tests.in_thread import answering

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]
PINNED = {"alpha": "1.0", "beta": "2.0", "gamma": "3.0", "delta": "1.5", "builder": "1.0"}
NEWER = {"beta": "2.1", "gamma": "3.0.1", "delta": "2.0"}
# As google-genai asks for google-auth[requests]: with an extra, and pip looks for the newest.
REQUIRES = {"alpha": ["beta[more]<3,>=2", "gamma>=3"], "beta": ['delta>=1; extra == "more"']}
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
BUILDER = f"""
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name, info = "offhook-0.1.0-py3-none-any.whl", "offhook-0.1.0.dist-info"
    metadata = "Metadata-Version: 2.1\\nName: offhook\\nVersion: 0.1.0\\n"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr(info + "/METADATA", metadata)
        wheel.writestr(info + "/WHEEL", {WHEEL!r})
        wheel.writestr(info + "/RECORD", "")
    return name
"""


def wheel(folder: Path, name: str, version: str) -> Path:
    """Write a wheel that pip and uv take for real, into `folder` of a package index."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: more\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in REQUIRES.get(name, []))
    path = folder / name / f"{name}-{version}-py3-none-any.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": BUILDER if name == "builder" else f"version = {version!r}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": WHEEL,
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            # Always the same bytes: it is written twice, and its digest is pinned.
            archive.writestr(zipfile.ZipInfo(file), text)
    return path


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index on loopback; three of its five packages have a release after the pin."""
    folder = tmp_path / "index"
    for name, version in [*PINNED.items(), *NEWER.items()]:
        wheel(folder, name, version)
    serve = partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    with answering(server):
        yield f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What set-up needs of this checkout, with a lock of the tiny packages."""
    checkout = tmp_path / "checkout"
    (checkout / "offhook").mkdir(parents=True)
    for file in ("Makefile", "offhook/__init__.py", "offhook/dependencies.py"):
        shutil.copy(ROOT / file, checkout / file)
    shutil.copy(ROOT / "offhook/livekit_server.py", checkout / "offhook/livekit_server.py")
    shutil.copytree(ROOT / "requirements", checkout / "requirements")
    lines = []
    for name, version in PINNED.items():
        digest = hashlib.sha256(wheel(tmp_path / "pinned", name, version).read_bytes()).hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{digest}\n")
    (checkout / "requirements/run.txt").write_text("".join(lines))
    (checkout / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["builder"]\nbuild-backend = "builder"\n'
        '[project]\nname = "offhook"\nversion = "0.1.0"\n'
    )
    return checkout


def environment(tmp_path: Path, index: str) -> dict[str, str]:
    """The least that a command needs, and pip's own way to be told of an index."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "PYTHON": sys.executable,
        "PIP_INDEX_URL": index,
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }


def installed(python: Path) -> dict[str, str]:
    """Return the versions of the tiny packages in an environment."""
    code = (
        "from importlib.metadata import distributions\n"
        "for d in distributions(): print(d.metadata['Name'], d.version)"
    )
    told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    found = dict(line.split() for line in told.splitlines())
    return {name: version for name, version in found.items() if name in {*PINNED, "offhook"}}


def test_a_newer_release_changes_nothing(tmp_path: Path, checkout: Path, index: str) -> None:
    prefix = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    # uv itself is there: the index of this test has none.
    shutil.copytree(uv_path().parents[1], prefix / "uv")
    env = environment(tmp_path, index)
    made = ["make", "venv-run", "LIVEKIT="]
    done = subprocess.run(made, cwd=checkout, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(prefix / "bin/python") == {**PINNED, "offhook": "0.1.0"}


def test_the_benchs_lock_is_installed_beside(tmp_path: Path, checkout: Path, index: str) -> None:
    prefix = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    shutil.copytree(uv_path().parents[1], prefix / "uv")
    digest = hashlib.sha256(wheel(tmp_path / "pinned", "gamma", "3.0.1").read_bytes()).hexdigest()
    (checkout / "requirements/bench.txt").write_text(f"gamma==3.0.1 --hash=sha256:{digest}\n")
    python = str(prefix / "bin/python")
    for command in (
        ["make", "venv-run", "LIVEKIT="],
        [python, "-m", "offhook.dependencies", "bench"],
    ):
        env = environment(tmp_path, index)
        done = subprocess.run(
            command, cwd=checkout, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert installed(prefix / "bin/python") == {**PINNED, "gamma": "3.0.1", "offhook": "0.1.0"}


def test_what_resolves_would_have_failed(tmp_path: Path, checkout: Path, index: str) -> None:
    """The trap is really laid: pip's own way of reading the same lock refuses it."""
    lock = checkout / "requirements/run.txt"
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--require-hashes", "--target", target]
    done = subprocess.run(
        [*command, "--no-cache-dir", "-r", lock],
        env=environment(tmp_path, index),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "beta[more]" in done.stderr


def test_what_a_lock_cannot_bring_is_told_with_the_remedy(
    tmp_path: Path, checkout: Path, index: str
) -> None:
    prefix = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    shutil.copytree(uv_path().parents[1], prefix / "uv")
    lock = checkout / "requirements/run.txt"
    lock.write_text(lock.read_text().replace("sha256:", "sha256:0000")[:-5] + "\n")
    done = subprocess.run(
        ["make", "venv-run", "LIVEKIT="],
        cwd=checkout,
        env=environment(tmp_path, index),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "UV_DEFAULT_INDEX" in done.stdout
    assert installed(prefix / "bin/python") == {}


def test_what_is_prepared_is_what_is_started(tmp_path: Path) -> None:
    home = Installation({"OFFHOOK_DATA": str(tmp_path)})
    livekit = LiveKitServer(("livekit-server",), "build", "here")
    started = {part.command for part in parts(home, livekit) if part.name != "livekit"}
    assert {f"{command[2]}.__main__" for command in started} == set(dependencies.PARTS)


def test_what_is_prepared_need_not_be_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependencies, "PARTS", ("tests.free_ports",))
    told: list[str] = []
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    dependencies.prepare({**environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}, told.append)
    assert list(tmp_path.rglob("free_ports.*.pyc"))
    assert told == ["compiling what the parts import", "building the widget"]
