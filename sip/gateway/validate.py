"""Checks of trunks, rules and requests, with the texts the real service answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from livekit.protocol import sip as proto

from sip import deadline
from sip.gateway import codecs, fields
from sip.gateway.errors import TwirpError, invalid, unserved

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]")
_RESERVED = frozenset(
    {
        "via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "content-length",
        "content-type", "route", "record-route", "authorization", "proxy-authorization", "allow",
        "supported", "user-agent", "refer-to", "event",
    }
)  # fmt: skip
_UNSAFE_USER = re.compile(r"[\x00-\x20\x7f@:;<>\"?]")
_UNSAFE_SECRET = re.compile(r"[\x00-\x1f\x7f\"\\]")


def headers(given: Mapping[str, str], field: str = "header") -> None:
    """Names and values that may travel; raises `invalid_argument`."""
    for name, value in given.items():
        bad = next((c for c in name if not _TOKEN.match(c)), None)
        if not name or bad is not None:
            why = f"contains invalid characters: char {ord(bad)} not allowed" if bad else "is empty"
            raise invalid(f"invalid {field} name: header name {name} {why}")
        if name.lower() in _RESERVED:
            raise invalid(f"invalid {field} name: header name {name} not supported")
        control = next((c for c in value if ord(c) < 32 or ord(c) == 127), None)
        if control is not None:
            raise invalid(
                f"invalid {field} value for {name}: header {name}: value: "
                f"char {ord(control)} not allowed"
            )


def _media(media: proto.SIPMediaConfig, encryption: int) -> None:
    if proto.SIP_MEDIA_ENCRYPT_REQUIRE in (encryption, media.encryption):
        raise unserved("media_encryption", "REQUIRE is not served: this gateway sends plain RTP")
    codecs.chosen(media)


def outbound_trunk(trunk: proto.SIPOutboundTrunkInfo) -> None:
    """An outbound trunk as it would be kept."""
    if not trunk.address:
        raise invalid("no outbound address specified")
    if not trunk.numbers:
        raise invalid("no trunk numbers specified")
    address = trunk.address
    if address.startswith(("sip:", "sips:")) or "@" in address:
        raise invalid("trunk address should be a hostname or IP, not SIP URI")
    if "transport=" in address:
        raise invalid("trunk address should not contain transport parameter")
    headers(trunk.headers)
    fields.refuse(trunk)
    _transport(trunk.transport)
    _media(trunk.media, trunk.media_encryption)


def _transport(transport: int) -> None:
    if transport not in (proto.SIP_TRANSPORT_AUTO, proto.SIP_TRANSPORT_UDP):
        raise unserved("transport", "other than UDP is not served by this gateway")


def inbound_trunk(
    trunk: proto.SIPInboundTrunkInfo, others: Iterable[proto.SIPInboundTrunkInfo]
) -> None:
    """An inbound trunk as it would be kept beside the others."""
    if not (
        trunk.numbers or trunk.allowed_addresses or (trunk.auth_username and trunk.auth_password)
    ):
        raise invalid(
            "for security, one of the fields must be set: "
            "AuthUsername+AuthPassword, AllowedAddresses or Numbers"
        )
    headers(trunk.headers)
    fields.refuse(trunk)
    _media(trunk.media, trunk.media_encryption)
    if trunk.ringing_timeout_status not in (0, proto.SIP_STATUS_BUSY_HERE):
        raise unserved("ringing_timeout_status", "other than 486 is not served by this gateway")
    new = trunk.sip_trunk_id or "<new>"
    for other in others:
        if other.sip_trunk_id != trunk.sip_trunk_id:
            _conflict(trunk, other, new)


def _conflict(trunk: proto.SIPInboundTrunkInfo, other: proto.SIPInboundTrunkInfo, new: str) -> None:
    if trunk.allowed_numbers or other.allowed_numbers:
        return
    pair = f'"{other.sip_trunk_id}" and "{new}"'
    if not trunk.numbers and not other.numbers:
        shared, pair = "<any>", f'"{new}" and "{other.sip_trunk_id}"'
    else:
        taken = set(other.numbers)
        same = [number for number in trunk.numbers if number in taken]
        if not same:
            return
        shared = "[" + " ".join(f'"{number}"' for number in same) + "]"
    raise invalid(
        f"Conflicting inbound SIP Trunks: {pair}, "
        f"using the same number(s) {shared} without AllowedNumbers set"
    )


def dispatch_rule(
    rule: proto.SIPDispatchRuleInfo, others: Iterable[proto.SIPDispatchRuleInfo]
) -> None:
    """A dispatch rule as it would be kept beside the others."""
    if not rule.rule.WhichOneof("rule"):
        raise invalid("missing rule")
    fields.refuse(rule)
    _media(rule.media, rule.media_encryption)
    for other in others:
        if other.sip_dispatch_rule_id != rule.sip_dispatch_rule_id and _overlap(rule, other):
            raise invalid(
                "Dispatch rule for the same trunk, inbound number, number, and PIN combination "
                f'already exists in dispatch rule "{other.sip_dispatch_rule_id}" "{other.name}"'
            )


def _overlap(one: proto.SIPDispatchRuleInfo, two: proto.SIPDispatchRuleInfo) -> bool:
    def share(a: Iterable[str], b: Iterable[str]) -> bool:
        first, second = set(a), set(b)
        return bool(first & second) or (not first and not second)

    return (
        share(one.trunk_ids, two.trunk_ids)
        and share(one.inbound_numbers, two.inbound_numbers)
        and share(one.numbers, two.numbers)
    )


def participant(request: proto.CreateSIPParticipantRequest) -> None:
    """A CreateSIPParticipant request, before any trunk is looked up."""
    if not request.room_name:
        raise invalid("missing room name")
    if not request.sip_trunk_id and not request.HasField("trunk") and not request.sip_number:
        raise invalid("missing sip trunk id and sip number")
    fields.refuse(request)
    if not request.sip_call_to:
        raise invalid("missing sip callee number")
    if "@" in request.sip_call_to:
        raise invalid("SipCallTo should be a phone number or SIP user, not a full SIP URI")
    if re.search(r"[\x00-\x20\x7f<>\"]", request.sip_call_to):
        raise invalid("SipCallTo contains characters that cannot stand in a SIP URI")
    headers(request.headers)
    try:
        deadline.is_over(request.participant_attributes, 0.0)
    except ValueError:
        raise invalid(f"attribute {deadline.ATTRIBUTE} is no number of seconds") from None
    _media(request.media, request.media_encryption)


def outbound_config(config: proto.SIPOutboundConfig) -> None:
    """The trunk given inside a request."""
    if not config.hostname:
        raise invalid("no outbound hostname specified")
    _transport(config.transport)


def calling_identity(user: str, display: str, username: str, password: str) -> None:
    """What is written into an account line, where nothing can be escaped."""
    if not user or _UNSAFE_USER.search(user):
        raise invalid("sip_number contains characters that cannot stand in a From header")
    if re.search(r"[\x00-\x1f\x7f\"\\]", display):
        raise invalid("display_name contains characters that cannot stand in a From header")
    if re.search(r"[\x00-\x20;<>\"\\]", username) or _UNSAFE_SECRET.search(password):
        raise unserved("auth_username or auth_password", "contains quotes or control characters")


def transfer_subject(request: proto.TransferSIPParticipantRequest) -> None:
    """Whom a transfer is about."""
    if not request.room_name:
        raise invalid("twirp error unknown: Missing room name")
    if not request.participant_identity:
        raise invalid("twirp error unknown: Missing participant identity")


def transfer(request: proto.TransferSIPParticipantRequest) -> str:
    """A transfer request; returns the URI to refer to, brackets removed."""
    transfer_subject(request)
    if not request.transfer_to:
        raise invalid("missing transfer to")
    target = request.transfer_to.strip()
    if target.startswith("<") and target.endswith(">"):
        target = target[1:-1]
    if not target.lower().startswith(("sip:", "sips:", "tel:")):
        raise invalid("transfer_to must be a valid SIP(s) or TEL URI (sip:, sips: or tel:)")
    headers(request.headers)
    fields.refuse(request)
    if re.search(r"[\x00-\x20]", target):
        raise invalid("transfer_to contains a space or control character")
    return target


def trunk_missing() -> TwirpError:
    """No such trunk."""
    return TwirpError("not_found", "requested sip trunk does not exist")


def rule_missing() -> TwirpError:
    """No such rule."""
    return TwirpError("not_found", "requested sip dispatch rule does not exist")
