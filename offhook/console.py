"""What the command line prints: plain lines, colours only on a terminal."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import typer
from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line of progress."""
    out.print(line, markup=False)


def fail(message: str) -> None:
    """Print what went wrong."""
    err.print(f"[bold red]✗[/] {_escape(message)}")


def one_of(word: str, known: Collection[str], *, what: str) -> str:
    """Return `word` if it is one of the known ones.

    Raises:
        typer.BadParameter: it is not, which ends the command with status 2.
    """
    if word not in known:
        raise typer.BadParameter(f"there is no {what} {word!r}; known are {', '.join(known)}")
    return word


def local_time(iso: str) -> str:
    """Return a UTC time as the clock on the wall shows it."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def why(attempt: dict[str, Any]) -> str:
    """Return why an attempt was not answered, as a person wants to read it."""
    words = str(attempt.get("dial_error") or "no attempt was made")
    if attempt.get("end_reason") not in (None, "not_answered"):
        words = str(attempt["end_reason"])  # our own reason says more than the contract's word
    if attempt.get("sip_status"):
        words += f" (SIP {attempt['sip_status']} {attempt.get('sip_reason') or ''})"
    elif attempt.get("sip_reason"):  # the SIP service's own explanation
        words += f" ({attempt['sip_reason']})"
    return f"{words}: {attempt['detail']}" if attempt.get("detail") else words


class CallPrinter:
    """Prints an order's events as a conversation, as they come."""

    def __init__(self) -> None:
        self._answered = False

    def show(self, event: dict[str, Any]) -> None:
        """Print one event of `GET /call/{id}/events`."""
        kind = str(event.get("type", ""))
        data = event.get("data") or {}
        handler = getattr(self, f"_on_{kind.replace('.', '_')}", None)
        if handler is not None:
            handler(data)

    def _on_item_said(self, data: dict[str, Any]) -> None:
        role, content = data.get("role"), str(data.get("content", ""))
        if role == "tool":
            out.print(f"  [dim]· tool {_escape(str(data.get('tool_name')))}[/]")
            return
        name, colour = ("agent ", "cyan") if role == "assistant" else ("callee", "green")
        cut = " [dim](interrupted)[/]" if data.get("interrupted") else ""
        out.print(f"  [{colour}]{name}[/]  {_escape(content)}{cut}")

    def _on_call_initiating(self, _data: dict[str, Any]) -> None:
        self._answered = False
        out.print("  [dim]· agent and room are being prepared[/]")

    def _on_agent_ready(self, _data: dict[str, Any]) -> None:
        out.print("  [dim]· the agent is ready; dialling[/]")

    def _on_call_ringing(self, _data: dict[str, Any]) -> None:
        out.print("  [dim]· ringing[/]")

    def _on_call_in_progress(self, _data: dict[str, Any]) -> None:
        self._answered = True
        out.print("  [dim]· answered[/]")

    def _on_key_pressed(self, data: dict[str, Any]) -> None:
        digit = "a secret key" if data.get("is_secret") else _escape(str(data.get("digit")))
        out.print(f"  [green]callee[/]  [dim]pressed {digit}[/]")

    def _on_keys_sent(self, data: dict[str, Any]) -> None:
        out.print(f"  [cyan]agent [/]  [dim]pressed {_escape(str(data.get('keys')))}[/]")

    def _on_hold_began(self, _data: dict[str, Any]) -> None:
        out.print("  [dim]· the callee holds the call[/]")

    def _on_hold_ended(self, _data: dict[str, Any]) -> None:
        out.print("  [dim]· the callee is back[/]")

    def _on_attempt_closed(self, data: dict[str, Any]) -> None:
        if not data.get("dial_error"):
            return
        out.print(f"  [dim]· not answered: {_escape(why(data))}[/]")

    def _on_held_back(self, data: dict[str, Any]) -> None:
        detail = f" ({data['detail']})" if data.get("detail") else ""
        what = f"{data.get('reason') or data.get('rule')}{detail}"
        again = f"; next try at {local_time(data['until'])}" if data.get("until") else ""
        out.print(f"  [dim]· waiting for {_escape(what)}{again}[/]")

    def _on_call_ended(self, data: dict[str, Any]) -> None:
        if not self._answered:  # the attempt's own line has said why already
            return
        reason = data.get("end_reason")
        detail = f": {data['detail']}" if data.get("detail") else ""
        said = f"ended by {data.get('ended_by')}{f' ({reason})' if reason else ''}{detail}"
        out.print(f"  [dim]· {_escape(said)}[/]")


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
