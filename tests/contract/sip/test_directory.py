"""Trunks, dispatch rules, grants and request checks (golden record, sections 1 and 2.1)."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncIterator

import aiohttp
import pytest
from livekit import api
from livekit.protocol import models
from livekit.protocol import sip as proto

from tests.contract.sip.conftest import Target
from tests.contract.sip.peer import Phone

pytestmark = pytest.mark.system


@pytest.fixture
async def ids(sip: api.SipService) -> AsyncIterator[list[str]]:
    """Ids of trunks and rules to delete after the test."""
    made: list[str] = []
    yield made
    for item in made:
        if item.startswith("ST_"):
            await sip.delete_trunk(api.DeleteSIPTrunkRequest(sip_trunk_id=item))
        else:
            try:
                await sip.delete_dispatch_rule(
                    api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=item)
                )
            except api.TwirpError as error:
                assert error.code == "not_found"  # noqa: PT017 - the test deleted it itself


def number() -> str:
    return f"+1888{secrets.randbelow(10**7):07d}"


async def outbound(
    sip: api.SipService, ids: list[str], **fields: object
) -> proto.SIPOutboundTrunkInfo:
    info = proto.SIPOutboundTrunkInfo(**{"address": "192.0.2.1", "numbers": ["+1"], **fields})  # type: ignore[arg-type]
    made = await sip.create_outbound_trunk(api.CreateSIPOutboundTrunkRequest(trunk=info))
    ids.append(made.sip_trunk_id)
    return made


async def inbound(
    sip: api.SipService, ids: list[str], **fields: object
) -> proto.SIPInboundTrunkInfo:
    info = proto.SIPInboundTrunkInfo(**fields)  # type: ignore[arg-type]
    made = await sip.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=info))
    ids.append(made.sip_trunk_id)
    return made


async def rule(
    sip: api.SipService, ids: list[str], room: str, **fields: object
) -> proto.SIPDispatchRuleInfo:
    direct = proto.SIPDispatchRuleDirect(room_name=room)
    info = proto.SIPDispatchRuleInfo(
        rule=proto.SIPDispatchRule(dispatch_rule_direct=direct),
        **fields,  # type: ignore[arg-type]
    )
    made = await sip.create_dispatch_rule(api.CreateSIPDispatchRuleRequest(dispatch_rule=info))
    ids.append(made.sip_dispatch_rule_id)
    return made


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"address": ""}, "no outbound address specified"),
        ({"numbers": []}, "no trunk numbers specified"),
        ({"address": "sip:1.2.3.4"}, "trunk address should be a hostname or IP, not SIP URI"),
        ({"address": "user@host"}, "trunk address should be a hostname or IP, not SIP URI"),
        ({"address": "h;transport=tcp"}, "trunk address should not contain transport parameter"),
        ({"sip_trunk_id": "ST_x"}, "trunk id must not be set"),
        ({"headers": {"Call-ID": "x"}}, "invalid header name: header name Call-ID not supported"),
    ],
)
async def test_refused_outbound_trunks(
    sip: api.SipService, ids: list[str], fields: dict[str, object], text: str
) -> None:
    with pytest.raises(api.TwirpError) as caught:
        await outbound(sip, ids, **fields)
    error = caught.value
    assert (error.code, error.status, error.message) == ("invalid_argument", 400, text)
    assert error.metadata == {}


async def test_a_trunk_is_kept_changed_and_deleted_twice(
    sip: api.SipService, ids: list[str]
) -> None:
    mine = number()
    made = await outbound(sip, ids, name="a", numbers=[mine], auth_password="p", auth_username="u")
    assert made.sip_trunk_id.startswith("ST_")
    assert len(made.sip_trunk_id) == 15
    listed = await sip.list_outbound_trunk(proto.ListSIPOutboundTrunkRequest(numbers=[mine]))
    assert [t.sip_trunk_id for t in listed.items] == [made.sip_trunk_id]
    changed = await sip.update_outbound_trunk_fields(made.sip_trunk_id, name="b", numbers=["+2"])
    assert (changed.name, list(changed.numbers), changed.address) == ("b", ["+2"], "192.0.2.1")
    replaced = await sip.update_outbound_trunk(
        made.sip_trunk_id, proto.SIPOutboundTrunkInfo(address="192.0.2.2", numbers=["+3"])
    )
    assert (replaced.sip_trunk_id, replaced.name) == (made.sip_trunk_id, "")
    unknown = await sip.list_outbound_trunk(
        proto.ListSIPOutboundTrunkRequest(trunk_ids=["ST_unknown", made.sip_trunk_id])
    )
    assert len(unknown.items) == 1
    for _ in range(2):
        gone = await sip.delete_trunk(api.DeleteSIPTrunkRequest(sip_trunk_id=made.sip_trunk_id))
        assert gone.sip_trunk_id == made.sip_trunk_id
        assert not gone.name


async def test_unknown_things_are_not_found(sip: api.SipService) -> None:
    with pytest.raises(api.TwirpError) as caught:
        await sip.update_outbound_trunk_fields("ST_unknown", name="x")
    assert (caught.value.code, caught.value.message) == (
        "not_found",
        "requested sip trunk does not exist",
    )
    with pytest.raises(api.TwirpError) as caught:
        await sip.delete_dispatch_rule(
            api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id="SDR_unknown")
        )
    assert (caught.value.code, caught.value.message) == (
        "not_found",
        "requested sip dispatch rule does not exist",
    )
    with pytest.raises(api.TwirpError) as caught:
        await sip.delete_trunk(api.DeleteSIPTrunkRequest())
    assert caught.value.message == "trunk ID is required"


async def test_inbound_conflicts(sip: api.SipService, ids: list[str]) -> None:
    mine = number()
    with pytest.raises(api.TwirpError) as caught:
        await inbound(sip, ids, name="open")
    assert caught.value.message.startswith("for security, one of the fields must be set")
    first = await inbound(sip, ids, numbers=[mine])
    with pytest.raises(api.TwirpError) as caught:
        await inbound(sip, ids, numbers=[mine], allowed_addresses=["192.0.2.1"])
    assert caught.value.code == "invalid_argument"
    texts = [  # livekit-server names the two in any order
        f'Conflicting inbound SIP Trunks: "{one}" and "{two}", '
        f'using the same number(s) ["{mine}"] without AllowedNumbers set'
        for one, two in itertools.permutations((first.sip_trunk_id, "<new>"))
    ]
    assert caught.value.message in texts
    await inbound(sip, ids, numbers=[mine], allowed_numbers=["+1"])
    found = await sip.list_inbound_trunk(proto.ListSIPInboundTrunkRequest(numbers=[mine]))
    assert len([t for t in found.items if t.numbers]) == 2


async def test_rules_merge_attributes_and_conflict(sip: api.SipService, ids: list[str]) -> None:
    trunk = await inbound(sip, ids, numbers=[number()])
    mine = {"trunk_ids": [trunk.sip_trunk_id]}
    made = await rule(sip, ids, "r", name="one", attributes={"a": "1"}, **mine)
    assert made.sip_dispatch_rule_id.startswith("SDR_")
    with pytest.raises(api.TwirpError) as caught:
        await rule(sip, ids, "other", **mine)
    assert caught.value.message == (
        "Dispatch rule for the same trunk, inbound number, number, and PIN combination already "
        f'exists in dispatch rule "{made.sip_dispatch_rule_id}" "one"'
    )
    await rule(sip, ids, "narrow", inbound_numbers=["+1"], **mine)
    changed = await sip.update_dispatch_rule_fields(
        made.sip_dispatch_rule_id, attributes={"c": "2"}
    )
    assert dict(changed.attributes) == {"a": "1", "c": "2"}
    with pytest.raises(api.TwirpError) as caught:
        await sip.update_dispatch_rule_fields(
            made.sip_dispatch_rule_id, trunk_ids=models.ListUpdate()
        )
    assert caught.value.message == "unsupported list update operation"
    listed = await sip.list_dispatch_rule(
        proto.ListSIPDispatchRuleRequest(trunk_ids=[trunk.sip_trunk_id])
    )
    assert made.sip_dispatch_rule_id in [r.sip_dispatch_rule_id for r in listed.items]
    gone = await sip.delete_dispatch_rule(
        api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=made.sip_dispatch_rule_id)
    )
    assert gone.name == "one"


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"room_name": ""}, "invalid_argument", "missing room name"),
        ({"sip_call_to": ""}, "invalid_argument", "missing sip callee number"),
        ({"sip_trunk_id": ""}, "invalid_argument", "missing sip trunk id and sip number"),
        ({"sip_trunk_id": "ST_no"}, "not_found", "requested sip trunk does not exist"),
        (
            {"sip_call_to": "sip:bob@x"},
            "invalid_argument",
            "SipCallTo should be a phone number or SIP user, not a full SIP URI",
        ),
        (
            {"headers": {"X-A": "a\rb"}},
            "invalid_argument",
            "invalid header value for X-A: header X-A: value: char 13 not allowed",
        ),
    ],
)
async def test_refused_dials(
    sip: api.SipService, trunk: str, fields: dict[str, object], code: str, text: str
) -> None:
    request = proto.CreateSIPParticipantRequest(
        **{"room_name": "r", "sip_trunk_id": trunk, "sip_call_to": "+1", **fields}  # type: ignore[arg-type]
    )
    with pytest.raises(api.TwirpError) as caught:
        await sip.create_sip_participant(request)
    assert (caught.value.code, caught.value.message) == (code, text)


async def test_what_the_gateway_cannot_serve_is_named(
    target: Target, sip: api.SipService, trunk: str
) -> None:
    if not target.embedded:
        pytest.skip("livekit-sip serves these")
    for field, value in (("krisp_enabled", True), ("to_user_override", "x")):
        request = proto.CreateSIPParticipantRequest(
            **{"room_name": "r", "sip_trunk_id": trunk, "sip_call_to": "+1", field: value}  # type: ignore[arg-type]
        )
        with pytest.raises(api.TwirpError) as caught:
            await sip.create_sip_participant(request)
        assert caught.value.code == "unimplemented"
        assert field in caught.value.message


async def raw_post(
    target: Target,
    method: str,
    grants: api.SIPGrants | None,
    video: api.VideoGrants | None = None,
    **body: str,
) -> tuple[int, dict[str, object]]:
    """Call a method with just these grants; the HTTP status and the answer."""
    headers = {}
    if grants is not None:
        token = api.AccessToken(target.key, target.secret).with_sip_grants(grants)
        if video is not None:
            token = token.with_grants(video)
        headers["Authorization"] = f"Bearer {token.to_jwt()}"
    url = f"{target.sip_api.replace('ws://', 'http://')}/twirp/livekit.SIP/{method}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, headers=headers, json=body) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("sip_grants", "video", "status", "text"),
    [
        (api.SIPGrants(admin=True), None, 401, "permissions denied"),
        (api.SIPGrants(call=True), None, 401, "permissions denied"),
        (api.SIPGrants(call=True), api.VideoGrants(room="none"), 401, "permissions denied"),
        (
            api.SIPGrants(call=True),
            api.VideoGrants(room_admin=True, room="other"),
            401,
            "permissions denied",
        ),
        (
            api.SIPGrants(call=True),
            api.VideoGrants(room_admin=True, room="none"),
            404,
            "twirp error unknown: participant does not exist",
        ),
    ],
    ids=["no call", "no admin", "a guest", "other room", "enough"],
)
async def test_grants_of_a_transfer(
    target: Target,
    sip_grants: api.SIPGrants,
    video: api.VideoGrants | None,
    status: int,
    text: str,
) -> None:
    got, body = await raw_post(
        target,
        "TransferSIPParticipant",
        sip_grants,
        video,
        room_name="none",
        participant_identity="nobody",
        transfer_to="tel:+1",
    )
    assert (got, body["msg"]) == (status, text)


async def test_a_transfer_of_nothing_is_told_before_the_grants(target: Target) -> None:
    status, body = await raw_post(target, "TransferSIPParticipant", api.SIPGrants())
    assert (status, body["msg"]) == (400, "twirp error unknown: Missing room name")


async def test_grants_and_routes(target: Target, phone: Phone) -> None:
    async def post(method: str, grants: api.SIPGrants | None) -> tuple[int, dict[str, object]]:
        return await raw_post(target, method, grants)

    status, body = await post("ListSIPInboundTrunk", None)
    assert (status, body["code"], body["msg"]) == (401, "unauthenticated", "permissions denied")
    status, _ = await post("ListSIPInboundTrunk", api.SIPGrants(admin=True))
    assert status == 200
    status, body = await post("CreateSIPParticipant", api.SIPGrants(admin=True))
    assert (status, body["code"]) == (401, "unauthenticated")
    status, body = await post("Nope", api.SIPGrants(admin=True))
    assert (status, body["code"]) == (404, "bad_route")


async def test_json_prints_every_field(target: Target, sip: api.SipService, ids: list[str]) -> None:
    made = await inbound(sip, ids, numbers=[number()], name="j")
    token = (
        api.AccessToken(target.key, target.secret)
        .with_sip_grants(api.SIPGrants(admin=True))
        .to_jwt()
    )
    url = f"{target.sip_api.replace('ws://', 'http://')}/twirp/livekit.SIP/GetSIPInboundTrunk"
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            url,
            headers={"Authorization": f"Bearer {token}"},
            json={"sip_trunk_id": made.sip_trunk_id},
        ) as answer,
    ):
        shown = (await answer.json())["trunk"]
    assert (shown["name"], shown["metadata"], shown["ringing_timeout"]) == ("j", "", None)
