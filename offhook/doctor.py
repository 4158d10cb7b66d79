"""`offhook doctor`: what works, what does not, and what to do about it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator

import httpx
from msgspec import Struct

from offhook import livekit_server
from offhook.api_client import ApiClient, ApiProblem, connect
from offhook.console import out
from offhook.first_call import first_call
from offhook.installation import Installation
from offhook.ports import PortRefused, check_free

DISK_GB = 2.0
OPTIONS_LIMIT_S = 2.0


class Finding(Struct, frozen=True):
    """One check: what it looked at, what it saw, and the remedy when that is bad."""

    check: str
    good: bool
    seen: str
    remedy: str = ""


def diagnose(home: Installation) -> bool:
    """Print every finding; returns whether all are good."""
    good = True
    for finding in _findings(home):
        mark = "[green]✓[/]" if finding.good else "[bold red]✗[/]"
        out.print(f"{mark} {finding.check:<16}", end="")
        out.print(finding.seen, markup=False)
        if not finding.good and finding.remedy:
            out.print(f"  → {finding.remedy}", markup=False)
        good = good and finding.good
    return good


def _findings(home: Installation) -> Iterator[Finding]:
    yield _livekit_binary()
    yield _disk(home)
    if home.running() is None:
        yield _ports(home)
        yield Finding("offhook", False, "it is not up", "start it with `make up`")
        return
    try:
        api = connect(home)
    except ApiProblem as exc:
        yield Finding("credentials", False, str(exc), "`offhook reset --yes` and start again")
        return
    yield from _ready(home)
    yield from _trunks(api)
    yield from _keys(api)
    yield _audio(home, api)


def _livekit_binary() -> Finding:
    found = livekit_server.find(os.environ)
    if found is None:
        return Finding("livekit-server", False, "not here yet", "`offhook livekit build`")
    return Finding("livekit-server", True, found.why)


def _disk(home: Installation) -> Finding:
    folder = home.data if home.data.exists() else home.data.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    return Finding(
        "disk",
        free_gb >= DISK_GB,
        f"{free_gb:.0f} GB free at {folder}",
        f"free {DISK_GB:.0f} GB: recordings and the database grow",
    )


def _ports(home: Installation) -> Finding:
    hosts = {"OFFHOOK_SIP_PORT": home.sip_host, "OFFHOOK_SIP_UA_PORT": home.sip_host}
    try:
        check_free(home.ports, hosts)
    except PortRefused as exc:
        return Finding("ports", False, str(exc))
    return Finding("ports", True, "all free")


def _ready(home: Installation) -> Iterator[Finding]:
    try:
        answer = httpx.get(f"{home.api_url}/health/ready", timeout=10.0, trust_env=False)
        parts = answer.json()["parts"]
    except (httpx.HTTPError, ValueError, KeyError) as exc:
        yield Finding("api", False, f"no answer: {type(exc).__name__}", "see `offhook logs`")
        return
    for name, part in parts.items():
        yield Finding(name, part["ok"], part.get("detail", "works"), part.get("remedy", ""))


def _trunks(api: ApiClient) -> Iterator[Finding]:
    for trunk in api.get("/trunk")["trunks"]:
        if trunk.get("direction") == "inbound":
            continue
        address = str(trunk["address"])
        answer = _options(address) if trunk.get("transport", "udp") == "udp" else None
        yield Finding(
            f"trunk {trunk['name']}",
            answer is not None,
            f"{address} answers OPTIONS with {answer}" if answer else f"{address} is silent",
            "check the address, the firewall, and that the carrier allows this address",
        )


def _keys(api: ApiClient) -> Iterator[Finding]:
    names = [str(row["name"]) for row in api.get("/provider")["providers"]]
    seen = f"keys for {', '.join(names)}" if names else "no provider key: the embedded demo speaks"
    yield Finding("providers", True, seen)


def _audio(home: Installation, api: ApiClient) -> Finding:
    out.print("  placing a test call to the carrier simulator …")
    try:
        outcome = first_call(home, api)
    except ApiProblem as exc:
        return Finding("audio", False, str(exc), "see `offhook logs`")
    if outcome.problems:
        return Finding("audio", False, "; ".join(outcome.problems), "see `offhook logs gateway`")
    return Finding("audio", True, "a test call was answered, understood both ways and recorded")


def _options(address: str) -> str | None:
    """Return the status line with which a SIP address answers OPTIONS (RFC 3261, section 11)."""
    host, _, port = address.partition(":")
    target = (host, int(port) if port else 5060)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(OPTIONS_LIMIT_S)
        try:
            link.connect(target)
            ours = "{}:{}".format(*link.getsockname()[:2])
            link.send(_options_request(address, ours))
            first_line = link.recv(4096).split(b"\r\n", 1)[0].decode(errors="replace")
        except OSError:
            return None
    return first_line.removeprefix("SIP/2.0 ") if first_line.startswith("SIP/2.0") else None


def _options_request(address: str, ours: str) -> bytes:
    lines = (
        f"OPTIONS sip:{address} SIP/2.0",
        f"Via: SIP/2.0/UDP {ours};rport;branch=z9hG4bK{secrets.token_hex(8)}",
        f"From: <sip:doctor@{ours}>;tag={secrets.token_hex(4)}",
        f"To: <sip:{address}>",
        f"Call-ID: {secrets.token_hex(12)}",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 70",
        "Content-Length: 0",
        "",
        "",
    )
    return "\r\n".join(lines).encode()
