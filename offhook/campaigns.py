"""`offhook allow`: which countries and types of numbers may be called."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from offhook.api_client import ApiClient, ApiProblem, connect, installed
from offhook.console import fail, say


def allow(
    country: Annotated[
        list[str] | None, typer.Argument(help="Two letters each (ISO 3166): US GB")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="A costly type of number: premium_rate, shared_cost, personal_number, pager, "
            "uan or voicemail. May be given several times.",
        ),
    ] = None,
) -> None:
    """Allow calls to more countries than those of your own numbers, or to costly numbers."""
    if not country and not kind:
        fail("name a country, such as GB, or a type of number, such as --type premium_rate")
        raise typer.Exit(2)
    try:
        with connect(installed()) as api:
            allowed = widen(api, country or [], kind or [])
    except ApiProblem as exc:
        fail(str(exc))
        raise typer.Exit(1) from None
    say(f"calls may go to {', '.join(allowed['callable_countries'])}")
    if allowed["allowed_number_types"]:
        say(f"besides ordinary numbers: {', '.join(allowed['allowed_number_types'])}")


def widen(api: ApiClient, countries: list[str], kinds: list[str]) -> dict[str, Any]:
    """Return the organization, `countries` and `kinds` now among what may be called.

    Raises:
        ApiProblem: one of them is none; nothing was changed.
    """
    known, wanted = api.get("/organization"), dict[str, Any]()
    if countries:
        more = (word.strip() for word in countries)
        wanted["allowed_countries"] = [*known["callable_countries"], *more]
    if kinds:
        more = (word.strip() for word in kinds)
        wanted["allowed_number_types"] = [*known["allowed_number_types"], *more]
    changed: dict[str, Any] = api.patch("/organization", wanted)
    return changed
