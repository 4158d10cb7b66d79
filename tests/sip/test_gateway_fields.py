"""No field of a request is accepted and then ignored: each is served, or refused by name."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from livekit.protocol import models, room
from livekit.protocol import sip as proto

from sip.gateway import codecs, validate
from sip.gateway.errors import TwirpError
from sip.gateway.fields import REFUSED, SERVED, refuse

pytestmark = pytest.mark.unit

KINDS: list[type[Message]] = [
    proto.CreateSIPParticipantRequest,
    proto.SIPOutboundTrunkInfo,
    proto.SIPOutboundConfig,
    proto.SIPInboundTrunkInfo,
    proto.SIPDispatchRuleInfo,
    proto.SIPDispatchRule,
    proto.SIPDispatchRuleDirect,
    proto.SIPDispatchRuleIndividual,
    proto.SIPDispatchRuleCallee,
    proto.SIPMediaConfig,
    proto.TransferSIPParticipantRequest,
    room.RoomConfiguration,
]
NUMBERS = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_ENUM,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.DESCRIPTOR.name)
def test_every_field_is_in_exactly_one_table(kind: type[Message]) -> None:
    name = kind.DESCRIPTOR.name
    served, refused = set(SERVED[name]), set(REFUSED[name])
    assert not served & refused
    assert served | refused == {field.name for field in kind.DESCRIPTOR.fields}


def test_the_tables_name_nothing_else() -> None:
    assert set(SERVED) == set(REFUSED) == {kind.DESCRIPTOR.name for kind in KINDS}


def given(kind: type[Message], field: FieldDescriptor) -> Message:
    """A message of this kind in which only this field is set."""
    message = kind()
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name)["X-A"] = "b"
    elif field.message_type is not None:
        getattr(message, field.name).SetInParent()
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        setattr(message, field.name, "x")
    elif field.cpp_type in NUMBERS:
        setattr(message, field.name, 1)
    else:
        setattr(message, field.name, True)
    return message


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in KINDS for name in REFUSED[kind.DESCRIPTOR.name]],
    ids=lambda part: part if isinstance(part, str) else part.DESCRIPTOR.name,
)
def test_a_refused_field_is_named(kind: type[Message], name: str) -> None:
    with pytest.raises(TwirpError, match=name) as caught:
        refuse(given(kind, kind.DESCRIPTOR.fields_by_name[name]))
    assert caught.value.code == "unimplemented"


def test_fields_of_nested_messages_are_refused_with_their_path() -> None:
    direct = proto.SIPDispatchRuleDirect(room_name="r", pin="1")
    rule = proto.SIPDispatchRuleInfo(rule=proto.SIPDispatchRule(dispatch_rule_direct=direct))
    with pytest.raises(TwirpError, match=r"rule\.dispatch_rule_direct\.pin"):
        validate.dispatch_rule(rule, [])
    request = proto.CreateSIPParticipantRequest(
        room_name="r", sip_call_to="1", trunk=proto.SIPOutboundConfig(destination_country="us")
    )
    with pytest.raises(TwirpError, match=r"trunk\.destination_country"):
        validate.participant(request)


def test_the_checks_of_trunks_and_transfers_ask_the_tables() -> None:
    out = proto.SIPOutboundTrunkInfo(address="h", numbers=["+1"], destination_country="us")
    with pytest.raises(TwirpError, match="destination_country"):
        validate.outbound_trunk(out)
    into = proto.SIPInboundTrunkInfo(numbers=["+1"], krisp_enabled=True)
    with pytest.raises(TwirpError, match="krisp_enabled"):
        validate.inbound_trunk(into, [])
    into = proto.SIPInboundTrunkInfo(
        numbers=["+1"], ringing_timeout_status=proto.SIP_STATUS_BUSY_HERE
    )
    validate.inbound_trunk(into, [])
    into.ringing_timeout_status = proto.SIP_STATUS_NOTFOUND
    with pytest.raises(TwirpError, match="ringing_timeout_status"):
        validate.inbound_trunk(into, [])
    transfer = proto.TransferSIPParticipantRequest(
        room_name="r", participant_identity="i", transfer_to="tel:+1", headers={"X-A": "b"}
    )
    with pytest.raises(TwirpError, match="headers"):
        validate.transfer(transfer)


def media(*names: str, only: bool = False) -> proto.SIPMediaConfig:
    listed = [proto.SIPCodec(name=name) for name in names]
    return proto.SIPMediaConfig(only_listed_codecs=only, codecs=listed)


@pytest.mark.parametrize(
    ("configs", "wanted"),
    [
        ([], ("pcmu", "pcma")),
        ([media("PCMA")], ("pcma", "pcmu")),
        ([media("opus")], ("opus", "pcmu", "pcma")),
        ([media("opus", only=True)], ("opus",)),
        ([media("G722", "PCMU", only=True)], ("g722", "pcmu")),
        ([media("PCMA", only=True)], ("pcma",)),
        ([media("PCMA", "telephone-event", "PCMU", only=True)], ("pcma", "pcmu")),
        ([media("PCMA", only=True), media()], ("pcma",)),
        ([media("PCMA", only=True), media("PCMU", only=True)], ("pcmu",)),
    ],
)
def test_codecs_in_their_order(configs: list[proto.SIPMediaConfig], wanted: codecs.Codecs) -> None:
    assert codecs.chosen(*configs) == wanted
    assert frozenset(wanted) in codecs.AGENTS


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (media("AMR-WB"), "unimplemented"),
        (media("PCMU", "G729", only=True), "unimplemented"),
        (media(only=True), "invalid_argument"),
        (media("telephone-event", only=True), "invalid_argument"),
        (media(""), "invalid_argument"),
    ],
)
def test_codecs_that_are_not_served(config: proto.SIPMediaConfig, code: str) -> None:
    with pytest.raises(TwirpError) as caught:
        codecs.chosen(config)
    assert caught.value.code == code


def test_a_field_of_a_later_protocol_would_be_noticed() -> None:
    """The walk sees every field, so one in no table fails the first test above."""
    assert models.ListUpdate.DESCRIPTOR.name not in SERVED
    with pytest.raises(KeyError):
        refuse(models.ListUpdate(set=["x"]))
