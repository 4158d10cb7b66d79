"""`offhook voices`: what assistants can speak with, listed and heard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from control_plane.domain.providers import VOICE_PROVIDERS
from offhook.api_client import ApiProblem, connect, installed
from offhook.console import fail, one_of, say

VOICES = (*VOICE_PROVIDERS, "offline")
SAMPLE = "Hello, this is how I sound on the telephone."

voices_app = typer.Typer(help="Voices: what assistants can speak with.")


@voices_app.callback(invoke_without_command=True)
def voices(
    context: typer.Context,
    provider: Annotated[
        str | None, typer.Option(help=f"{', '.join(VOICES)}; else all that have a key")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Only of this one: de")] = None,
) -> None:
    """List the voices with their ids."""
    if context.invoked_subcommand is not None:
        return
    if provider is not None:
        one_of(provider, VOICES, what="provider of voices")
    query = {
        name: value for name, value in (("provider", provider), ("language", language)) if value
    }
    try:
        with connect(installed()) as api:
            found: list[dict[str, Any]] = api.get("/voices", **query)["voices"]
    except ApiProblem as exc:
        fail(str(exc))
        raise typer.Exit(1) from None
    for voice in found:
        spoken = voice["language"] or "-"
        say(f"{voice['provider']:<10}  {voice['id']:<36}  {spoken:<5}  {voice['name']}")


@voices_app.command("preview")
def preview(
    voice_id: Annotated[str, typer.Argument(help="A voice's id, from `offhook voices`")],
    provider: Annotated[str, typer.Option(help=", ".join(VOICES))],
    out: Annotated[Path, typer.Option(help="The WAV file to write")] = Path("preview.wav"),
    text: Annotated[str, typer.Option(help="What it says")] = SAMPLE,
    language: Annotated[str, typer.Option(help="What it speaks: de-DE")] = "en-US",
) -> None:
    """Write a sentence to a file as a voice speaks it."""
    one_of(provider, VOICES, what="provider of voices")
    body: dict[str, Any] = {"text": text, "language": language}
    if provider != "offline":
        body["voice"] = {"provider": provider, "id": voice_id}
    try:
        with connect(installed()) as api:
            sound = api.post_for_bytes("/voices/preview", body)
        out.write_bytes(sound)
    except (ApiProblem, OSError) as exc:
        fail(str(exc))
        raise typer.Exit(1) from None
    say(f"{out}: {len(sound) // 1024} KiB")
