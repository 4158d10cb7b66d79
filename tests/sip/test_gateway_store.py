"""Trunks and rules outlive the process, in a file only its owner reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from livekit.protocol import sip as proto

from sip.gateway.store import Store, StoreError, new_id

pytestmark = pytest.mark.unit


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "run" / "sip-gateway.json"
    store = Store(path)
    out = store.put_outbound(
        proto.SIPOutboundTrunkInfo(address="h", numbers=["+1"], headers={"X-A": "b"})
    )
    into = store.put_inbound(proto.SIPInboundTrunkInfo(numbers=["+2"], auth_password="p"))
    direct = proto.SIPDispatchRuleDirect(room_name="r")
    rule = store.put_rule(
        proto.SIPDispatchRuleInfo(rule=proto.SIPDispatchRule(dispatch_rule_direct=direct))
    )
    again = Store(path)
    assert again.outbound == {out.sip_trunk_id: out}
    assert again.inbound == {into.sip_trunk_id: into}
    assert again.rules == {rule.sip_dispatch_rule_id: rule}
    assert path.stat().st_mode & 0o777 == 0o600
    again.drop_trunk(out.sip_trunk_id)
    again.drop_trunk(out.sip_trunk_id)
    assert again.drop_rule(rule.sip_dispatch_rule_id) == rule
    assert again.drop_rule(rule.sip_dispatch_rule_id) is None
    assert not Store(path).outbound


@pytest.mark.parametrize("text", ["{", "[]", '{"outbound": [{"nope": 1}]}'])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trunks.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"trunks\.json"):
        Store(path)


def test_ids() -> None:
    assert len({new_id("ST") for _ in range(100)}) == 100
    assert len(new_id("SDR")) == 16
