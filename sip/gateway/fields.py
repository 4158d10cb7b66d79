"""Every field of the requests: served, or refused by name. None is accepted and then ignored.

A field that LiveKit adds later is in neither table, which a test tells.
"""

from __future__ import annotations

from google.protobuf.message import Message

from sip.gateway.errors import unserved

_BYE = "needs headers in BYE, which is not served"
_ANSWER = "of an inbound trunk needs headers in responses, which is not served"
_PIN = "needs a spoken prompt, which this gateway does not serve"
_CLOUD = "chooses a region of LiveKit Cloud; this gateway has none"
_NOISE = "is a noise filter of LiveKit Cloud; this gateway has none"
_URI = "is not served: the URI is made of sip_call_to and the trunk's address"

SERVED: dict[str, frozenset[str]] = {
    "CreateSIPParticipantRequest": frozenset(
        {
            "sip_trunk_id", "trunk", "sip_call_to", "sip_number", "room_name",
            "participant_identity", "participant_name", "participant_metadata",
            "participant_attributes", "dtmf", "play_ringtone", "play_dialtone",
            "hide_phone_number", "headers", "include_headers", "ringing_timeout",
            "max_call_duration", "media_encryption", "media", "wait_until_answered",
            "display_name",
        }
    ),
    "SIPOutboundTrunkInfo": frozenset(
        {
            "sip_trunk_id", "name", "metadata", "address", "transport", "numbers",
            "auth_username", "auth_password", "headers", "headers_to_attributes",
            "include_headers", "media_encryption", "media", "from_host", "created_at",
            "updated_at",
        }
    ),
    "SIPOutboundConfig": frozenset(
        {
            "hostname", "transport", "auth_username", "auth_password", "headers_to_attributes",
            "from_host",
        }
    ),
    "SIPInboundTrunkInfo": frozenset(
        {
            "sip_trunk_id", "name", "metadata", "numbers", "allowed_addresses",
            "allowed_numbers", "auth_username", "auth_password", "auth_realm",
            "headers_to_attributes", "include_headers", "ringing_timeout",
            "ringing_timeout_status", "max_call_duration", "media_encryption", "media",
            "created_at", "updated_at",
        }
    ),
    "SIPDispatchRuleInfo": frozenset(
        {
            "sip_dispatch_rule_id", "rule", "trunk_ids", "hide_phone_number", "inbound_numbers",
            "numbers", "name", "metadata", "attributes", "room_config", "media",
            "media_encryption", "created_at", "updated_at",
        }
    ),
    "SIPDispatchRule": frozenset(
        {"dispatch_rule_direct", "dispatch_rule_individual", "dispatch_rule_callee"}
    ),
    "SIPDispatchRuleDirect": frozenset({"room_name"}),
    "SIPDispatchRuleIndividual": frozenset({"room_prefix", "no_randomness"}),
    "SIPDispatchRuleCallee": frozenset({"room_prefix", "randomize"}),
    "RoomConfiguration": frozenset(
        {
            "empty_timeout", "departure_timeout", "max_participants", "metadata", "egress",
            "min_playout_delay", "max_playout_delay", "sync_streams", "agents", "tags",
        }
    ),
    "SIPMediaConfig": frozenset(
        {"only_listed_codecs", "codecs", "encryption", "media_timeout"}
    ),
    "TransferSIPParticipantRequest": frozenset(
        {"participant_identity", "room_name", "transfer_to", "play_dialtone", "ringing_timeout"}
    ),
}  # fmt: skip

REFUSED: dict[str, dict[str, str]] = {
    "CreateSIPParticipantRequest": {
        "sip_request_uri": _URI,
        "sip_to_header": _URI,
        "sip_from_header": _URI,
        "to_user_override": _URI,
        "krisp_enabled": _NOISE,
        "destination": _CLOUD,
    },
    "SIPOutboundTrunkInfo": {"destination_country": _CLOUD, "attributes_to_headers": _BYE},
    "SIPOutboundConfig": {"destination_country": _CLOUD, "attributes_to_headers": _BYE},
    "SIPInboundTrunkInfo": {
        "headers": _ANSWER,
        "attributes_to_headers": _ANSWER,
        "krisp_enabled": _NOISE,
    },
    "SIPDispatchRuleInfo": {
        "room_preset": "is not served: give room_config",
        "krisp_enabled": _NOISE,
    },
    "SIPDispatchRule": {},
    "SIPDispatchRuleDirect": {"pin": _PIN},
    "SIPDispatchRuleIndividual": {"pin": _PIN},
    "SIPDispatchRuleCallee": {"pin": _PIN},
    "RoomConfiguration": {"name": "is not served: the rule names the room"},
    "SIPMediaConfig": {},
    "TransferSIPParticipantRequest": {
        "headers": "of a transfer is not served: REFER carries none of its own"
    },
}


def refuse(message: Message, within: str = "") -> None:
    """Raise `unimplemented` for a refused field that is given, in nested messages, too."""
    refused = REFUSED[message.DESCRIPTOR.name]
    for field, value in message.ListFields():
        if field.name in refused:
            raise unserved(within + field.name, refused[field.name])
        if field.message_type is not None and field.message_type.name in REFUSED:
            refuse(value, f"{within}{field.name}.")
