"""Trunks and rules at the SIP service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from livekit.api.sip_service import SipService
from livekit.protocol import sip as proto
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import RoomConfiguration

from sip.failures import DIAL_ERRORS
from sip.leaving import unless_gone
from sip.ports import AgentRule, InboundTrunk, OutboundTrunk, SipTrouble

_TRANSPORTS = {
    "udp": proto.SIPTransport.SIP_TRANSPORT_UDP,
    "tcp": proto.SIPTransport.SIP_TRANSPORT_TCP,
}


class LiveKitTrunks:
    """Keeps trunks through LiveKit's SIP API."""

    def __init__(self, service: SipService):
        self._service = service

    async def known(self) -> frozenset[str]:
        """Return the ids of every trunk and rule that the service has."""
        with _trouble():
            outbound = await self._service.list_outbound_trunk(proto.ListSIPOutboundTrunkRequest())
            inbound = await self._service.list_inbound_trunk(proto.ListSIPInboundTrunkRequest())
            rules = await self._service.list_dispatch_rule(proto.ListSIPDispatchRuleRequest())
        return frozenset(
            [trunk.sip_trunk_id for trunk in outbound.items]
            + [trunk.sip_trunk_id for trunk in inbound.items]
            + [rule.sip_dispatch_rule_id for rule in rules.items]
        )

    async def apply_outbound(self, trunk: OutboundTrunk, sip_trunk_id: str | None) -> str:
        """Return the id of `trunk`, which replaces the one with that id, or is new."""
        info = proto.SIPOutboundTrunkInfo(
            name=trunk.name,
            address=trunk.address,
            transport=_TRANSPORTS[trunk.transport],
            numbers=trunk.numbers,
            auth_username=trunk.username,
            auth_password=trunk.password,
        )
        with _trouble():
            if sip_trunk_id is not None:
                done = await self._service.update_outbound_trunk(sip_trunk_id, info)
            else:
                done = await self._service.create_outbound_trunk(
                    proto.CreateSIPOutboundTrunkRequest(trunk=info)
                )
        return done.sip_trunk_id

    async def apply_inbound(self, trunk: InboundTrunk, sip_trunk_id: str | None) -> str:
        """Return the id of `trunk`, which replaces the one with that id, or is new."""
        info = proto.SIPInboundTrunkInfo(
            name=trunk.name,
            numbers=trunk.numbers,
            allowed_addresses=trunk.allowed_addresses,
            auth_username=trunk.username,
            auth_password=trunk.password,
        )
        with _trouble():
            if sip_trunk_id is not None:
                done = await self._service.update_inbound_trunk(sip_trunk_id, info)
            else:
                done = await self._service.create_inbound_trunk(
                    proto.CreateSIPInboundTrunkRequest(trunk=info)
                )
        return done.sip_trunk_id

    async def apply_rule(self, rule: AgentRule, rule_id: str | None) -> str:
        """Return the id of `rule`, which replaces the one with that id, or is new."""
        info = proto.SIPDispatchRuleInfo(
            name=rule.name,
            trunk_ids=[rule.sip_trunk_id],
            rule=proto.SIPDispatchRule(
                dispatch_rule_individual=proto.SIPDispatchRuleIndividual(
                    room_prefix=rule.room_prefix
                )
            ),
            room_config=RoomConfiguration(
                agents=[RoomAgentDispatch(agent_name=rule.agent_name, metadata=rule.metadata)]
            ),
        )
        with _trouble():
            if rule_id is not None:
                done = await self._service.update_dispatch_rule(rule_id, info)
            else:
                done = await self._service.create_dispatch_rule(
                    proto.CreateSIPDispatchRuleRequest(dispatch_rule=info)
                )
        return done.sip_dispatch_rule_id

    async def remove(self, *, sip_trunk_id: str | None, rule_id: str | None) -> None:
        """Remove a trunk and its rule; what is not there is removed already."""
        with _trouble():
            if rule_id is not None:
                with unless_gone():
                    await self._service.delete_dispatch_rule(
                        proto.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule_id)
                    )
            if sip_trunk_id is not None:
                with unless_gone():
                    await self._service.delete_trunk(
                        proto.DeleteSIPTrunkRequest(sip_trunk_id=sip_trunk_id)
                    )


@contextlib.contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except DIAL_ERRORS as exc:
        raise SipTrouble(str(exc) or type(exc).__name__) from exc
