"""What the command line prints: plain lines, colours only on a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line of progress."""
    out.print(line, markup=False)


def fail(message: str) -> None:
    """Print what went wrong."""
    err.print(f"[bold red]✗[/] {_escape(message)}")


def local_time(iso: str) -> str:
    """Return a UTC time as the clock on the wall shows it."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")


class CallPrinter:
    """Prints an order's events as a conversation, as they come."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    def show(self, event: dict[str, Any]) -> None:
        """Print one event of `GET /call/{id}/events`."""
        kind = str(event.get("type", ""))
        data = event.get("data") or {}
        handler = getattr(self, f"_on_{kind.replace('.', '_')}", None)
        if handler is not None:
            handler(data)

    def _on_item_said(self, data: dict[str, Any]) -> None:
        self.items.append(data)
        role, content = data.get("role"), str(data.get("content", ""))
        if role == "tool":
            out.print(f"  [dim]· tool {_escape(str(data.get('tool_name')))}[/]")
            return
        name, colour = ("agent ", "cyan") if role == "assistant" else ("callee", "green")
        cut = " [dim](interrupted)[/]" if data.get("interrupted") else ""
        out.print(f"  [{colour}]{name}[/]  {_escape(content)}{cut}")

    def _on_call_initiating(self, _data: dict[str, Any]) -> None:
        out.print("  [dim]· agent and room are being prepared[/]")

    def _on_agent_ready(self, _data: dict[str, Any]) -> None:
        out.print("  [dim]· the agent is ready; dialling[/]")

    def _on_call_ringing(self, _data: dict[str, Any]) -> None:
        out.print("  [dim]· ringing[/]")

    def _on_call_in_progress(self, _data: dict[str, Any]) -> None:
        out.print("  [dim]· answered[/]")

    def _on_key_pressed(self, data: dict[str, Any]) -> None:
        out.print(f"  [green]callee[/]  [dim]pressed {_escape(str(data.get('digit')))}[/]")

    def _on_attempt_closed(self, data: dict[str, Any]) -> None:
        if data.get("dial_error"):
            out.print(f"  [dim]· not answered: {data['dial_error']} (SIP {data['sip_status']})[/]")

    def _on_call_ended(self, data: dict[str, Any]) -> None:
        why = data.get("end_reason")
        out.print(f"  [dim]· ended by {data.get('ended_by')}{f' ({why})' if why else ''}[/]")


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
