"""Set-up: installs what a lock file lists and resolves nothing; obtains livekit-server beside it.

`python -m offhook.dependencies run|dev|bench|uv` runs on a bare Python, before anything is
installed: it and what it imports need the standard library alone. pip only brings uv, which is
pinned by hash; uv installs a lock as it stands, where pip would resolve it again and stumble over
the first release that is newer than a pin.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from offhook.livekit_server import NoLiveKitServer, obtain

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
INSTALL_LIMIT_S = 1_800
PREPARE_LIMIT_S = 1_800
HTTP_LIMIT_S = "180"
PARTS = (
    *("agent.__main__", "agent.aftercall.__main__", "control_plane.__main__"),
    *("scheduler.__main__", "sip.carrier.__main__", "sip.gateway.__main__"),
)
"""What `offhook up` starts; these import all that a part does before its first call."""

Say = Callable[[str], None]

_PROGRESS = re.compile(r"\s*(?:Downloading .*\(\d{2,}[\d.]*MiB\)|Prepared|Installed)")
"""The lines of uv's worth showing: what takes long."""


class SetUpFailed(Exception):
    """What a lock lists could not be installed; the message names the cure."""


def main() -> int:
    """Set up one environment and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m offhook.dependencies")
    parser.add_argument(
        "lock", help="run, dev, bench, pipecat: requirements/LOCK.txt; uv: uv alone"
    )
    parser.add_argument("--venv", type=Path, default=Path(sys.prefix), help="where to install")
    parser.add_argument("--livekit", action="store_true", help="obtain livekit-server meanwhile")
    chosen = parser.parse_args()
    began = time.monotonic()
    with ThreadPoolExecutor(1) as threads:
        obtaining = partial(_run, "livekit-server", partial(_obtain, os.environ))
        livekit = threads.submit(obtaining) if chosen.livekit else None
        problems = [_run("dependencies", partial(install, chosen.lock, chosen.venv, os.environ))]
        if livekit and not livekit.done() and not problems[0]:
            problems.append(_run("first start", partial(prepare, os.environ)))
        if livekit:
            problems.append(livekit.result())
    problems = [each for each in problems if each]
    for problem in problems:
        _print(f"✗ {problem}")
    if not problems and chosen.livekit:
        _print(f"Set up in {time.monotonic() - began:.0f} s.")
    return 1 if problems else 0


def install(lock: str, venv: Path, environ: Mapping[str, str], say: Say) -> None:
    """Install exactly what `requirements/LOCK.txt` lists into `venv`, and check that it agrees.

    Args:
        lock: `run` or `dev`: the environment of this checkout, which is installed editable;
            `bench`: in addition to what is there; `uv`: nothing but uv; any other: alone.
        environ: pip's settings of an index and of certificates are handed on to uv.
        say: receives progress, a line at a time.

    Raises:
        SetUpFailed: naming the cure.
    """
    uv = _uv(say)
    if lock == "uv":
        return
    file = LOCKS / f"{lock}.txt"
    env = {**environ, **_index_settings(environ), "VIRTUAL_ENV": str(venv)}
    exactly = ["install", "--no-deps", "-r"] if lock == "bench" else ["sync"]
    say(f"installing what requirements/{file.name} lists (pinned, hashes checked)")
    _call([uv, "pip", *exactly, str(file), "--require-hashes"], env, say)
    if lock in ("run", "dev"):
        editable = ["install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
        _call([uv, "pip", *editable], env, say)
    _call([uv, "pip", "check"], env, say)


def prepare(environ: Mapping[str, str], say: Say) -> None:
    """Do what the first start would: compile what the parts import, and build the widget.

    It takes what the build of livekit-server, which goes on meanwhile, leaves of the processors.
    What fails here is told by the start itself.
    """
    imports = "\n".join(f"import {part}" for part in PARTS)
    for told, command in (
        ("compiling what the parts import", ("-c", imports)),
        ("building the widget", ("-m", "offhook", "widget", "build")),
    ):
        say(told)
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [sys.executable, *command],
                cwd=ROOT,
                env=dict(environ),
                preexec_fn=_yield,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=PREPARE_LIMIT_S,
                check=False,
            )


def uv_path() -> Path:
    """Return where this environment's uv is; beside its packages, which are the lock's alone."""
    return Path(sys.prefix) / "uv" / "bin" / "uv"


def _uv(say: Say) -> str:
    """Return the uv of `requirements/uv.txt`, fetched by pip when it is not there."""
    path, lock = uv_path(), LOCKS / "uv.txt"
    pinned = re.search(r"^uv==(\S+)", lock.read_text(), re.MULTILINE)
    assert pinned is not None
    if path.exists() and _output([str(path), "--version"]).split()[1:2] == [pinned[1]]:
        return str(path)
    say(f"fetching uv {pinned[1]}, which installs the rest")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--upgrade", "--target", str(path.parents[1])]
    _call([*command, "-r", str(lock)], os.environ, say)
    return str(path)


def _index_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return, as uv's, what pip is told of an index, certificates and patience."""
    found = {"UV_PYTHON_DOWNLOADS": "never", "UV_HTTP_TIMEOUT": HTTP_LIMIT_S}
    told = _output([sys.executable, "-m", "pip", "config", "list"])
    configured = dict(
        re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", told, re.MULTILINE)
    )
    for theirs, ours in (
        ("index-url", "UV_DEFAULT_INDEX"),
        ("extra-index-url", "UV_INDEX"),
        ("cert", "SSL_CERT_FILE"),
    ):
        if theirs in configured:
            found[ours] = configured[theirs]
    return {name: value for name, value in found.items() if name not in environ}


def _obtain(environ: Mapping[str, str], say: Say) -> None:
    found = obtain(environ, say)
    say(found.why)


def _yield() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _run(name: str, work: Callable[[Say], None]) -> str:
    """Do one step; returns what went wrong with it, or nothing."""
    began = time.monotonic()
    try:
        work(lambda line: _print(f"  {name}: {line}"))
    except (SetUpFailed, NoLiveKitServer) as exc:
        return str(exc)
    _print(f"  {name}: done in {time.monotonic() - began:.0f} s")
    return ""


def _call(command: list[str], env: Mapping[str, str], say: Say) -> None:
    """Run a command of uv's or pip's; tells what takes long as it comes."""
    try:
        process = subprocess.Popen(
            command, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except OSError as exc:
        raise SetUpFailed(f"{command[0]} does not run: {exc}") from exc
    limit = threading.Timer(INSTALL_LIMIT_S, process.kill)
    limit.start()
    lines = []
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            lines.append(line.rstrip())
            if _PROGRESS.match(line):
                say(line.strip())
    limit.cancel()
    if process.returncode != 0:
        words = "\n".join(lines[-15:])
        raise SetUpFailed(
            f"`{' '.join(command)}` ended with status {process.returncode}. Check the network and "
            "the package index (PIP_INDEX_URL or UV_DEFAULT_INDEX) and run the command again.\n"
            + words
        )


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
