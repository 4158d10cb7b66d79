"""`offhook webhooks`: events sent on to a local URL while developing, and messages sent again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import typer
from standardwebhooks.webhooks import Webhook

from offhook.api_client import ApiProblem, connect, explain, installed
from offhook.console import fail, say
from offhook.installation import Installation

SILENCE_S = 40.0
_TAKES_S = 15.0

webhooks_app = typer.Typer(help="Webhooks: events for your own programs.", no_args_is_help=True)


@webhooks_app.command("listen")
def listen(
    forward: Annotated[
        str, typer.Option(help="Where to post events: http://127.0.0.1:3000/hook", metavar="URL")
    ],
    types: Annotated[
        list[str] | None, typer.Option(help="Only events such as call.completed or call.*")
    ] = None,
) -> None:
    """Post every event to a local URL, signed, as it happens; Ctrl-C ends."""
    try:
        home = installed()
        secret = str(connect(home).get("/webhook/secret")["secret"])
        say(f"signed with  {secret}")
        say(f"posting to   {forward}; Ctrl-C ends")
        with httpx.Client(timeout=_TAKES_S, trust_env=False) as http:
            for event in follow(home, types or []):
                status = _told(http, forward, secret, event)
                say(f"  {event['type']:<18} {event['data'].get('call_id')}  {status}")
    except ApiProblem as exc:
        fail(str(exc))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@webhooks_app.command("replay")
def replay(delivery: Annotated[str, typer.Argument(help="A delivery's id")]) -> None:
    """Send a delivery's message again, with the id it had."""
    try:
        with connect(installed()) as api:
            row = api.post(f"/delivery/{delivery}/replay")
    except ApiProblem as exc:
        fail(str(exc))
        raise typer.Exit(1) from None
    say(f"{row['event_type']} goes to {row['url']} again: GET /delivery/{row['id']} tells how")


def follow(home: Installation, types: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the organization's events from now on; a lost connection is made again.

    Raises:
        ApiProblem: the API refuses, or is not there any more.
    """
    last: str | None = None
    headers = {
        "Authorization": f"Bearer {home.api_key}",
        "Accept": "text/event-stream",
    }
    while True:
        query: dict[str, Any] = {"types": types, **({"after": last} if last else {})}
        try:
            with httpx.stream(
                "GET", f"{home.api_url}/webhook/events", params=query, headers=headers,
                timeout=httpx.Timeout(15.0, read=SILENCE_S), trust_env=False,
            ) as answer:  # fmt: skip
                if answer.is_error:
                    answer.read()
                    raise ApiProblem(explain(answer))
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        event = json.loads(line.removeprefix("data:"))
                        last = event["id"]
                        yield event
        except httpx.ConnectError as exc:
            raise ApiProblem(f"no answer from {home.api_url}: is Offhook up?") from exc
        except httpx.TransportError:
            say("  the connection to the API was lost; following again")


def forward_to(http: httpx.Client, url: str, secret: str, event: dict[str, Any]) -> httpx.Response:
    """Post an event as Offhook's own deliveries are posted, and return the answer."""
    body, now = json.dumps(event, ensure_ascii=False), datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": event["id"],
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(event["id"], now, body),
    }
    return http.post(url, content=body.encode(), headers=headers)


def _told(http: httpx.Client, url: str, secret: str, event: dict[str, Any]) -> str:
    try:
        return str(forward_to(http, url, secret, event).status_code)
    except (httpx.TransportError, httpx.InvalidURL) as exc:
        return f"not taken: {exc or type(exc).__name__}"
