"""`offhook doctor`: what works, what does not, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import httpx
from msgspec import Struct

from control_plane.recordings.settings import RecordingSettings
from control_plane.recordings.store import RecordingStore, StoreTrouble
from offhook import livekit_server
from offhook.api_client import ApiClient, ApiProblem, connect
from offhook.console import out
from offhook.first_call import first_call
from offhook.installation import Installation
from offhook.ports import PortRefused, check_free
from process.settings import SettingsError, load

DISK_GB = 2.0
OPTIONS_LIMIT_S = 2.0
CALL_LIMIT_S = 120.0


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
        out.print(f"{mark} {finding.check:<16} ", end="")
        out.print(finding.seen, markup=False)
        if not finding.good and finding.remedy:
            out.print(f"  → {finding.remedy}", markup=False)
        good = good and finding.good
    return good


def _findings(home: Installation) -> Iterator[Finding]:
    yield _livekit_binary()
    yield _disk(home)
    if home.data.exists():
        yield recordings(home, os.environ)
    if home.running() is None:
        yield _ports(home)
        yield Finding("offhook", False, "it is not up", "start it with `make up`")
        return
    try:
        api = connect(home)
    except ApiProblem as exc:
        yield Finding("credentials", False, str(exc), "`offhook reset --yes` and start again")
        return
    ready = list(readiness(home))
    yield from ready
    try:
        yield from _trunks(api)
        yield from keys(api)
    except ApiProblem as exc:
        yield Finding("api", False, str(exc), "see `offhook logs control-plane`")
        return
    if all(finding.good for finding in ready):
        yield _audio(home, connect(home, first=True))
    else:
        yield Finding("audio", False, "not tried: a part is missing", "see above")


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


def recordings(home: Installation, environ: Mapping[str, str]) -> Finding:
    """Put, get and delete a small file where recordings are kept."""
    remedy = "see docs/how-to/recordings.md; what is recorded waits in the spool meanwhile"
    try:
        settings = load(RecordingSettings, environ)
        store = RecordingStore.open(settings, home.data / "recordings")
        asyncio.run(store.probe())
    except (SettingsError, StoreTrouble) as exc:
        return Finding("recordings", False, str(exc), remedy)
    return Finding("recordings", True, f"{store.name} takes and gives files")


def _ports(home: Installation) -> Finding:
    try:
        check_free(home.ports, home.hosts)
    except PortRefused as exc:
        return Finding("ports", False, str(exc))
    return Finding("ports", True, "all free")


def readiness(home: Installation) -> Iterator[Finding]:
    """Yield what the API says of each part that a call needs."""
    try:
        answer = httpx.get(f"{home.api_url}/health/ready", timeout=10.0, trust_env=False)
        parts = answer.json()["parts"]
    except (httpx.HTTPError, ValueError, KeyError) as exc:
        yield Finding("api", False, f"no answer: {type(exc).__name__}", "see `offhook logs`")
        return
    for part in parts:
        yield Finding(
            str(part["name"]),
            bool(part["ok"]),
            part.get("detail") or "works",
            part.get("remedy") or "",
        )


def _trunks(api: ApiClient) -> Iterator[Finding]:
    for trunk in api.get("/trunk")["trunks"]:
        if trunk.get("direction") == "inbound":
            continue
        address = str(trunk["address"])
        answer = answers_options(address, tcp=trunk.get("transport") == "tcp")
        if trunk.get("apply_error"):
            yield Finding(
                f"trunk {trunk['name']}",
                False,
                f"the SIP service refuses it: {trunk['apply_error']}",
                f"change it: PATCH /trunk/{trunk['id']}",
            )
            continue
        yield Finding(
            f"trunk {trunk['name']}",
            answer is not None,
            f"{address} answers OPTIONS with {answer}" if answer else f"{address} is silent",
            "check the address, the firewall, and that the carrier allows this address",
        )


def keys(api: ApiClient) -> Iterator[Finding]:
    """Have each provider asked about its key, and say which assistants in use lack one."""
    names = [str(row["name"]) for row in api.get("/provider")["providers"]]
    if not names:
        yield Finding("providers", True, "no provider key: the embedded demo speaks")
    for name in names:
        told = api.post(f"/provider/{name}/check")["check"]
        yield Finding(
            f"provider {name}",
            told["verdict"] == "accepted",
            f"asked just now, it {told['said']}",
            f"`offhook provider set {name}`"
            if told["verdict"] == "refused"
            else f"mend the network or its api_url, or forget the key: DELETE /provider/{name}",
        )
    answering = {row["assistant_id"] for row in api.get("/number")["numbers"]}
    for row in api.get("/assistant")["assistants"]:
        lacking = sorted(set(row.get("needs_keys") or []) - set(names))
        if not lacking:
            continue
        in_use = row["is_default"] or row["id"] in answering
        wanted = f"needs a key for {', '.join(lacking)}"
        yield Finding(
            f"assistant {row['name']}",
            not in_use,
            wanted if in_use else f"{wanted}, once a number or an order names it",
            " and ".join(f"`offhook provider set {name}`" for name in lacking),
        )


def _audio(home: Installation, api: ApiClient) -> Finding:
    out.print("  placing a test call to the carrier simulator …")
    try:
        outcome = first_call(home, api, limit_s=CALL_LIMIT_S)
    except ApiProblem as exc:
        return Finding("audio", False, str(exc), "see `offhook logs`")
    if outcome.problems:
        return Finding("audio", False, "; ".join(outcome.problems), "see `offhook logs gateway`")
    return Finding("audio", True, "a test call was answered, understood both ways and recorded")


def answers_options(address: str, *, tcp: bool = False) -> str | None:
    """Return the status line with which a SIP address answers OPTIONS (RFC 3261, section 11)."""
    parts = urlsplit(f"//{address}")
    try:
        target = (parts.hostname or "", parts.port or 5060)
        kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        family, _, _, _, where = socket.getaddrinfo(*target, type=kind)[0]
        with socket.socket(family, kind) as link:
            link.settimeout(OPTIONS_LIMIT_S)
            link.connect(where)
            host, port = link.getsockname()[:2]
            ours = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            link.send(_options_request(address, ours, "TCP" if tcp else "UDP"))
            first_line = link.recv(4096).split(b"\r\n", 1)[0].decode(errors="replace")
    except (OSError, ValueError):
        return None
    return first_line.removeprefix("SIP/2.0 ") if first_line.startswith("SIP/2.0") else None


def _options_request(address: str, ours: str, transport: str) -> bytes:
    lines = (
        f"OPTIONS sip:{address} SIP/2.0",
        f"Via: SIP/2.0/{transport} {ours};rport;branch=z9hG4bK{secrets.token_hex(8)}",
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
