"""Commands for the first day: a real trunk, a number, a provider's key."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from control_plane.domain import refer_uri
from control_plane.domain.providers import Provider
from offhook.api_client import ApiClient, ApiProblem, run
from offhook.console import fail, local_time, one_of, say

PROVIDERS = tuple(each.value for each in Provider)

trunk_app = typer.Typer(
    help="Trunks: the carriers that calls go out through.", no_args_is_help=True
)
number_app = typer.Typer(
    help="Numbers: yours, to call from and be called at.", no_args_is_help=True
)
provider_app = typer.Typer(help="Keys of model and voice providers.", no_args_is_help=True)
assistant_app = typer.Typer(help="Assistants: who speaks.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(trunk_app, name="trunk")
    app.add_typer(number_app, name="number")
    app.add_typer(provider_app, name="provider")
    app.add_typer(assistant_app, name="assistant")


@trunk_app.command("add")
def add_trunk(
    name: Annotated[str, typer.Argument(help="A name of your choice")],
    address: Annotated[str, typer.Option(help="The carrier's host, or host:port")],
    number: Annotated[list[str], typer.Option(help="Your number there, in E.164; repeatable")],
    username: Annotated[str | None, typer.Option(help="Digest user name")] = None,
    transport: Annotated[str, typer.Option(help="udp or tcp")] = "udp",
    calls_per_second: Annotated[float, typer.Option(help="How fast it may be called")] = 1.0,
    max_calls: Annotated[int, typer.Option(help="Calls at once")] = 10,
    default: Annotated[bool, typer.Option(help="Use it for every order")] = True,
    refer: Annotated[bool, typer.Option(help="It passes calls on (REFER)")] = True,
    refer_to: Annotated[
        str, typer.Option(help="The URI that a REFER asks for, with {number} or {digits}")
    ] = refer_uri.DEFAULT,
    simulator: Annotated[
        bool, typer.Option("--simulator", help="It leads to the carrier simulator")
    ] = False,
) -> None:
    """Add a carrier; its password is asked for, never an argument."""
    one_of(transport, ("udp", "tcp"), what="--transport")
    body: dict[str, Any] = {
        "name": name,
        "address": address,
        "numbers": number,
        "transport": transport,
        "is_default": default,
        "calls_per_second": calls_per_second,
        "max_concurrent_calls": max_calls,
        "takes_refer": refer,
        "refer_to": refer_to,
    }
    if simulator:
        body["purpose"] = "simulator"
    if username:
        body |= {"username": username, "password": _secret("Digest password")}
    run(lambda api: _told(api.post("/trunk", body), "trunk", "added"))


@trunk_app.command("list")
def list_trunks() -> None:
    """List the trunks, and why calls on one or to one of its countries are stopped."""

    def show(api: ApiClient) -> None:
        for trunk in api.get("/trunk")["trunks"]:
            for line in trunk_lines(trunk):
                say(line)

    run(show)


@trunk_app.command("resume")
def resume_trunk(name: Annotated[str, typer.Argument(help="The trunk's name or id")]) -> None:
    """Call on a trunk again that was stopped by what it refused."""

    def resume(api: ApiClient) -> None:
        for trunk in api.get("/trunk")["trunks"]:
            if name in (trunk["name"], trunk["id"]):
                api.post(f"/trunk/{trunk['id']}/resume")
                say(f"trunk {trunk['name']} goes on")
                return
        raise ApiProblem(f"there is no trunk {name!r}: `offhook trunk list` shows them")

    run(resume)


@number_app.command("add")
def add_number(
    phone_number: Annotated[str, typer.Argument(help="In E.164: +12025550123")],
    trunk: Annotated[str | None, typer.Option(help="The trunk's id; else the default one")] = None,
    assistant: Annotated[
        str | None, typer.Option(help="Who answers it; else the default assistant")
    ] = None,
    default: Annotated[bool, typer.Option(help="Call from it unless an order says")] = True,
) -> None:
    """Add a number of yours."""
    body: dict[str, Any] = {"phone_number": phone_number, "is_default": default}
    if trunk:
        body["trunk_id"] = trunk
    if assistant:
        body["assistant_id"] = assistant
    run(lambda api: _told(api.post("/number", body), "number", "added"))


@number_app.command("list")
def list_numbers() -> None:
    """List the numbers."""
    columns = ("phone_number", "is_default", "trunk_id", "assistant_id")
    run(lambda api: _listed(api.get("/number"), "numbers", columns))


@provider_app.command("set")
def set_provider(
    name: Annotated[str, typer.Argument(help=", ".join(PROVIDERS))],
    api_url: Annotated[
        str | None, typer.Option(help="Another endpoint that speaks the same API")
    ] = None,
    unasked: Annotated[
        bool, typer.Option("--no-check", help="Store the key without asking the provider about it")
    ] = False,
) -> None:
    """Store a provider's key if the provider takes it; it is asked for, or read from a pipe."""
    one_of(name, PROVIDERS, what="provider")
    body: dict[str, Any] = {"api_key": _secret(f"{name} API key")}
    if api_url:
        body["api_url"] = api_url

    def store(api: ApiClient) -> None:
        answer = api.put(f"/provider/{name}", body, check="false" if unasked else "true")
        told = "was not asked about the key" if unasked else answer["check"]["said"]
        say(f"provider {name} stored: {name} {told}")

    run(store)


@provider_app.command("list")
def list_providers() -> None:
    """List the providers that have a key."""
    run(lambda api: _listed(api.get("/provider"), "providers", ("name", "api_key", "api_url")))


@assistant_app.command("list")
def list_assistants() -> None:
    """List the assistants."""
    run(lambda api: _listed(api.get("/assistant"), "assistants", ("id", "name", "is_default")))


def trunk_lines(trunk: dict[str, Any]) -> Iterator[str]:
    """Yield what is worth knowing of a trunk, the first line about any, the rest about trouble."""
    where = trunk["address"] or ", ".join(trunk["allowed_addresses"]) or "any address"
    columns = [trunk["name"], trunk["direction"], where]
    if trunk["direction"] == "outbound":
        columns.append(f"{trunk['live_calls']} of {trunk['max_concurrent_calls']} calls")
    if trunk["is_default"]:
        columns.append("default")
    yield "  ".join(columns)
    stopped = trunk["stopped_reason"]
    if stopped:
        yield f"  stopped at {local_time(trunk['stopped_at'])}: {stopped}"
    for each in trunk["stopped_destinations"]:
        since = local_time(each["since"])
        yield f"  calls to {each['prefix']} stopped at {since}: {each['reason']}"
    if stopped or trunk["stopped_destinations"]:
        yield f"  → mend it, then `offhook trunk resume {trunk['name']}`"
    if trunk["blocked_until"]:
        until = local_time(trunk["blocked_until"])
        yield f"  left alone until {until} ({trunk['blocked_rule']})"
    if trunk["apply_error"]:
        yield f"  not at the SIP service: {trunk['apply_error']}"


def _told(answer: dict[str, Any], kind: str, done: str) -> None:
    row = answer.get(kind, answer)
    name = row.get("name") or row.get("phone_number") or row.get("id")
    say(f"{kind} {name} {done}")


def _listed(answer: dict[str, Any], kind: str, columns: tuple[str, ...]) -> None:
    for row in answer.get(kind, []):
        shown = {**row, "is_default": "default" if row.get("is_default") else None}
        say("  ".join(str(shown[column]) for column in columns if shown.get(column)))


def _secret(what: str) -> str:
    """Ask for a secret, or take the first line of a pipe or a file."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True))
    secret = sys.stdin.readline().strip()
    if not secret:
        fail(f"{what}: standard input is empty; type it at the prompt or pipe it in")
        raise typer.Exit(1)
    return secret
