"""Trunks and dispatch rules: kept in memory, written to one file that survives the process."""

from __future__ import annotations

import json
import os
import secrets
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from livekit.protocol import sip as proto

_ALPHABET = string.ascii_letters + string.digits
M = TypeVar("M", bound=Message)


class StoreError(Exception):
    """The file of trunks and rules cannot be read."""


def new_id(prefix: str) -> str:
    """A fresh id as LiveKit writes them: prefix, underscore, 12 letters and digits."""
    return f"{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(12))


class Store:
    """Outbound trunks, inbound trunks and rules by id; every change is on disk when it returns.

    The file holds passwords: it is readable by its owner alone and replaced in one step.
    """

    def __init__(self, path: Path):
        self._path = path
        self.outbound: dict[str, proto.SIPOutboundTrunkInfo] = {}
        self.inbound: dict[str, proto.SIPInboundTrunkInfo] = {}
        self.rules: dict[str, proto.SIPDispatchRuleInfo] = {}
        self._load()

    def put_outbound(self, trunk: proto.SIPOutboundTrunkInfo) -> proto.SIPOutboundTrunkInfo:
        """Keep an outbound trunk; gives it an id when it has none."""
        return self._put(self.outbound, trunk, "sip_trunk_id", "ST")

    def put_inbound(self, trunk: proto.SIPInboundTrunkInfo) -> proto.SIPInboundTrunkInfo:
        """Keep an inbound trunk; gives it an id when it has none."""
        return self._put(self.inbound, trunk, "sip_trunk_id", "ST")

    def put_rule(self, rule: proto.SIPDispatchRuleInfo) -> proto.SIPDispatchRuleInfo:
        """Keep a dispatch rule; gives it an id when it has none."""
        return self._put(self.rules, rule, "sip_dispatch_rule_id", "SDR")

    def drop_trunk(self, trunk_id: str) -> None:
        """Forget a trunk of either kind; unknown ones are no error."""
        self.outbound.pop(trunk_id, None)
        self.inbound.pop(trunk_id, None)
        self._save()

    def drop_rule(self, rule_id: str) -> proto.SIPDispatchRuleInfo | None:
        """Forget a rule and return it; None when there was none."""
        rule = self.rules.pop(rule_id, None)
        self._save()
        return rule

    def _put(self, kept: dict[str, M], item: M, id_field: str, prefix: str) -> M:
        if not getattr(item, id_field):
            setattr(item, id_field, new_id(prefix))
        kept[getattr(item, id_field)] = item
        self._save()
        return item

    def _save(self) -> None:
        document = {
            "outbound": _dump(self.outbound.values()),
            "inbound": _dump(self.inbound.values()),
            "rules": _dump(self.rules.values()),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def _load(self) -> None:
        try:
            document = json.loads(self._path.read_text())
            for item in document["outbound"]:
                trunk = json_format.ParseDict(item, proto.SIPOutboundTrunkInfo())
                self.outbound[trunk.sip_trunk_id] = trunk
            for item in document["inbound"]:
                entry = json_format.ParseDict(item, proto.SIPInboundTrunkInfo())
                self.inbound[entry.sip_trunk_id] = entry
            for item in document["rules"]:
                rule = json_format.ParseDict(item, proto.SIPDispatchRuleInfo())
                self.rules[rule.sip_dispatch_rule_id] = rule
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
            raise StoreError(f"{self._path} is not a file of trunks and rules: {error}") from error


def _dump(items: Iterable[Message]) -> list[dict[str, Any]]:
    return [json_format.MessageToDict(i, preserving_proto_field_name=True) for i in items]
