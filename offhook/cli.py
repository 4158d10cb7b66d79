"""`offhook`: the command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from offhook import admin, livekit_server
from offhook.api_client import ApiProblem, connect
from offhook.campaigns import allow
from offhook.console import fail, one_of, say, why
from offhook.doctor import diagnose
from offhook.first_call import ONE_TRY, place, recording_path, with_recording
from offhook.installation import Installation
from offhook.organizations import org_app
from offhook.ports import PortRefused
from offhook.up import up as run_up
from offhook.voices import voices_app
from offhook.webhooks import webhooks_app
from offhook.widget import WEB, NoWidget, obtain_checks
from offhook.widget import obtain as obtain_widget

DOWN_LIMIT_S = 60.0
PARTS = ("livekit", "gateway", "carrier", "control-plane", "agent", "scheduler", "aftercall")

app = typer.Typer(
    help="Self-hosted voice agents on the phone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
livekit_app = typer.Typer(help="The livekit-server in use.", no_args_is_help=True)
app.add_typer(livekit_app, name="livekit")
widget_app = typer.Typer(help="The telephone for web pages.", no_args_is_help=True)
app.add_typer(widget_app, name="widget")
app.add_typer(webhooks_app, name="webhooks")
app.add_typer(voices_app, name="voices")
app.add_typer(org_app, name="org")
admin.register(app)
app.command()(allow)


@app.command()
def up(
    once: Annotated[
        bool, typer.Option("--once", help="Place the first call, judge it, stop.")
    ] = False,
    call: Annotated[
        bool, typer.Option("--call", help="Place the first call on a later start too.")
    ] = False,
    lan: Annotated[
        str | None,
        typer.Option("--lan", metavar="ADDRESS", help="Take SIP calls at this address, by login."),
    ] = None,
) -> None:
    """Start everything on this machine; place a first phone call; stay up."""
    raise typer.Exit(run_up(_home(lan), once=once, call=call))


@app.command()
def down() -> None:
    """Stop the Offhook of this data folder."""
    running = _home().running()
    if running is None:
        say("Offhook is not up.")
        return
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_LIMIT_S
    while _home().running() is not None:
        if time.monotonic() > deadline:
            fail(f"pid {running.pid} did not stop within {DOWN_LIMIT_S:.0f} s")
            raise typer.Exit(1)
        time.sleep(0.1)
    say("Offhook is down.")


@app.command()
def call(
    number: Annotated[str, typer.Argument(help="The number to call, in E.164: +12025550100")],
    assistant: Annotated[
        str | None, typer.Option("--assistant", help="An assistant's id; else the default one.")
    ] = None,
) -> None:
    """Place a call now and print its transcript as it happens; Ctrl-C hangs up."""
    home = _home()
    order: dict[str, Any] = {"phone_number": number, **ONE_TRY}
    if assistant:
        order["assistant_id"] = assistant
    try:
        with connect(home) as api:
            done = with_recording(api, place(api, order))
    except ApiProblem as exc:
        fail(str(exc))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        say("  cancelled")
        raise typer.Exit(130) from None
    attempt = done.get("last_call_attempt") or {}
    answered = bool(attempt.get("answered_at"))
    say(f"  {done['status']}" + ("" if answered else f": {why(attempt)}"))
    path = recording_path(home, attempt)
    if path is not None:
        say(f"  recording   {path}")
    raise typer.Exit(0 if answered else 1)


@app.command()
def doctor() -> None:
    """Check ports, livekit-server, gateway, trunk, audio, keys; say what to do."""
    raise typer.Exit(0 if diagnose(_home()) else 1)


@app.command()
def logs(
    part: Annotated[str | None, typer.Argument(help="One part; all of them without it.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f")] = False,
) -> None:
    """Print the processes' logs."""
    home = _home()
    if part is not None:
        one_of(part, PARTS, what="part")
    found = sorted(home.logs.glob(f"{part or '*'}.log"))
    if not found:
        fail(f"no log of {part or 'any part'} yet: start with `offhook up`")
        raise typer.Exit(1)
    command = ["tail", "-n", "100", *(["-F"] if follow else []), *map(str, found)]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Really delete everything.")] = False,
) -> None:
    """Delete the data folder: database, recordings, keys, logs."""
    home = _home()
    if home.running() is not None:
        fail("Offhook is up: `offhook down` first")
        raise typer.Exit(1)
    if not yes:
        fail(f"this deletes {home.data} for good; say `offhook reset --yes`")
        raise typer.Exit(1)
    if home.data.exists():
        shutil.rmtree(home.data)
    say(f"{home.data} is gone.")


@livekit_app.command("path")
def livekit_path() -> None:
    """Say which livekit-server is used, and why."""
    found = livekit_server.find(os.environ)
    if found is None:
        say(f"none yet: `offhook up` builds {livekit_server.VERSION} with Go, once")
        raise typer.Exit(1)
    say(" ".join(found.command))
    say(f"  because {found.why}")


@livekit_app.command("build")
def livekit_build() -> None:
    """Build livekit-server into this user's cache, unless it is there."""
    try:
        found = livekit_server.obtain(os.environ, say)
    except livekit_server.NoLiveKitServer as exc:
        fail(str(exc))
        raise typer.Exit(1) from None
    say(f"{' '.join(found.command)}: {found.why}")


@widget_app.command("build")
def widget_build(
    checks: Annotated[
        bool, typer.Option("--checks", help="Install what its checks need, too.")
    ] = False,
) -> None:
    """Build the telephone for web pages, unless it is built."""
    try:
        obtain_widget(os.environ, say)
        if checks:
            obtain_checks(os.environ, say)
    except NoWidget as exc:
        fail(str(exc))
        raise typer.Exit(1) from None
    say(f"The widget is in {WEB / 'dist'}")


def main() -> None:
    """Run the command line from the checkout, wherever it was called."""
    data = os.environ.get("OFFHOOK_DATA")
    os.environ["OFFHOOK_DATA"] = str(
        Path(data).absolute() if data else livekit_server.ROOT / "data"
    )
    sys.exit(app())


def _home(lan: str | None = None) -> Installation:
    try:
        return Installation(os.environ, lan=lan)
    except PortRefused as exc:
        fail(str(exc))
        raise typer.Exit(1) from None
