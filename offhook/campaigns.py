"""`offhook allow`: which countries may be called."""

from __future__ import annotations

from typing import Annotated

import typer

from offhook.api_client import ApiClient, ApiProblem, connect, installed
from offhook.console import fail, say


def allow(
    country: Annotated[list[str], typer.Argument(help="Two letters each (ISO 3166): US GB")],
) -> None:
    """Allow calls to more countries than those of your own numbers."""
    try:
        with connect(installed()) as api:
            allowed = widen(api, country)
    except ApiProblem as exc:
        fail(str(exc))
        raise typer.Exit(1) from None
    say(f"calls may go to {', '.join(allowed)}")


def widen(api: ApiClient, countries: list[str]) -> list[str]:
    """Return the countries that may be called, `countries` now among them.

    Raises:
        ApiProblem: one of them is none; nothing was changed.
    """
    known = api.get("/organization")["callable_countries"]
    wanted = [*known, *(word.strip() for word in countries)]
    changed = api.patch("/organization", {"allowed_countries": wanted})
    found: list[str] = changed["callable_countries"]
    return found
