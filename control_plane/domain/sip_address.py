"""Where a trunk is: a host or host:port, or an error that says what to write instead."""

from __future__ import annotations

import ipaddress
import re

from control_plane.domain.errors import BadInput

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|sips?:|tel:", re.ASCII | re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::(.*))?", re.DOTALL)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_FORM = "a host name or an IP address, with :port where it is not 5060"


def check_trunk_address(address: str, *, field: str = "address") -> None:
    """Find out whether `address` is a host or host:port alone, as the SIP service takes it.

    Raises:
        BadInput: it is not; names what is too much in it and, where that leaves an address, what
            to write instead.
    """
    bare, surplus = _bared(address)
    wrong = _fault(bare)
    if not surplus and wrong is None:
        return
    instead = f"write {bare}" if wrong is None else f"write {_FORM}"
    detail = " and ".join(surplus) if surplus else wrong
    raise BadInput(f"{field} {detail}: {instead}", field=field)


def _bared(address: str) -> tuple[str, list[str]]:
    """Return the address without what belongs elsewhere, and what that was."""
    surplus = []
    bare = address.strip()
    if bare != address:
        surplus.append("has blanks around it")
    scheme = _SCHEME.match(bare)
    if scheme is not None:
        bare = bare[scheme.end() :].lstrip("/")
        surplus.append(f"is a URI, with {scheme[0].lower()} before the host")
        if scheme[0].lower() == "sips:":
            surplus.append("wants TLS, which trunks do not offer (transport is udp or tcp)")
    bare, at, host = bare.rpartition("@") if "@" in bare else ("", "", bare)
    if at:
        surplus.append("has a user before the host (username and password are fields)")
    host, parameters, _ = re.split(r"([;?/].*|$)", host, maxsplit=1, flags=re.DOTALL)
    if parameters:
        surplus.append("has parameters after the host (transport is a field, udp or tcp)")
    return host, surplus


def _fault(address: str) -> str | None:
    """Return what keeps `address` from being host or host:port."""
    if _is_ip(address, 6):
        return "is an IPv6 address, which stands in brackets, such as [2001:db8::1]"
    parts = _HOST_AND_PORT.fullmatch(address)
    if parts is None:
        return "is not such an address"
    host, port = parts.groups()
    if port is not None and not (_PORT.fullmatch(port) and 0 < int(port) < 65_536):
        return "has a port that is not a number from 1 to 65535"
    if host.startswith("["):
        return None if _is_ip(host[1:-1], 6) else "has no IPv6 address in its brackets"
    if re.fullmatch(r"[0-9.]+", host):
        return None if _is_ip(host, 4) else "is not an IPv4 address"
    return None if len(host) <= 253 and _NAME.fullmatch(host) else "is not such an address"


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False
