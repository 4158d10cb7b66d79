"""The service's methods on trunks and dispatch rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast

from google.protobuf.message import Message
from livekit.protocol import models
from livekit.protocol import sip as proto

from sip.gateway import validate
from sip.gateway.errors import invalid
from sip.gateway.store import Store
from sip.gateway.twirp import Method, needs

M = TypeVar("M", bound=Message)
Serve = Callable[[Any], Awaitable[Message]]


class Directory:
    """Create, change, list and delete trunks and rules, as LiveKit's service does."""

    def __init__(self, store: Store):
        self._store = store

    def methods(self) -> dict[str, Method]:
        """The Twirp methods by name."""
        table: dict[str, tuple[type[Message], Serve]] = {
            "CreateSIPOutboundTrunk": (proto.CreateSIPOutboundTrunkRequest, self.create_outbound),
            "CreateSIPInboundTrunk": (proto.CreateSIPInboundTrunkRequest, self.create_inbound),
            "UpdateSIPOutboundTrunk": (proto.UpdateSIPOutboundTrunkRequest, self.update_outbound),
            "UpdateSIPInboundTrunk": (proto.UpdateSIPInboundTrunkRequest, self.update_inbound),
            "GetSIPOutboundTrunk": (proto.GetSIPOutboundTrunkRequest, self.get_outbound),
            "GetSIPInboundTrunk": (proto.GetSIPInboundTrunkRequest, self.get_inbound),
            "ListSIPOutboundTrunk": (proto.ListSIPOutboundTrunkRequest, self.list_outbound),
            "ListSIPInboundTrunk": (proto.ListSIPInboundTrunkRequest, self.list_inbound),
            "DeleteSIPTrunk": (proto.DeleteSIPTrunkRequest, self.delete_trunk),
            "CreateSIPDispatchRule": (proto.CreateSIPDispatchRuleRequest, self.create_rule),
            "UpdateSIPDispatchRule": (proto.UpdateSIPDispatchRuleRequest, self.update_rule),
            "ListSIPDispatchRule": (proto.ListSIPDispatchRuleRequest, self.list_rules),
            "DeleteSIPDispatchRule": (proto.DeleteSIPDispatchRuleRequest, self.delete_rule),
        }
        return {name: Method(kind, needs("admin"), serve) for name, (kind, serve) in table.items()}

    async def create_outbound(
        self, request: proto.CreateSIPOutboundTrunkRequest
    ) -> proto.SIPOutboundTrunkInfo:
        """Keep a new outbound trunk."""
        _new(request.HasField("trunk"), request.trunk.sip_trunk_id)
        validate.outbound_trunk(request.trunk)
        request.trunk.created_at.GetCurrentTime()
        return self._store.put_outbound(_stamped(request.trunk))

    async def create_inbound(
        self, request: proto.CreateSIPInboundTrunkRequest
    ) -> proto.SIPInboundTrunkInfo:
        """Keep a new inbound trunk."""
        _new(request.HasField("trunk"), request.trunk.sip_trunk_id)
        validate.inbound_trunk(request.trunk, self._store.inbound.values())
        request.trunk.created_at.GetCurrentTime()
        return self._store.put_inbound(_stamped(request.trunk))

    async def update_outbound(
        self, request: proto.UpdateSIPOutboundTrunkRequest
    ) -> proto.SIPOutboundTrunkInfo:
        """Replace an outbound trunk, or change the fields given."""
        old = self._store.outbound.get(request.sip_trunk_id)
        if old is None:
            raise validate.trunk_missing()
        new = _updated(old, request)
        new.sip_trunk_id = old.sip_trunk_id
        validate.outbound_trunk(new)
        return self._store.put_outbound(_stamped(new))

    async def update_inbound(
        self, request: proto.UpdateSIPInboundTrunkRequest
    ) -> proto.SIPInboundTrunkInfo:
        """Replace an inbound trunk, or change the fields given."""
        old = self._store.inbound.get(request.sip_trunk_id)
        if old is None:
            raise validate.trunk_missing()
        new = _updated(old, request)
        new.sip_trunk_id = old.sip_trunk_id
        validate.inbound_trunk(new, self._store.inbound.values())
        return self._store.put_inbound(_stamped(new))

    async def get_outbound(
        self, request: proto.GetSIPOutboundTrunkRequest
    ) -> proto.GetSIPOutboundTrunkResponse:
        """One outbound trunk."""
        trunk = self._store.outbound.get(request.sip_trunk_id)
        if trunk is None:
            raise validate.trunk_missing()
        return proto.GetSIPOutboundTrunkResponse(trunk=trunk)

    async def get_inbound(
        self, request: proto.GetSIPInboundTrunkRequest
    ) -> proto.GetSIPInboundTrunkResponse:
        """One inbound trunk."""
        trunk = self._store.inbound.get(request.sip_trunk_id)
        if trunk is None:
            raise validate.trunk_missing()
        return proto.GetSIPInboundTrunkResponse(trunk=trunk)

    async def list_outbound(
        self, request: proto.ListSIPOutboundTrunkRequest
    ) -> proto.ListSIPOutboundTrunkResponse:
        """Outbound trunks by id; `numbers` keeps those that have one of them."""
        found = _chosen(self._store.outbound, request.trunk_ids)
        wanted = set(request.numbers)
        return proto.ListSIPOutboundTrunkResponse(
            items=[t for t in found if not wanted or wanted & set(t.numbers)]
        )

    async def list_inbound(
        self, request: proto.ListSIPInboundTrunkRequest
    ) -> proto.ListSIPInboundTrunkResponse:
        """Inbound trunks by id; `numbers` keeps those that take one of them."""
        found = _chosen(self._store.inbound, request.trunk_ids)
        wanted = set(request.numbers)
        return proto.ListSIPInboundTrunkResponse(
            items=[t for t in found if not wanted or not t.numbers or wanted & set(t.numbers)]
        )

    async def delete_trunk(self, request: proto.DeleteSIPTrunkRequest) -> proto.SIPTrunkInfo:
        """Forget a trunk of either kind; deleting again is no error."""
        if not request.sip_trunk_id:
            raise invalid("trunk ID is required")
        self._store.drop_trunk(request.sip_trunk_id)
        return proto.SIPTrunkInfo(sip_trunk_id=request.sip_trunk_id)

    async def create_rule(
        self, request: proto.CreateSIPDispatchRuleRequest
    ) -> proto.SIPDispatchRuleInfo:
        """Keep a new dispatch rule; the deprecated top-level fields still work."""
        rule = proto.SIPDispatchRuleInfo()
        if request.HasField("dispatch_rule"):
            rule.CopyFrom(request.dispatch_rule)
        else:
            _copy_old_fields(request, rule)
        if rule.sip_dispatch_rule_id:
            raise invalid("rule id must not be set")
        validate.dispatch_rule(rule, self._store.rules.values())
        rule.created_at.GetCurrentTime()
        return self._store.put_rule(_stamped(rule))

    async def update_rule(
        self, request: proto.UpdateSIPDispatchRuleRequest
    ) -> proto.SIPDispatchRuleInfo:
        """Replace a dispatch rule, or change the fields given; attributes are merged."""
        old = self._store.rules.get(request.sip_dispatch_rule_id)
        if old is None:
            raise validate.rule_missing()
        new = _updated(old, request)
        new.sip_dispatch_rule_id = old.sip_dispatch_rule_id
        validate.dispatch_rule(new, self._store.rules.values())
        return self._store.put_rule(_stamped(new))

    async def list_rules(
        self, request: proto.ListSIPDispatchRuleRequest
    ) -> proto.ListSIPDispatchRuleResponse:
        """Rules by id; `trunk_ids` keeps those that serve one of them."""
        found = _chosen(self._store.rules, request.dispatch_rule_ids)
        wanted = set(request.trunk_ids)
        return proto.ListSIPDispatchRuleResponse(
            items=[r for r in found if not wanted or not r.trunk_ids or wanted & set(r.trunk_ids)]
        )

    async def delete_rule(
        self, request: proto.DeleteSIPDispatchRuleRequest
    ) -> proto.SIPDispatchRuleInfo:
        """Forget a rule and return it."""
        rule = self._store.drop_rule(request.sip_dispatch_rule_id)
        if rule is None:
            raise validate.rule_missing()
        return rule


def _new(given: bool, trunk_id: str) -> None:
    if not given:
        raise invalid("missing trunk")
    if trunk_id:
        raise invalid("trunk id must not be set")


def _chosen(kept: dict[str, M], ids: Iterable[str]) -> list[M]:
    wanted = set(ids)
    return [item for key, item in sorted(kept.items()) if not wanted or key in wanted]


def _stamped(item: M) -> M:
    getattr(item, "updated_at").GetCurrentTime()  # noqa: B009 - every kind has the field
    return item


def _updated(
    old: M,
    request: proto.UpdateSIPOutboundTrunkRequest
    | proto.UpdateSIPInboundTrunkRequest
    | proto.UpdateSIPDispatchRuleRequest,
) -> M:
    """`old` as the request wants it: some fields changed, or all replaced."""
    if request.HasField("update"):
        return _changed(old, request.update)
    return _replaced(old, cast("M", request.replace))


def _replaced(old: M, new: M) -> M:
    out = type(old)()
    out.CopyFrom(new)
    getattr(out, "created_at").CopyFrom(getattr(old, "created_at"))  # noqa: B009
    return out


def _changed(old: M, update: Message) -> M:
    """`old` with the fields of an update: lists replaced or edited, maps merged."""
    new = type(old)()
    new.CopyFrom(old)
    for field, value in update.ListFields():
        if isinstance(value, models.ListUpdate):
            _change_list(getattr(new, field.name), value)
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(new, field.name).update(value)
        elif field.message_type is not None:
            getattr(new, field.name).CopyFrom(value)
        else:
            setattr(new, field.name, value)
    _cleared_texts(new, update)
    return new


def _cleared_texts(new: Message, update: Message) -> None:
    """Optional fields present but empty are in no ListFields: present still means given."""
    for field in update.DESCRIPTOR.fields:
        plain = field.message_type is None and not field.is_repeated
        if plain and field.has_presence and update.HasField(field.name):
            setattr(new, field.name, getattr(update, field.name))


def _change_list(kept: object, update: models.ListUpdate) -> None:
    values: list[str] = list(kept)  # type: ignore[call-overload]
    if update.set:
        values = list(update.set)
    elif update.clear:
        values = []
    elif update.add or update.remove:
        gone = set(update.remove)
        values = [v for v in values if v not in gone]
        kept_already = set(values)
        values += [v for v in dict.fromkeys(update.add) if v not in kept_already]
    else:
        raise invalid("unsupported list update operation")
    kept[:] = values  # type: ignore[index]


def _copy_old_fields(
    request: proto.CreateSIPDispatchRuleRequest, rule: proto.SIPDispatchRuleInfo
) -> None:
    for field, value in request.ListFields():
        if field.name == "dispatch_rule":
            continue
        target = getattr(rule, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            target.update(value)
        elif field.is_repeated:
            target.extend(value)
        elif field.message_type is not None:
            target.CopyFrom(value)
        else:
            setattr(rule, field.name, value)
