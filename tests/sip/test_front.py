"""The stateless front: verdicts, retransmissions, CANCEL and ACK paths, responses, torture."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from sip.front import NONCE_HEADER, Forward, Front, Reply, Silent, Verdict, challenge
from sip.message import Request, Response, parse
from tests.sip.torture import TORTURE
from tests.sip.wire import PHONE, Wire, invite

pytestmark = pytest.mark.unit
AGENT = ("198.51.100.1", 5070)


def front_with(
    decide: Callable[[Request], Verdict | Awaitable[Verdict]], **options: object
) -> tuple[Front, Wire]:
    front = Front(("198.51.100.1", 5060), decide, **options)  # type: ignore[arg-type]
    wire = Wire()
    front.connection_made(wire)
    return front, wire


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_forward_pushes_a_via_notes_the_source_and_adds_the_nonce() -> None:
    front, wire = front_with(lambda _: Forward(AGENT, (("X-Trunk", "ST_1"),)))
    front.datagram_received(invite(extra=f"{NONCE_HEADER}: forged\r\n"), ("192.0.2.99", 4000))
    await settle()
    data, to = wire.sent.pop(0)
    out = parse(data, AGENT)
    assert isinstance(out, Request)
    assert to == AGENT
    assert [via.host for via in out.vias] == ["198.51.100.1", "192.0.2.7"]
    assert out.vias[1].params["received"] == "192.0.2.99"
    assert out.vias[1].params["rport"] == "4000"
    assert out.header("Max-Forwards") == "69"
    assert out.header("X-Trunk") == "ST_1"
    assert out.values(NONCE_HEADER) == [front.nonce]
    assert front.admits({NONCE_HEADER: front.nonce})
    assert not front.admits({NONCE_HEADER: "forged"})


async def test_a_forwarded_call_and_its_cancel_go_to_the_uri_of_the_verdict() -> None:
    front, wire = front_with(lambda _: Forward(AGENT, uri="sip:agent@198.51.100.1:5070"))
    front.datagram_received(invite(), PHONE)
    await settle()
    front.datagram_received(invite(method="CANCEL"), PHONE)
    lines = [wire.take()[0].split("\r\n")[0] for _ in range(2)]
    assert lines == [
        "INVITE sip:agent@198.51.100.1:5070 SIP/2.0",
        "CANCEL sip:agent@198.51.100.1:5070 SIP/2.0",
    ]


async def test_a_response_goes_back_without_our_via() -> None:
    front, wire = front_with(lambda _: Forward(AGENT))
    front.datagram_received(invite(), ("192.0.2.7", 4000))
    await settle()
    out = parse(wire.sent.pop(0)[0], AGENT)
    answer = Response(
        [h for h in out.headers if h[0].lower() in ("via", "from", "to", "call-id", "cseq")],
        b"",
        180,
        "Ringing",
    )
    front.datagram_received(answer.encode(), AGENT)
    text, to = wire.take()
    assert to == ("192.0.2.7", 4000)
    assert text.startswith("SIP/2.0 180 Ringing\r\n")
    assert text.count("Via:") == 1


async def test_a_response_with_a_changed_way_back_is_dropped() -> None:
    front, wire = front_with(lambda _: Forward(AGENT))
    front.datagram_received(invite(), PHONE)
    await settle()
    out = parse(wire.sent.pop(0)[0], AGENT)
    names = ("via", "from", "to", "call-id", "cseq")
    raw = Response([h for h in out.headers if h[0].lower() in names], b"", 200, "OK").encode()
    front.datagram_received(raw.replace(b"received=192.0.2.7", b"received=203.0.113.9"), AGENT)
    front.datagram_received(b"SIP/2.0 200 OK\r\n" + invite().split(b"\r\n", 1)[1], AGENT)
    assert wire.sent == []


async def test_retransmissions_get_the_same_answer_and_one_decision() -> None:
    asked: list[str] = []

    def decide(request: Request) -> Verdict:
        asked.append(request.user)
        return Reply(404, "Not Found", (("X-Why", "number"),))

    front, wire = front_with(decide)
    for _ in range(3):
        front.datagram_received(invite(), PHONE)
        await settle()
    answers = {data for data, _ in wire.sent}
    assert asked == ["100"]
    assert len(wire.sent) == 3
    assert len(answers) == 1
    text, to = wire.take()
    assert to == PHONE
    assert text.startswith("SIP/2.0 404 Not Found\r\n")
    assert "X-Why: number" in text
    assert ";tag=" in text.split("To: ")[1].split("\r\n")[0]


async def test_ack_to_our_failure_is_absorbed_and_to_theirs_is_forwarded() -> None:
    front, wire = front_with(lambda r: Forward(AGENT) if r.user == "1" else Reply(486, "Busy"))
    front.datagram_received(invite(user="2"), PHONE)
    await settle()
    wire.sent.clear()
    front.datagram_received(invite(user="2", method="ACK", to_tag="x"), PHONE)
    assert wire.sent == []
    front.datagram_received(invite(user="1", call_id="other"), PHONE)
    await settle()
    first = parse(wire.sent.pop(0)[0], AGENT)
    front.datagram_received(invite(user="1", call_id="other", method="ACK", to_tag="x"), PHONE)
    ack = parse(wire.sent.pop(0)[0], AGENT)
    assert ack.vias[0].branch == first.vias[0].branch


async def test_cancel_follows_the_invite() -> None:
    front, wire = front_with(lambda _: Forward(AGENT))
    front.datagram_received(invite(), PHONE)
    await settle()
    first = parse(wire.sent.pop(0)[0], AGENT)
    front.datagram_received(invite(method="CANCEL"), PHONE)
    data, to = wire.sent.pop(0)
    assert to == AGENT
    assert parse(data, AGENT).vias[0].branch == first.vias[0].branch
    front.datagram_received(invite(method="CANCEL", call_id="nobody"), PHONE)
    assert wire.take()[0].startswith("SIP/2.0 481 ")


async def test_a_forwarded_call_may_be_cancelled_after_long_ringing() -> None:
    now = [1000.0]
    asked: list[str] = []

    def decide(request: Request) -> Verdict:
        asked.append(request.user)
        return Forward(AGENT) if request.user == "1" else Reply(486, "Busy Here")

    front, wire = front_with(decide, clock=lambda: now[0])
    front.datagram_received(invite(user="1"), PHONE)
    front.datagram_received(invite(user="2", call_id="refused"), PHONE)
    await settle()
    first = parse(wire.sent.pop(0)[0], AGENT)
    wire.sent.clear()
    now[0] += 181
    front.datagram_received(invite(user="1", method="CANCEL"), PHONE)
    data, to = wire.sent.pop(0)
    assert to == AGENT
    assert parse(data, AGENT).vias[0].branch == first.vias[0].branch
    front.datagram_received(invite(user="2", call_id="refused"), PHONE)
    await settle()
    assert asked == ["1", "2", "2"]  # what the front answered itself is forgotten after 32 s
    wire.sent.clear()
    now[0] += 120
    front.datagram_received(invite(user="1", method="CANCEL"), PHONE)
    assert wire.take()[0].startswith("SIP/2.0 481 ")


async def test_refused_requests_do_not_push_out_a_ringing_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sip.verdict._MAX_REMEMBERED", 10)
    front, wire = front_with(lambda r: Forward(AGENT) if r.user == "1" else Reply(404, "No"))
    front.datagram_received(invite(user="1"), PHONE)
    await settle()
    for number in range(50):
        front.datagram_received(invite(user="2", call_id=f"flood-{number}"), PHONE)
    await settle()
    wire.sent.clear()
    front.datagram_received(invite(user="1", method="CANCEL"), PHONE)
    assert wire.take()[1] == AGENT


async def test_cancel_during_a_decision_ends_it() -> None:
    gate = asyncio.Event()

    async def decide(_: Request) -> Verdict:
        await gate.wait()
        return Forward(AGENT)

    front, wire = front_with(decide)
    front.datagram_received(invite(), PHONE)
    await settle()
    front.datagram_received(invite(method="CANCEL"), PHONE)
    assert [wire.take()[0][:11], wire.take()[0][:11]] == ["SIP/2.0 200", "SIP/2.0 487"]
    gate.set()
    await settle()
    assert wire.sent == []


async def test_slow_and_failing_decisions_are_answered() -> None:
    async def slow(_: Request) -> Verdict:
        await asyncio.Event().wait()
        return Silent()

    front, wire = front_with(slow, decide_limit=0.01)
    front.datagram_received(invite(), PHONE)
    tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    await asyncio.wait(tasks, timeout=2)
    assert wire.take()[0].startswith("SIP/2.0 503 ")

    def broken(_: Request) -> Verdict:
        raise KeyError("trunk")

    front, wire = front_with(broken)
    front.datagram_received(invite(), PHONE)
    await settle()
    assert wire.take()[0].startswith("SIP/2.0 500 ")


async def test_silence_options_dialogs_hops_and_challenge() -> None:
    front, wire = front_with(lambda _: Silent())
    front.datagram_received(invite(), PHONE)
    await settle()
    front.datagram_received(invite(), PHONE)
    front.datagram_received(invite(method="CANCEL"), PHONE)
    await settle()
    assert wire.sent == []
    front.datagram_received(invite(method="OPTIONS"), PHONE)
    assert wire.take()[0].startswith("SIP/2.0 200 OK")
    front.datagram_received(invite(method="BYE", to_tag="t"), PHONE)
    assert wire.take()[0].startswith("SIP/2.0 481 ")
    spent = invite(call_id="h").replace(b"Max-Forwards: 70", b"Max-Forwards: 0")
    front.datagram_received(spent, PHONE)
    assert wire.take()[0].startswith("SIP/2.0 483 ")
    front, wire = front_with(lambda _: challenge('Digest realm="r", nonce="n"'))
    front.datagram_received(invite(), PHONE)
    await settle()
    assert 'Proxy-Authenticate: Digest realm="r", nonce="n"' in wire.take()[0]
    front, wire = front_with(lambda _: Silent(), dialogs=AGENT)
    front.datagram_received(invite(method="BYE", to_tag="t"), PHONE)
    assert wire.take()[1] == AGENT


@pytest.mark.parametrize("name", sorted(TORTURE))
async def test_torture_never_raises(name: str) -> None:
    front, wire = front_with(lambda _: Forward(AGENT))
    data, forwarded = TORTURE[name]
    front.datagram_received(data, PHONE)
    await settle()
    assert bool(wire.sent) is forwarded
    for sent, _ in wire.sent:
        parse(sent, AGENT)  # what leaves is well formed


async def test_mutations_never_raise() -> None:
    front, wire = front_with(lambda _: Forward(AGENT))
    source = random.Random(20)
    seeds = [data for data, _ in TORTURE.values()] + [invite(), invite(method="ACK", to_tag="t")]
    for _ in range(4000):
        data = bytearray(source.choice(seeds))
        for _ in range(source.randint(1, 6)):
            at = source.randrange(len(data) + 1)
            piece = source.randbytes(source.randint(0, 3))
            data[at : at + source.randint(0, 4)] = source.choice(
                [piece, b"\r\n", b":", b";", b",", b'"', b"<", b"\0", b"\xff", b"sip:", b" "]
            )
        front.datagram_received(bytes(data), PHONE)
        wire.sent.clear()
    await settle()
    await front_stopped(front)


async def front_stopped(front: Front) -> None:
    """End what the front still runs; the fake transport has nothing to close."""
    pending = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    await asyncio.gather(*pending)
