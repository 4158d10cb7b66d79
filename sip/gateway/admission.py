"""Who may call in: source, credentials, number, rule, room for one more call."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from livekit.protocol import sip as proto

from process.logs import get_logger
from sip.digest import Authority, CheckResult
from sip.front import Forward, Reply, Silent, Verdict, challenge
from sip.gateway import sdp
from sip.gateway.attributes import header_attributes
from sip.gateway.codecs import AGENTS, SERVED, USUAL, Codecs, chosen, taken, widest
from sip.gateway.store import Store
from sip.message import Request

log = get_logger("sip.gateway.admission")
_REALM = "LiveKit"
_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that may come in, with the trunk and rule that let it, and what to show of it.

    Of the request only this stays: a call that never arrives here does not hold all of it.
    """

    trunk: proto.SIPInboundTrunkInfo
    rule: proto.SIPDispatchRuleInfo
    caller: str
    called: str
    tag: str
    host: str
    headers: dict[str, str]
    rate: int  # of its sound, Hz


class Admission:
    """Decides about requests for the front, and remembers admitted calls until they arrive."""

    def __init__(
        self,
        store: Store,
        to: tuple[str, int],
        full: Callable[[], bool],
        silent: bool,
        offered: Codecs = USUAL,
    ):
        self._store = store
        self._to = to
        self._full = full
        self._silent = silent
        self._codecs = taken(offered)
        self._authorities: dict[str, Authority] = {}
        self._admitted: OrderedDict[str, Admitted] = OrderedDict()

    def pop(self, call_id: str | None) -> Admitted | None:
        """The admitted call with this Call-ID, once."""
        return self._admitted.pop(call_id or "", None)

    def decide(self, request: Request) -> Verdict:
        """The verdict on a request outside a dialog."""
        if request.method != "INVITE":
            return Reply(405, "Method Not Allowed", (("Allow", "INVITE, ACK, CANCEL, OPTIONS"),))
        caller, called = unquote(request.address("from").user), unquote(request.user)
        trunks = _taking(self._store.inbound.values(), called)
        if not trunks:
            return self._refuse(404, "Not Found", request)
        trunk = next((t for t in trunks if _source_allowed(t, request.source[0], caller)), None)
        if trunk is None:
            return self._refuse(403, "Forbidden", request)
        asked = self._authenticate(trunk, request)
        if asked is not None:
            return asked
        rule = _rule(self._store.rules.values(), trunk.sip_trunk_id, caller, called)
        if rule is None:
            return self._refuse(404, "Not Found", request)
        if self._full():
            return Reply(503, "Service Unavailable", (("Retry-After", "10"),))
        codecs = chosen(trunk.media, rule.media, default=self._codecs)
        offer = request.body.decode("latin-1")
        best = _best(offer, codecs)
        rate = widest(codecs) if best is None else SERVED[best[0]].rate
        self._admitted[request.call_id] = _admitted(request, trunk, rule, rate)
        while len(self._admitted) > _REMEMBERED:
            self._admitted.popitem(last=False)
        user, _ = AGENTS[frozenset(codecs)]
        return Forward(
            self._to,
            uri=f"sip:{user}@{self._to[0]}:{self._to[1]}",
            # baresip answers in the offer's order, LiveKit's own service in ours.
            body=b"" if best is None else sdp.preferring(offer, best[1]).encode("latin-1"),
        )

    def _refuse(self, status: int, reason: str, request: Request) -> Verdict:
        log.info("inbound call refused", status=status, source=request.source[0])
        return Silent() if self._silent else Reply(status, reason)

    def _authenticate(self, trunk: proto.SIPInboundTrunkInfo, request: Request) -> Verdict | None:
        if not (trunk.auth_username and trunk.auth_password):
            return None
        realm = trunk.auth_realm or _REALM
        authority = self._authorities.setdefault(realm, Authority(realm))
        given = request.header("proxy-authorization") or request.header("authorization")
        if given is None:
            return challenge(authority.challenge(request.call_id))
        outcome = authority.check(
            given,
            method=request.method,
            context=request.call_id,
            username=trunk.auth_username,
            password=trunk.auth_password,
        )
        if outcome is CheckResult.VALID:
            return None
        if outcome is CheckResult.STALE:
            return challenge(authority.challenge(request.call_id, stale=True))
        return self._refuse(401, "Unauthorized", request)


def _taking(
    trunks: Iterable[proto.SIPInboundTrunkInfo], called: str
) -> list[proto.SIPInboundTrunkInfo]:
    """The trunks that name the called number; where none does, those that take every number.

    A caller whom the number's own trunk refuses does not come in by another: that one may be
    another organization's, and the refusal would be worth nothing.
    """
    every = list(trunks)
    return [t for t in every if called in t.numbers] or [t for t in every if not t.numbers]


def _best(offer: str, codecs: Codecs) -> tuple[str, int] | None:
    """Which of these codecs is answered with, and its payload type; None when there is none."""
    offered = {encoding: kind for kind, encoding in reversed(sdp.formats(offer).items())}
    found = ((name, offered.get(SERVED[name].encoding)) for name in codecs)
    return next(((name, kind) for name, kind in found if kind is not None), None)


def _admitted(
    request: Request, trunk: proto.SIPInboundTrunkInfo, rule: proto.SIPDispatchRuleInfo, rate: int
) -> Admitted:
    sender = request.address("from")
    return Admitted(
        trunk,
        rule,
        caller=unquote(sender.user),
        called=unquote(request.user),
        tag=sender.params.get("tag", ""),
        host=sender.uri.rpartition("@")[2].partition(":")[0],
        headers=header_attributes(request, trunk.headers_to_attributes, trunk.include_headers),
        rate=rate,
    )


def _source_allowed(trunk: proto.SIPInboundTrunkInfo, source: str, caller: str) -> bool:
    if trunk.allowed_numbers and caller not in trunk.allowed_numbers:
        return False
    if not trunk.allowed_addresses:
        return True
    address = ipaddress.ip_address(source)
    return any(address in network for network in _networks(trunk.allowed_addresses))


def _networks(
    allowed: Iterable[str],
) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The entries that are addresses or networks; others were accepted and match nothing."""
    found = []
    for entry in allowed:
        try:
            found.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            log.warning("an allowed address is no IP address or network", address=entry)
    return found


def _rule(
    rules: Iterable[proto.SIPDispatchRuleInfo], trunk_id: str, caller: str, called: str
) -> proto.SIPDispatchRuleInfo | None:
    """The most specific rule that takes this call."""
    fitting = [
        rule
        for rule in rules
        if (not rule.trunk_ids or trunk_id in rule.trunk_ids)
        and (not rule.inbound_numbers or caller in rule.inbound_numbers)
        and (not rule.numbers or called in rule.numbers)
    ]
    return max(
        fitting,
        key=lambda r: (bool(r.inbound_numbers), bool(r.numbers), bool(r.trunk_ids)),
        default=None,
    )
