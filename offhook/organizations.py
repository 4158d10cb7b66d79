"""`offhook org`: the organizations of this installation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from offhook.api_client import ApiClient, ApiProblem, run
from offhook.console import local_time, say

org_app = typer.Typer(
    help="Organizations: each with keys, trunks and calls of its own.", no_args_is_help=True
)
Which = Annotated[str, typer.Argument(metavar="ORG", help="Its name or id")]


@org_app.command("add")
def add_organization(name: Annotated[str, typer.Argument(help="A name of your choice")]) -> None:
    """Add an organization, and print its first key."""

    def add(api: ApiClient) -> None:
        made = api.post("/organizations", {"name": name})
        organization, key = made["organization"], made["key"]["key"]
        say(f"organization {_plain(organization['name'])} added")
        say(f"  id   {organization['id']}")
        say(f"  key  {key}  (shown this once; scopes {', '.join(made['key']['scopes'])})")
        say("  Commands are for it where the environment has that key in OFFHOOK_API_KEY:")
        say("  → `offhook trunk add`, `offhook provider set`; then POST /assistant with is_default")

    run(add)


@org_app.command("list")
def list_organizations() -> None:
    """List the organizations, and since when one is suspended."""

    def show(api: ApiClient) -> None:
        for each in organizations(api):
            line = f"{each['id']}  {_plain(each['name'])}"
            since = each["suspended_at"]
            say(f"{line}  suspended since {local_time(since)}" if since else line)

    run(show)


@org_app.command("suspend")
def suspend_organization(which: Which) -> None:
    """Let an organization make and take no new call; live ones end as they are."""

    def suspend(api: ApiClient) -> None:
        found = _found(api, which)
        api.post(f"/organizations/{found['id']}/suspend")
        name = _plain(found["name"])
        say(f"organization {name} is suspended: no new call; live ones end as they are")
        say(f"  → `offhook org resume {found['id']}` lets it go on")

    run(suspend)


@org_app.command("resume")
def resume_organization(which: Which) -> None:
    """Let a suspended organization go on; its orders that waited are due at once."""

    def resume(api: ApiClient) -> None:
        found = _found(api, which)
        api.post(f"/organizations/{found['id']}/resume")
        say(f"organization {_plain(found['name'])} goes on")

    run(resume)


def organizations(api: ApiClient) -> Iterator[dict[str, Any]]:
    """Yield every organization, newest first."""
    query: dict[str, str] = {"limit": "200"}
    while True:
        page = api.get("/organizations", **query)
        yield from page["organizations"]
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


def _found(api: ApiClient, which: str) -> dict[str, Any]:
    known = list(organizations(api))
    for field in ("id", "name"):  # whoever calls itself by another's id is not meant
        for each in known:
            if each[field] == which:
                return each
    raise ApiProblem(f"there is no organization {which!r}: `offhook org list` shows them")


def _plain(name: str) -> str:
    """Return a name that its owner chose without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
