"""Which addresses outbound requests may reach: the public internet, and what the operator allows.

A private address is reached only when `OFFHOOK_ALLOW_PRIVATE` names it, because whoever may set a
URL could otherwise read what only this machine can reach.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import httpx2
import msgspec
from msgspec import Struct

from process.settings import SettingsError

SETTING = "OFFHOOK_ALLOW_PRIVATE"
SCHEMES = ("http", "https")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Beyond the registries of special addresses, every IPv6 form that carries an IPv4 address.
_FORBIDDEN = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible, RFC 4291
        "::ffff:0:0/96",  # IPv4-mapped, RFC 4291
        "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
        "64:ff9b::/96",  # NAT64, RFC 6052
        "64:ff9b:1::/48",  # NAT64 of one's own, RFC 8215
        "2001::/32",  # Teredo, RFC 4380
        "2002::/16",  # 6to4, RFC 3056
        "3fff::/20",  # documentation, RFC 9637
        "5f00::/16",  # segment routing, RFC 9602
        "fec0::/10",  # site-local, RFC 3879
    )
)
# Anybody's network may hold these and leads from there into IPv4: ISATAP, RFC 5214.
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
# The WHATWG URL standard: a host whose last label is a number is an IPv4 address.
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


class OutboundError(Exception):
    """A request to the outside did not get a usable answer."""

    loggable = True


class Unreachable(OutboundError):
    """Nobody answered, or what answered does not speak HTTP."""


class AddressRefused(OutboundError):
    """The URL or its address is not one that this installation connects to."""


class HttpSettings(Struct, frozen=True):
    """What outbound requests may reach beyond the public internet."""

    allow_private: str = msgspec.field(name=SETTING, default="")


class Allowed:
    """Networks and host names that may be reached although they are not public."""

    def __init__(self, networks: Iterable[Network] = (), hosts: Iterable[str] = ()):
        self.networks = tuple(networks)
        self.hosts = frozenset(hosts)

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """Return what a comma-separated list of networks, addresses and host names allows.

        Raises:
            SettingsError: an entry is none of them.
        """
        networks: list[Network] = []
        hosts: set[str] = set()
        for entry in filter(None, (each.strip() for each in text.split(","))):
            try:
                networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError as exc:
                name = plain_host(entry)
                if not _NAME.fullmatch(name) or _is_number(name):
                    raise SettingsError(
                        f"{SETTING}: {entry!r} is not a network such as 127.0.0.0/8, an address "
                        "or a host name"
                    ) from exc
                hosts.add(name)
        return cls(networks, hosts)

    def covers(self, host: str, address: Address) -> bool:
        """Return whether `address`, which `host` stands for, is allowed by name or network."""
        if plain_host(host) in self.hosts:
            return True
        forms = [address]
        mapped = getattr(address, "ipv4_mapped", None)
        if mapped is not None:
            forms.append(mapped)
        return any(form in network for form in forms for network in self.networks)


def is_public(address: Address) -> bool:
    """Return whether anybody on the internet could mean the same host by `address`."""
    if address.is_multicast or address.is_unspecified or not address.is_global:
        return False
    if address.version == 6 and (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return False
    return not any(address in network for network in _FORBIDDEN)


def plain_host(host: str) -> str:
    """Return `host` in lower case without the dot that may end a name."""
    return host.lower().removesuffix(".")


def check_addresses(host: str, found: Iterable[str], allowed: Allowed) -> None:
    """Check every address that `host` stands for.

    Raises:
        AddressRefused: one of them is neither public nor allowed.
    """
    for text in found:
        address = ipaddress.ip_address(text)
        if not is_public(address) and not allowed.covers(host, address):
            shown = host if plain_host(host) == text else f"{host} ({text})"
            raise AddressRefused(
                f"{shown} is not a public address; {SETTING}={text} would allow it on this "
                "installation"
            )


def check_url(url: str | httpx2.URL, allowed: Allowed) -> httpx2.URL:
    """Return `url` when it may be requested, as far as that can be told without a look-up.

    Raises:
        AddressRefused: its scheme, user information or literal address forbids it.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as exc:
        raise AddressRefused(f"it is not a URL: {exc}") from exc
    check_parts(parsed, allowed)
    return parsed


def check_parts(url: httpx2.URL, allowed: Allowed) -> None:
    """Check a URL that is parsed already; raises as `check_url` does."""
    if url.scheme not in SCHEMES:
        raise AddressRefused("the URL must begin with http:// or https://")
    if url.userinfo:
        raise AddressRefused("a URL with a user or password in it is not used; use a header")
    if url.port is not None and not 0 < url.port < 65536:
        raise AddressRefused(f"{url.port} is not a port")
    host = url.raw_host.decode("ascii")  # a name with other letters is punycode here
    literal = _literal(host)
    if literal is not None:
        check_addresses(host, [str(literal)], allowed)
        return
    name = plain_host(host)
    if not _NAME.fullmatch(name) or len(name) > 253:
        raise AddressRefused(f"{host[:100]!r} is not a host name")
    if _is_number(name):
        raise AddressRefused(f"{host[:100]} is not an address in its usual form, such as 192.0.2.1")
    if name == "localhost" or name.endswith(".localhost"):
        check_addresses(host, ["127.0.0.1"], allowed)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(plain_host(host))
    except ValueError:
        return None


def _is_number(name: str) -> bool:
    return _NUMBER.fullmatch(name.rpartition(".")[2]) is not None
