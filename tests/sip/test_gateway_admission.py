"""Who may call in, and what the refused are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from livekit.protocol import sip as proto

from sip.front import Forward, Reply, Silent, Verdict
from sip.gateway.admission import Admission
from sip.gateway.store import Store
from sip.message import Request, parse
from tests.sip.wire import PHONE, invite

pytestmark = pytest.mark.unit
AGENT = ("127.0.0.1", 5070)


def admission(
    tmp_path: Path, *, full: bool = False, silent: bool = False
) -> tuple[Admission, Store]:
    store = Store(tmp_path / "s.json")
    return Admission(store, AGENT, lambda: full, silent), store


def ask(admitting: Admission, body: bytes = b"", **fields: str) -> Verdict:
    request = parse(invite(**fields), PHONE)  # type: ignore[arg-type]
    assert isinstance(request, Request)
    request.body = body or request.body
    return admitting.decide(request)


def trunk(store: Store, **fields: object) -> proto.SIPInboundTrunkInfo:
    return store.put_inbound(proto.SIPInboundTrunkInfo(**{"numbers": ["100"], **fields}))  # type: ignore[arg-type]


def rule(store: Store, room: str = "r", **fields: object) -> proto.SIPDispatchRuleInfo:
    direct = proto.SIPDispatchRuleDirect(room_name=room)
    chosen = proto.SIPDispatchRule(dispatch_rule_direct=direct)
    return store.put_rule(proto.SIPDispatchRuleInfo(rule=chosen, **fields))  # type: ignore[arg-type]


def test_what_is_offered_is_preferred(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.json")
    preferring = Admission(store, AGENT, lambda: False, False, ("g722", "pcmu"))
    trunk(store)
    rule(store)
    verdict = ask(preferring, body=b"v=0\r\nm=audio 4000 RTP/AVP 0 8 9 101\r\n")
    assert isinstance(verdict, Forward)
    assert verdict.body == b"v=0\r\nm=audio 4000 RTP/AVP 9 0 8 101\r\n"


def test_an_admitted_call_is_handed_over_once(tmp_path: Path) -> None:
    admitting, store = admission(tmp_path)
    trunk(store)
    rule(store, "any")
    special = rule(store, "special", inbound_numbers=["alice"])
    assert ask(admitting, call_id="c") == Forward(
        AGENT, uri="sip:offhook-g722-pcmu-pcma-opus@127.0.0.1:5070"
    )
    admitted = admitting.pop("c")
    assert admitted is not None
    assert (admitted.caller, admitted.called) == ("alice", "100")
    assert admitted.rule == special
    assert admitting.pop("c") is None


def test_the_codecs_choose_the_agent(tmp_path: Path) -> None:
    admitting, store = admission(tmp_path)
    codecs = [proto.SIPCodec(name="PCMA")]
    trunk(store, media=proto.SIPMediaConfig(only_listed_codecs=True, codecs=codecs))
    rule(store)
    verdict = ask(admitting)
    assert isinstance(verdict, Forward)
    assert verdict.uri == "sip:offhook-pcma@127.0.0.1:5070"


@pytest.mark.parametrize(
    ("offered", "listed", "taken", "rate"),
    [
        ("9 8 0 101", (), "0 9 8 101", 8_000),
        ("96 9 101", (), "9 96 101", 16_000),
        ("8 0 101", (), "0 8 101", 8_000),
        ("8 0 9", ("PCMA", "G722"), "8 0 9", 8_000),
        ("18 101", (), "", 16_000),
        ("", ("PCMU",), "", 8_000),
    ],
)
def test_the_best_codec_of_an_offer_is_put_first(
    tmp_path: Path, offered: str, listed: tuple[str, ...], taken: str, rate: int
) -> None:
    admitting, store = admission(tmp_path)
    codecs = [proto.SIPCodec(name=name) for name in listed]
    trunk(store, media=proto.SIPMediaConfig(only_listed_codecs=bool(listed), codecs=codecs))
    rule(store)

    def body(kinds: str) -> bytes:
        media = f"v=0\r\nm=audio 4000 RTP/AVP {kinds}\r\na=ptime:20\r\n"
        return media.encode() if kinds else b""

    verdict = ask(admitting, call_id="c", body=body(offered))
    assert isinstance(verdict, Forward)
    assert verdict.body == body(taken)
    admitted = admitting.pop("c")
    assert admitted is not None
    assert admitted.rate == rate


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"numbers": ["200"]}, 404),
        ({"allowed_addresses": ["192.0.2.8", "10.0.0.0/8", "nonsense"]}, 403),
        ({"allowed_numbers": ["bob"]}, 403),
        ({"auth_username": "u", "auth_password": "p"}, 407),
    ],
)
def test_the_refused_are_told_why(tmp_path: Path, fields: dict[str, object], status: int) -> None:
    admitting, store = admission(tmp_path)
    trunk(store, **fields)
    rule(store)
    verdict = ask(admitting)
    assert isinstance(verdict, Reply)
    assert verdict.status == status


@pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
def test_whom_the_numbers_own_trunk_refuses_no_other_takes(tmp_path: Path, order: int) -> None:
    admitting, store = admission(tmp_path)
    made: list[dict[str, object]] = [
        {"numbers": ["100"], "allowed_addresses": ["192.0.2.8"]},
        {"numbers": [], "allowed_addresses": ["0.0.0.0/0"]},
    ]
    for fields in made[::order]:
        trunk(store, **fields)
    rule(store)
    assert ask(admitting) == Reply(403, "Forbidden")
    assert admitting.pop("c") is None
    assert isinstance(ask(admitting, user="200"), Forward)


def test_of_trunks_that_name_the_number_the_one_that_allows_the_caller_takes_it(
    tmp_path: Path,
) -> None:
    admitting, store = admission(tmp_path)
    trunk(store, allowed_addresses=["192.0.2.8"])
    right = trunk(store, allowed_numbers=["alice"])
    trunk(store, numbers=[])
    rule(store)
    assert isinstance(ask(admitting, call_id="c"), Forward)
    admitted = admitting.pop("c")
    assert admitted is not None
    assert admitted.trunk == right


def test_no_rule_full_silent_and_other_methods(tmp_path: Path) -> None:
    admitting, store = admission(tmp_path)
    trunk(store, allowed_addresses=["192.0.2.0/24"])
    assert ask(admitting) == Reply(404, "Not Found")
    rule(store)
    crowded, _ = admission(tmp_path, full=True)
    verdict = ask(crowded)
    assert isinstance(verdict, Reply)
    assert verdict.status == 503
    quiet, _ = admission(tmp_path, silent=True)
    assert ask(quiet, user="999") == Silent()
    verdict = ask(admitting, method="REGISTER")
    assert isinstance(verdict, Reply)
    assert verdict.status == 405
